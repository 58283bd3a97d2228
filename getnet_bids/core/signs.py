"""Signs of trouble, measured from the image alone: negative values, noise, ghosts, unequal slices."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .noise import LINES, dilated, sparse
from .sampling import POINTS_PER_AXIS

MIN_STANDARD_ERRORS = 4.0
"""Standard errors that a difference of odd and even slices must be at least."""
RAYLEIGH_MEDIAN = 1.177
"""Median of the magnitude of complex noise whose parts have a standard deviation of 1."""
OBJECT_MARGIN = 2
"""Voxels around the object that are no background: it is blurred there."""
THICK_SLICE_RATIO = 1.1
"""Voxels so many times longer along an axis than along another are slices."""
BRIGHT_SHARE = 0.4
"""Share of the object's upper quartile from which on voxels are no ghost of it."""
MIN_GHOST_POWER = 0.2
"""Smallest power of a ghost over that of the noise that lets it be told from that."""
MAX_QUARTILE_RATIO = 4.0
"""Upper over lower quartile of a background from which on it is no noise alone, whose have 2.2 or less."""
MIN_REPEATED = 0.2
"""Share of a ghost's proportion that must be found in the differences of neighbours, too: noise takes some away."""
MAX_OFFSET_SPREAD = 0.3
"""Largest difference of a background's quartiles, over its median, where its level is no mere noise."""
BRIGHT_PERCENTILE, MAX_OFFSET_LEVEL = 90, 0.5
"""Percentile of all values that is of the object, and the share of it up to which a level is the background's."""
MIN_STRONG_GHOST, MIN_REPEATED_BRIGHT = 0.05, 0.3
"""The same for a ghost that is so strong that it counts as foreground: weaker ones do not."""
MIN_BACKGROUND = 500
"""Voxels from which a background tells something."""

SAMPLE_SIZE = 20_000
"""Voxels whose median is as good as that of all."""


def negative_share(values: NDArray[np.float32]) -> float:
    """Compute the share of the sum of absolute values that is negative.

    No value counts for more than the 99.9th percentile of those that are not 0, so that a spike decides nothing.

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
        Standard deviation of the noise's real part; 0 where the background was set to a constant or is hardly there.
    """
    part = sparse(volume.shape)
    values = volume[part][~dilated(chosen[part], OBJECT_MARGIN)]
    return max(0.0, float(np.median(values)) / RAYLEIGH_MEDIAN) if values.size >= MIN_BACKGROUND else 0.0


