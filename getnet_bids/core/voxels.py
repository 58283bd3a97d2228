"""Convert voxels to the form that a correction needs: finite float32 numbers, with the first axis fastest in memory."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from getnet_bids.errors import GetNetError

MAX_INTENSITY = 1e37
"""Largest intensity; larger values could exceed float32 after the division by the field."""


def checked(image: ArrayLike) -> NDArray[np.float32]:
    """Convert an image to float32 with the first axis fastest in memory; raise an error if it cannot be corrected."""
    array = np.asarray(image)
    if array.dtype.kind not in "biuf":
        raise GetNetError(f"the image must hold real numbers (magnitudes), not {array.dtype}")
    if array.ndim not in (2, 3, 4) or array.size == 0:
        raise GetNetError(f"the image must have 2, 3 or 4 dimensions and some voxels, not shape {array.shape}")
    if sum(n > 1 for n in array.shape[:3]) < 2:
        raise GetNetError(f"the image must be more than one voxel wide along two axes, not of shape {array.shape}")
    # Always in the order of files, so that a result does not depend on the memory layout of the image.
    return np.asfortranarray(array, np.float32)


def mean_volume(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the mean of a series' volumes, or return the image; values that are not finite are left out, or become 0.

    Raises
    ------
    ValueError
        There are values above `MAX_INTENSITY`.
    """
    if image.ndim < 4:
        return finite(image)[0]
    return mean_of((image[..., i] for i in range(image.shape[3])), image.shape[3], image.shape[:3])


def mean_of(volumes: Iterable[NDArray[np.float32]], number: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Compute the mean of a number of volumes, taken one after the other, as `mean_volume` does."""
    total, count = np.zeros(shape, np.float32, order="F"), np.zeros(shape, np.float32, order="F")
    for values in volumes:
        volume, there = finite(values)
        total += volume / np.float32(number)
        count += there
    return (total * (number / np.maximum(count, 1))).astype(np.float32, copy=False)


def finite(volume: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_] | bool]:
    """Set values that are not finite to 0, and return where values are finite; raise an error for values too large."""
    low, high = volume.min(), volume.max()
    there: NDArray[np.bool_] | bool = True
    if not np.isfinite([low, high]).all():
        there = np.isfinite(volume)
        volume = np.where(there, volume, np.float32(0))
        low, high = volume.min(), volume.max()
    if max(high, -low) > MAX_INTENSITY:
        value = float(high if high > -low else low)
        raise GetNetError(f"a value of {value:.3g} is too large for float32 once corrected; replace it, or scale down")
    return volume, there


BORDER, SAMPLE = 0.5, 4_000
"""Fraction of the voxels on the faces that must have a value for it to be the background, and the approximate number of
voxels that are sampled on each face."""
NEGATIVE_SHARE = 0.01
"""Largest fraction of the other voxels that may be negative if a negative background is not an offset."""


def constant_background(volume: NDArray[np.float32]) -> float:
    """Return the value of most voxels on the faces of a volume, or 0 if there is none.

    Examples
    --------
    >>> volume = np.full((6, 6, 6), 700, np.float32)
    >>> volume[1:5, 1:5, 1:5] = np.arange(64).reshape(4, 4, 4)
    >>> constant_background(volume), constant_background(np.arange(216, dtype=np.float32).reshape(6, 6, 6))
    (700.0, 0.0)
    """
    faces = []
    for axis in range(volume.ndim):
        if volume.shape[axis] > 2:
            for end in (0, -1):
                face = volume[tuple(end if a == axis else slice(None) for a in range(volume.ndim))]
                stride = max(1, round((face.size / SAMPLE) ** (1 / face.ndim)))
                faces.append(face[(slice(None, None, stride),) * face.ndim].ravel())
    if not faces:
        return 0.0
    border = np.concatenate(faces)
    value, count = np.unique(border, return_counts=True)
    most = int(count.argmax())
    if count[most] <= BORDER * len(border) or not np.count_nonzero(volume != value[most]):
        return 0.0
    return float(value[most])


def without_background(volume: NDArray[np.float32], background: float) -> NDArray[np.float32]:
    """Set a constant background to 0; if nothing is darker than it, it is an offset, and is subtracted.

    A negative value is not an offset if hardly any other value is negative: voxels were then filled with it, for
    example with -1000.
    """
    value = np.float32(background)
    if value == 0:
        return volume
    out: NDArray[np.float32] = np.where(volume == value, np.float32(0), volume)
    filled = value < 0 and np.count_nonzero(out < 0) <= NEGATIVE_SHARE * np.count_nonzero(out)
    if value <= volume.min() and not filled:
        out = np.where(volume == value, np.float32(0), volume - value)
    return out


def scaled(volume: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale a volume to a maximum of 1, or leave it if nothing is above 0; the first axis is fastest in memory."""
    peak = volume.max()
    if 0 < peak < 1 and volume.min() < -MAX_INTENSITY * peak:
        volume = np.maximum(volume, 0)  # otherwise the quotient would overflow; values below 0 are not signal
    # In memory allocated by torch, since the last bits of products may depend on the memory's alignment.
    out = torch.empty(volume.shape[::-1]).numpy().T
    return np.divide(volume, peak if peak > 0 else 1, out=out)


def usable_mask(mask: ArrayLike, spatial: tuple[int, ...]) -> NDArray[np.bool_]:
    """Convert a mask of the image's shape to bool."""
    array = np.asarray(mask)
    if array.shape != spatial:
        raise GetNetError(f"the mask's shape {array.shape} is not the image's {spatial}")
    return array > 0
