"""Signs of problems, measured in the image itself: negative values, noise, offsets, unequal slices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .noise import FEW_LINES, dilated, sparse
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
WRAPPED_BITS, WRAPPED_TOP, WRAPPED_RANGE = (8, 12, 16), 0.98, 0.15
"""Numbers of bits whose range may have been exceeded, how far an image reaches then, and the fraction of the range that
counts as its bright or dark end."""
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


@dataclass(frozen=True)
class Sample:
    """Evenly spread voxels of a volume, and those of its object.

    Parameters
    ----------
    values : ndarray
    inside : ndarray of bool, same shape
        The object.
    """

    values: NDArray[np.float32]
    inside: NDArray[np.bool_]

    @classmethod
    def of(cls, volume: NDArray[np.float32], chosen: NDArray[np.bool_]) -> Sample:
        """Take the voxels of a volume and its object."""
        part = sparse(volume.shape)
        return cls(volume[part].copy(order="K"), chosen[part].copy(order="K"))

    @cached_property
    def level(self) -> float:
        """The median of the object; 0 if there is none."""
        return float(np.median(self.values[self.inside])) if self.inside.any() else 0.0

    @cached_property
    def background_quartiles(self) -> tuple[float, float, float] | None:
        """The quartiles of what is not close to the object; None if it is too small."""
        beside = self.values[~dilated(self.inside, OBJECT_MARGIN)]
        if beside.size < MIN_BACKGROUND:
            return None
        low, middle, high = (float(x) for x in np.percentile(beside, (25, 50, 75)))
        return low, middle, high


def background_noise(sample: Sample) -> float:
    """Estimate the noise from the median of the background, whose magnitudes have Rayleigh's distribution.

    Returns
    -------
    float
        Standard deviation of the noise's real part; 0 if the background was set to a constant or is too small.
    """
    quartiles = sample.background_quartiles
    return max(0.0, quartiles[1] / RAYLEIGH_MEDIAN) if quartiles else 0.0


def background_offset(sample: Sample) -> float:
    """Measure the level of a high background that hardly varies: an offset, or the noise floor of many coils.

    The interquartile range of the magnitudes of noise is 0.77 of their median, less if many coils are combined.

    Returns
    -------
    float
        The level relative to the object's median; 0 if the background varies like noise, or is too small.
    """
    if not sample.inside.any():
        return 0.0
    values, bright, quartiles = sample.values, sample.level, sample.background_quartiles
    if quartiles is None:  # an offset may count as signal; use the faces instead
        faces = np.ones(values.shape, bool)
        faces[tuple(slice(1, -1) if n > 2 else slice(None) for n in values.shape)] = False
        beside, bright = values[faces], float(np.percentile(values, BRIGHT_PERCENTILE))
        if beside.size < MIN_BACKGROUND:
            return 0.0
        low, level, high = (float(x) for x in np.percentile(beside, (25, 50, 75)))
    else:
        low, level, high = quartiles
    return level / bright if 0 < level < MAX_OFFSET_LEVEL * bright and high - low < MAX_OFFSET_SPREAD * level else 0.0


def point_noise(sample: Sample, chosen: NDArray[np.bool_], voxel: tuple[float, ...], noise: float) -> float:
    """Estimate the noise of the mean over a cube as large as the spacing of the points on which tissues are judged.

    Part of the noise measured by second differences may be anatomy, and the background may contain signal of other
    parts of the body, so the smaller of the two estimates is used.

    Parameters
    ----------
    sample : Sample
        Voxels of the volume and its object.
    chosen : ndarray of bool, spatial shape
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
    if sample.level <= 0:
        return 0.0
    outside = background_noise(sample)
    noise = min(noise, outside) if outside > 0 else noise
    spacing = max(sides(chosen, voxel)) / POINTS_PER_AXIS
    averaged = math.prod(max(1.0, spacing / size) for size, n in zip(voxel, chosen.shape, strict=False) if n > 1)
    return noise / sample.level / averaged**0.5


