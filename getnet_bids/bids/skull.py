"""Whether an image is skull-stripped, which BIDS requires its sidecar to tell."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BORDER = 0.02
"""Largest share of the volume's outermost voxels that is not 0."""
INSIDE = 2 / 3
"""Largest share of all voxels that is not 0."""


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
    (True, 'Measured: 0.0% of the outermost voxels and 6.4% of all are not 0 (at most 2% and 67% if stripped).')
    >>> skull_stripped(brain, {"SkullStripped": False})
    (False, 'From the metadata of the source image.')
    """
    if isinstance(metadata.get("SkullStripped"), bool):
        return metadata["SkullStripped"], "From the metadata of the source image."
    signal = volume != 0
    if signal.ndim == 4:
        signal = signal.any(3)
    # An axis of one or two slices has no inside, so that it cannot tell its border.
    inner = signal[tuple(slice(1, -1) if n > 2 else slice(None) for n in signal.shape)]
    outermost = signal.size - inner.size
    count = np.count_nonzero(signal)
    border = (count - np.count_nonzero(inner)) / max(outermost, 1)
    inside = count / signal.size
    how = (
        f"Measured: {border:.1%} of the outermost voxels and {inside:.1%} of all are not 0 "
        f"(at most {BORDER:.0%} and {INSIDE:.0%} if stripped)."
    )
    return bool(border <= BORDER and inside <= INSIDE), how
