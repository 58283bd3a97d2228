"""Whether an image is skull-stripped, which BIDS requires its sidecar to tell."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def is_background(volume: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Find the voxels that hold the one value of an extracted object's surroundings.

    That is 0 and not a number, or the value, whatever it is, that nearly all of the outermost voxels hold: images
    are rescaled and shifted after the extraction.

    Parameters
    ----------
    volume : ndarray

    Returns
    -------
    ndarray of bool, same shape

    Examples
    --------
    >>> int(is_background(np.array([[0.0, 0, 0], [0, 5, np.nan], [0, 0, 0]])).sum())
    8
    >>> int(is_background(np.array([[7.0, 7, 7], [7, 5, 7], [7, 7, 7]])).sum())
    8
    """
    empty = np.isnan(volume) | (volume == 0)
    outermost = np.ones(volume.shape, bool)
    outermost[inside_of(volume.shape)] = False
    values, counts = np.unique(volume[outermost & ~empty], return_counts=True)
    if len(values) and counts.max() >= (1 - MAX_BORDER_SHARE) * np.count_nonzero(outermost):
        background = volume == values[counts.argmax()]
        if not (empty | background).all():
            empty |= background
    return empty


def inside_of(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the part without the outermost voxels; an axis of one or two slices cannot tell its border."""
    return tuple(slice(1, -1) if n > 2 and axis < 3 else slice(None) for axis, n in enumerate(shape))


MAX_BORDER_SHARE = 0.02
"""Largest share of the volume's outermost voxels that is not background."""
INSIDE = 2 / 3
"""Largest share of all voxels that is not background."""


def skull_stripped(volume: NDArray[np.floating], metadata: dict[str, Any]) -> tuple[bool, str]:
    """Return whether an image is skull-stripped, and how that is known.

    The raw image's metadata have the say. Without them it is measured: a head is cut by the field of view, at the
    neck at least, and most scanners leave noise around it, so that a good part of the outermost voxels is not 0;
    an extracted brain lies free in exact zeros.

    Parameters
    ----------
    volume : ndarray, shape (X, Y), (X, Y, Z) or (X, Y, Z, T)
        The raw image.
    metadata : dict
        Of the raw image.

    Returns
    -------
    stripped : bool
    how : str
        A sentence for the sidecar.

    Examples
    --------
    >>> brain = np.zeros((10, 10, 10))
    >>> brain[3:7, 3:7, 3:7] = 1
    >>> skull_stripped(brain, {})
    (True, 'Measured: 0.0% of the outermost voxels and 6.4% of all are no background (at most 2% and 67% if stripped).')
    >>> skull_stripped(brain, {"SkullStripped": False})
    (False, 'From the metadata of the source image.')
    """
    if isinstance(metadata.get("SkullStripped"), bool):
        return metadata["SkullStripped"], "From the metadata of the source image."
    signal = np.logical_not(is_background(volume))
    if signal.ndim == 4:
        signal = np.asarray(signal.any(3))
    inner = signal[inside_of(signal.shape)]
    outermost = signal.size - inner.size
    count = np.count_nonzero(signal)
    border = (count - np.count_nonzero(inner)) / max(outermost, 1)
    inside = count / signal.size
    how = (
        f"Measured: {border:.1%} of the outermost voxels and {inside:.1%} of all are no background "
        f"(at most {MAX_BORDER_SHARE:.0%} and {INSIDE:.0%} if stripped)."
    )
    return bool(border <= MAX_BORDER_SHARE and inside <= INSIDE), how