def background_offset(volume: NDArray[np.float32], chosen: NDArray[np.bool_]) -> float:
    """Measure the level of a background that lies high and hardly varies: an offset, or the noise floor of many coils.

    Magnitudes of noise have quartiles that differ by 0.77 of their median, less where many coils are combined.

    Returns
    -------
    float
        Over the object's median; 0 where the background varies as noise does, or is hardly there.
    """
    part = sparse(volume.shape)
    values, inside = volume[part], chosen[part]
    beside = values[~dilated(inside, OBJECT_MARGIN)]
    if not inside.any():
        return 0.0
    bright = float(np.median(values[inside]))
    if beside.size < MIN_BACKGROUND:  # an offset may be taken for signal: then the faces tell
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
    """Estimate the noise that is left in a cube as large as the spacing of the points that tissues are judged on.

    Of the noise that second differences show, part may be anatomy; what the background shows may be signal of other
    parts of the body. The lesser of the two is taken.

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
        Standard deviation over the object's median.
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


def ghost_share(volume: NDArray[np.float32], chosen: NDArray[np.bool_], voxel: tuple[float, ...]) -> float:
    """Measure a ghost at half the field of view (N/2, of Nyquist), along the axis where it is strongest.

    Odd and even lines that do not fit leave the object's picture once more, fainter, half a field of view away. It is
    seen where it falls on the background: there the square of the magnitude is the noise's plus that of the ghost, in
    proportion to the square of the shifted object, and above what the rest of the background has. Its details are
    there, too, which dim tissue and parts that are folded over have not. Lines lie within slices: an axis along which
    voxels are longer than along another is that of the slices, and has no such ghost.

    Parameters
    ----------
    volume : ndarray, spatial shape
    chosen : ndarray of bool, same shape
        The object.
    voxel : tuple of float
        mm.

    Returns
    -------
    float
        Strength relative to the object: the lesser of what its presence and what its proportion tell, so that other
        things in the background are none. 0 where too little background is there.
    """
    found = strongest_ghost(volume, chosen, voxel)
    if found or not chosen.any():
        return found
    # A strong ghost is part of the foreground itself: look beside what is brighter than any.
    bright = float(np.percentile(thinned(volume, chosen), 75))
    strong = strongest_ghost(volume, chosen & (volume > BRIGHT_SHARE * bright), voxel, LINES // 2, MIN_REPEATED_BRIGHT)
    return strong if strong > MIN_STRONG_GHOST else 0.0


def strongest_ghost(
    volume: NDArray[np.float32],
    chosen: NDArray[np.bool_],
    voxel: tuple[float, ...],
    lines: int = LINES,
    repeated: float = MIN_REPEATED,
) -> float:
    """Measure the ghost of the chosen voxels along each axis, as `ghost_share` tells, and return the strongest."""
    strongest = 0.0
    for axis in range(volume.ndim):
        part = sparse(volume.shape, axis, lines)
        values, inside = volume[part].copy(order="K"), chosen[part].copy(order="K")  # dense: all that follows is faster
        half = volume.shape[axis] // 2
        is_slices = volume.ndim > 2 and voxel[axis] > THICK_SLICE_RATIO * min(voxel)
        grown = dilated(inside, OBJECT_MARGIN)
        shifted, origin = np.roll(values, half, axis), ~dilated(~np.roll(inside, half, axis))
        under, beside = ~grown & origin, ~grown & ~np.roll(grown, half, axis)
        if is_slices or half < 8 or min(np.count_nonzero(under), np.count_nonzero(beside)) < MIN_BACKGROUND:
            continue
        square, cause = (np.square(thinned(x, under), dtype=np.float64) for x in (values, shifted))
        low, middle, high = np.percentile(thinned(values, beside).astype(np.float64), (25, 50, 75))
        if high > MAX_QUARTILE_RATIO * low:
            continue
        floor = float(middle**2)
        bright = cause > np.median(cause)
        if not bright.any():  # a constant has no ghost to tell
            continue
        high, low = (float(np.median(square[where])) for where in (bright, ~bright))
        presence = (float(np.median(square)) - floor) / float(np.median(cause))
        proportion = (high - low) / max(float(np.median(cause[bright]) - np.median(cause[~bright])), 1e-30)
        found = min(presence, proportion)
        visible = presence * float(np.median(cause)) > MIN_GHOST_POWER * floor
        if visible and found > strongest and repetition(values, shifted, under) > repeated * found:
            strongest = found
    return strongest**0.5


def repetition(values: NDArray[np.float32], shifted: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    """Measure how much of the shifted object's detail an image repeats, from the squares' differences of neighbours.

    Parameters
    ----------
    values, shifted : ndarray, same shape
        The image, and the same half a field of view away.
    where : ndarray of bool, same shape
        The background that the shifted object falls on.

    Returns
    -------
    float
        Slope of the one's differences on the other's, by their signs, so that no few bright voxels decide.

    Examples
    --------
    >>> object_ = np.array([1, 5, 2, 7, 3], np.float32)
    >>> round(repetition(0.1 * object_, object_, np.ones(5, bool)), 4)
    0.01
    """
    agreeing = total = 0.0
    for axis in range(values.ndim):
        of, by = (np.moveaxis(x, axis, 0) for x in (values, shifted))
        inside = np.moveaxis(where, axis, 0)
        both = inside[1:] & inside[:-1]
        square, cause = (np.square(x[1:][both], dtype=np.float64) - np.square(x[:-1][both]) for x in (of, by))
        agreeing += float((square * np.sign(cause)).sum())
        total += float(np.abs(cause).sum())
    return agreeing / total if total else 0.0


def thinned(values: NDArray[np.float32], where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return `SAMPLE_SIZE` to twice as many of the values in a mask, evenly spread; all if there are fewer."""
    found: NDArray[np.float32] = values.T[where.T]  # the first axis is fastest in memory
    return found[:: max(1, len(found) // SAMPLE_SIZE)]


def odd_even_difference(volume: NDArray[np.float32], chosen: NDArray[np.bool_]) -> float:
    """Measure how much brighter odd slices are than even ones, along the axis where that is most.

    Returns
    -------
    float
        Relative difference; each slice is compared with the mean of its neighbours where all three have signal. 0 if it
        is not significant.
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