def sides(chosen: NDArray[np.bool_], voxel: tuple[float, ...]) -> list[float]:
    """Return the sides of the box around an object that is not empty, mm.

    Examples
    --------
    >>> sides(np.eye(4, dtype=bool)[:3], (1.0, 2.0))
    [3.0, 6.0]
    """
    shadow: NDArray[np.bool_] = np.asarray(chosen.any(-1))  # quick, since the last axis is slowest in memory
    shadows = [np.asarray(shadow.any(tuple(b for b in range(shadow.ndim) if b != a))) for a in range(shadow.ndim)]
    ranges = [np.flatnonzero(along) for along in (*shadows, chosen.any(tuple(range(chosen.ndim - 1))))]
    return [float((r[-1] - r[0] + 1) * size) for r, size in zip(ranges, voxel, strict=False)]


def empty_slices(chosen: NDArray[np.bool_]) -> float:
    """Compute the fraction of slices without an object that lie between two with one, across the axis with most.

    Examples
    --------
    >>> chosen = np.ones((9, 8, 8), bool)
    >>> chosen[1::2] = False
    >>> round(empty_slices(chosen), 2), empty_slices(chosen[::2])
    (0.44, 0.0)
    """
    most = 0.0
    for axis in range(chosen.ndim if chosen.ndim > 2 else 0):
        few = chosen[sparse(chosen.shape, axis, FEW_LINES)]
        there = np.asarray(few.any(tuple(a for a in range(few.ndim) if a != axis)))
        places = np.flatnonzero(there)
        if len(places) > 1:
            between = ~there[1:-1] & there[:-2] & there[2:]
            most = max(most, float(np.count_nonzero(between) / (places[-1] - places[0] + 1)))
    return most


def slice_spread(values: NDArray[np.float32], inside: NDArray[np.bool_], axis: int) -> float:
    """Compute how much the brightness differs from slice to slice.

    Parameters
    ----------
    values : ndarray
    inside : ndarray of bool, same shape
        The object.
    axis : int
        Axis of the slices.

    Returns
    -------
    float
        Standard deviation of the logarithm of the slices' medians, over slices with at least a quarter as much of the
        object as the one with most.

    Examples
    --------
    >>> values = np.ones((9, 9, 4), np.float32) * np.float32([1, 2, 4, 8])
    >>> round(slice_spread(values, np.ones(values.shape, bool), 2) / math.log(2), 2)
    1.12
    """
    rows, there = np.moveaxis(values, axis, 0), np.moveaxis(inside & (values > 0), axis, 0)
    counts = np.count_nonzero(there, axis=tuple(range(1, there.ndim)))
    used = np.flatnonzero((counts > 0) & (counts >= counts.max(initial=0) / 4))
    levels = [math.log(float(np.median(rows[i][there[i]]))) for i in used]
    return float(np.std(levels)) if levels else 0.0


def wrapped_share(volume: NDArray[np.float32]) -> float:
    """Compute the number of dark voxels between two bright neighbours, relative to that of bright voxels.

    Whole numbers that exceed the range of an unsigned integer begin again at 0: beyond 255, tissue is dark. Noise then
    takes voxels from one end of the range to the other, while in other images nearly no bright neighbours have a dark
    voxel between them.

    Returns
    -------
    float
        0 unless the values are whole numbers that end near the largest of 8, 12 or 16 bits.

    Examples
    --------
    >>> tissue = np.random.default_rng(0).normal(240, 8, (40, 40, 40)).round().astype(np.float32)
    >>> wrapped_share(np.minimum(tissue, 255)), wrapped_share(tissue % 256) > 0.004
    (0.0, True)
    """
    axis = int(np.argmax(volume.shape))
    rows = np.moveaxis(volume[sparse(volume.shape, axis, FEW_LINES)], axis, 0)
    top = float(rows.max())
    limit = next((float(2**bits) for bits in WRAPPED_BITS if WRAPPED_TOP * 2**bits <= top < 2**bits), 0.0)
    if not limit or float(rows.min()) < 0 or (rows % 1).any():
        return 0.0
    bright: NDArray[np.bool_] = rows > (1 - WRAPPED_RANGE) * limit
    dark: NDArray[np.bool_] = (rows < WRAPPED_RANGE * limit) & (rows > 0)  # 0 may be a hole in a mask
    wrapped = dark[1:-1] & bright[:-2] & bright[2:]
    return int(np.count_nonzero(wrapped)) / max(1, int(np.count_nonzero(bright)))


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
        part = sparse(volume.shape, axis, FEW_LINES)
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
