"""Signs of problems, measured in the image itself: negative values, noise, offsets, unequal slices."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .noise import LINES, dilated, sparse
from .sampling import POINTS_PER_AXIS

MIN_STANDARD_ERRORS = 4.0
"""Smallest significant difference of odd and even slices, in standard errors."""
RAYLEIGH_MEDIAN = 1.177
"""Median of the magnitude of complex noise whose parts have a standard deviation of 1."""
OBJECT_MARGIN = 2
"""Number of voxels around the object that do not count as background, since the object is blurred."""
MAX_OFFSET_SPREAD = 0.3
"""Largest interquartile range of a background, relative to its median, at which its level is not only noise."""
BRIGHT_PERCENTILE, MAX_OFFSET_LEVEL = 90, 0.5
"""Percentile of all values that belongs to the object, and the largest level of a background relative to it."""
MIN_BACKGROUND = 500
"""Smallest number of background voxels for a measurement."""


def negative_share(values: NDArray[np.float32]) -> float:
    """Compute the fraction of the sum of absolute values that is negative.

    Values are limited to the 99.9th percentile of those that are not 0, so that a spike has no effect.

    Examples
    --------
    >>> round(negative_share(np.array([3, -1, 0, 3, 1], np.float32)), 4)
    0.125
    >>> negative_share(np.array([1] * 5000 + [-1e30], np.float32)) < 0.001
    True
    """
    size = np.abs(values[values != 0])
    if not size.size:
        return 0.0
    limit = float(np.percentile(size, 99.9, method="lower"))
    scaled = np.clip(values, -limit, limit) / np.float32(limit)
    return -float(np.minimum(scaled, 0).sum(dtype=np.float64)) / float(np.abs(scaled).sum(dtype=np.float64))


def background_noise(volume: NDArray[np.float32], chosen: NDArray[np.bool_]) -> float:
    """Estimate the noise from the median of the background, whose magnitudes have Rayleigh's distribution.

    Returns
    -------
    float
        Standard deviation of the noise's real part; 0 if the background was set to a constant or is too small.
    """
    part = sparse(volume.shape)
    values = volume[part][~dilated(chosen[part], OBJECT_MARGIN)]
    return max(0.0, float(np.median(values)) / RAYLEIGH_MEDIAN) if values.size >= MIN_BACKGROUND else 0.0


def background_offset(volume: NDArray[np.float32], chosen: NDArray[np.bool_]) -> float:
    """Measure the level of a high background that hardly varies: an offset, or the noise floor of many coils.

    The interquartile range of the magnitudes of noise is 0.77 of their median, less if many coils are combined.

    Returns
    -------
    float
        The level relative to the object's median; 0 if the background varies like noise, or is too small.
    """
    part = sparse(volume.shape)
    values, inside = volume[part], chosen[part]
    beside = values[~dilated(inside, OBJECT_MARGIN)]
    if not inside.any():
        return 0.0
    bright = float(np.median(values[inside]))
    if beside.size < MIN_BACKGROUND:  # an offset may count as signal; use the faces instead
        faces = np.ones(values.shape, bool)
        faces[tuple(slice(1, -1) if n > 2 else slice(None) for n in values.shape)] = False
        beside, bright = values[faces], float(np.percentile(values, BRIGHT_PERCENTILE))
    if beside.size < MIN_BACKGROUND:
        return 0.0
    low, level, high = (float(x) for x in np.percentile(beside, (25, 50, 75)))
    return level / bright if 0 < level < MAX_OFFSET_LEVEL * bright and high - low < MAX_OFFSET_SPREAD * level else 0.0


def point_noise(
    volume: NDArray[np.float32], chosen: NDArray[np.bool_], voxel: tuple[float, ...], noise: float
) -> float:
    """Estimate the noise of the mean over a cube as large as the spacing of the points on which tissues are judged.

    Part of the noise measured by second differences may be anatomy, and the background may contain signal of other
    parts of the body, so the smaller of the two estimates is used.

    Parameters
    ----------
    volume : ndarray, spatial shape
    chosen : ndarray of bool, same shape
        The object.
    voxel : tuple of float
        mm.
    noise : float
        Standard deviation of a voxel's noise, by second differences.

    Returns
    -------
    float
        Standard deviation, relative to the object's median.
    """
    level = float(np.median(volume[sparse(volume.shape)][chosen[sparse(volume.shape)]])) if chosen.any() else 0.0
    if level <= 0:
        return 0.0
    outside = background_noise(volume, chosen)
    noise = min(noise, outside) if outside > 0 else noise
    ranges = [np.flatnonzero(chosen.any(tuple(b for b in range(chosen.ndim) if b != a))) for a in range(chosen.ndim)]
    extents = [(r[-1] - r[0] + 1) * size for r, size in zip(ranges, voxel, strict=False)]
    spacing = max(extents) / POINTS_PER_AXIS
    averaged = math.prod(max(1.0, spacing / size) for size, n in zip(voxel, chosen.shape, strict=False) if n > 1)
    return noise / level / averaged**0.5


def odd_even_difference(volume: NDArray[np.float32], chosen: NDArray[np.bool_]) -> float:
    """Measure the difference in brightness between odd and even slices, along the axis along which it is largest.

    Returns
    -------
    float
        Relative difference; each slice is compared with the mean of its neighbours where all three have signal. 0 if
        the difference is not significant.
    """
    if volume.ndim < 3:
        return 0.0
    largest = 0.0
    for axis in range(3):
        part = sparse(volume.shape, axis)
        rows = np.moveaxis(volume[part].copy(order="K"), axis, 0)
        inside = np.moveaxis(chosen[part].copy(order="K"), axis, 0)
        if len(rows) < 8:
            continue
        every = inside[:-2] & inside[1:-1] & inside[2:]
        middle = np.where(every, rows[1:-1], 0).sum((1, 2), dtype=np.float64)
        beside = np.where(every, (rows[:-2] + rows[2:]) / 2, 0).sum((1, 2), dtype=np.float64)
        used = beside > 0.1 * beside.max(initial=0)
        ratio = np.log(np.maximum(middle, 1e-30) / np.maximum(beside, 1e-30))
        sign = np.where(np.arange(len(ratio)) % 2, 1.0, -1.0)
        if used.sum() >= 6:
            alternating = (ratio * sign)[used]
            middle_value = float(np.median(alternating))
            error = 1.48 * float(np.median(np.abs(alternating - middle_value))) * 1.25 / len(alternating) ** 0.5
            if abs(middle_value) > MIN_STANDARD_ERRORS * error:
                largest = max(largest, abs(middle_value))
    return largest
