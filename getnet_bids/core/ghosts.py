"""Measure ghosts: fainter copies of the object a simple fraction of the field of view away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from .noise import dilated, sparse
from .signs import MIN_BACKGROUND, OBJECT_MARGIN

HALF = Fraction(1, 2)
SHIFTS = (HALF, *(Fraction(*of) for of in ((1, 3), (-1, 3), (1, 4), (-1, 4))))
"""Distances of ghosts that are searched, in fields of view. Odd and even lines that do not match leave a copy at a
half; acquisitions in several shots, or accelerated ones, leave some at a third or a quarter, too."""
CROSSING_LINES, LINES_ALONG = 32, 64
"""Number of voxels that are examined across and along the axis of a ghost."""
THICK_SLICE_RATIO = 1.1
"""Ratio of voxel sizes from which the longer axis is that of the slices."""
BRIGHT_SHARE = 0.4
"""Fraction of the object's upper quartile from which voxels are too bright to be a ghost of it."""
MIN_GHOST_POWER = 0.2
"""Smallest power of a ghost of the object's brighter half, relative to that of the noise, with which it can be
detected."""
MAX_QUARTILE_RATIO = 4.0
"""Ratio of the upper to the lower quartile of a background above which it is not only noise, for which it is at most
2.2."""
MIN_STANDARD_ERRORS = 4.0
"""Smallest significant repetition of the object's detail, in standard errors. It was larger in 2 of 192 simulated
echo-planar images with 2 to 8 % of noise and no ghost, and in most with a ghost of 5 %."""
MISALIGNED, MAX_MISALIGNED = 4, 0.6
"""Number of voxels by which a copy is misaligned, and the largest fraction of the repetition that may remain then. It
was at most 0.3 for ghosts, and 0.9 to 1.1 for a blurred face a quarter of the field of view away."""
SAMPLE_SIZE = 10_000
"""Number of voxels whose median is as good as that of all."""


@dataclass(frozen=True)
class Limits:
    """What counts as a ghost.

    Parameters
    ----------
    strength : float
        Smallest strength relative to the object.
    repeated : float
        Fraction of a ghost's strength that must also be found in the differences of neighbours.
    """

    strength: float
    repeated: float


WEAK, STRONG = Limits(0.01, 0.2), Limits(0.05, 0.3)
"""The limits for ghosts, and for ghosts that are so strong that they count as foreground, which weaker ones do not."""


@dataclass(frozen=True)
class Ghost:
    """A ghost.

    Parameters
    ----------
    strength : float
        Relative to the object; 0 if there is none.
    shift : Fraction
        Its distance, in fields of view.
    """

    strength: float = 0.0
    shift: Fraction = HALF


NO_GHOST = Ghost()


def find_ghost(volume: NDArray[np.float32], chosen: NDArray[np.bool_], voxel: tuple[float, ...]) -> Ghost:
    """Measure the strongest ghost along any axis.

    If lines that were acquired alternately do not match, a fainter copy of the object appears half a field of view (or
    a third, or a quarter) away. It is visible on the background. There the square of the magnitude is that of the noise
    plus that of the ghost, which is proportional to the square of the shifted object, and higher than in the rest of
    the background. The copy also has the object's details, unlike noise, dim tissue and parts that are folded over.
    Lines lie within slices, so the axis of the slices, along which voxels are longer than along another axis, has no
    such ghost.

    Parameters
    ----------
    volume : ndarray, spatial shape
    chosen : ndarray of bool, same shape
        The object.
    voxel : tuple of float
        mm.

    Returns
    -------
    Ghost
        Its strength is the smaller of the estimates from its mean power and from its proportionality, so that other
        things in the background do not count; 0 if there is too little background.
    """
    lines = list(lines_of(volume, chosen, voxel))
    found = strongest([ghost for one in lines for ghost in one.ghosts(one.inside, WEAK)])
    part = sparse(volume.shape)
    object_ = volume[part][chosen[part]]
    if found.strength or not object_.size:
        return found
    # A strong ghost is part of the foreground: search outside the voxels that are too bright for a ghost.
    limit = BRIGHT_SHARE * float(np.percentile(object_, 75))
    return strongest([ghost for one in lines for ghost in one.ghosts(one.inside & (one.values > limit), STRONG)])


def strongest(ghosts: list[Ghost]) -> Ghost:
    """Return the strongest of several ghosts, or one of strength 0."""
    return max(ghosts, key=lambda ghost: ghost.strength, default=NO_GHOST)


@dataclass(frozen=True)
class Lines:
    """Some lines of a volume along an axis.

    Parameters
    ----------
    values, inside : ndarray
        The volume and its object on these lines, all voxels along the axis.
    axis : int
    """

    values: NDArray[np.float32]
    inside: NDArray[np.bool_]
    axis: int

    def ghosts(self, inside: NDArray[np.bool_], limits: Limits) -> Iterator[Ghost]:
        """Measure the ghosts of an object at each of the distances; those that there are not are left out."""
        if not inside.any():
            return
        few = (slice(None),) * self.axis + (slice(None, None, max(1, self.values.shape[self.axis] // LINES_ALONG)),)
        grown, core, values = dilated(inside, OBJECT_MARGIN), ~dilated(~inside), self.values[few].copy(order="K")
        outside = ~grown[few]
        if np.count_nonzero(outside) < MIN_BACKGROUND:
            return
        middle = float(np.median(thinned(values, outside)))
        for shift in SHIFTS:
            step = int(shift * self.values.shape[self.axis])
            shifted = np.roll(self.values, step, self.axis)[few]
            origin, near = (np.roll(x, step, self.axis)[few] for x in (core, grown))
            under, beside = outside & origin, outside & ~near
            if min(np.count_nonzero(under), np.count_nonzero(beside)) >= MIN_BACKGROUND:
                strength = ghost_strength(values, shifted, under, beside, middle, limits)
                if strength and (shift == HALF or is_sharp(values, shifted, under, self.axis)):
                    yield Ghost(strength, abs(shift))


def lines_of(volume: NDArray[np.float32], chosen: NDArray[np.bool_], voxel: tuple[float, ...]) -> Iterator[Lines]:
    """Take some lines along each axis along which there may be a ghost."""
    for axis in range(volume.ndim):
        is_slices = volume.ndim > 2 and voxel[axis] > THICK_SLICE_RATIO * min(voxel)
        if volume.shape[axis] >= 16 and not is_slices:
            part = sparse(volume.shape, axis, CROSSING_LINES)
            yield Lines(volume[part].copy(order="K"), chosen[part].copy(order="K"), axis)


def ghost_strength(
    values: NDArray[np.float32],
    shifted: NDArray[np.float32],
    under: NDArray[np.bool_],
    beside: NDArray[np.bool_],
    middle: float,
    limits: Limits,
) -> float:
    """Measure a ghost at one distance.

    Parameters
    ----------
    values, shifted : ndarray, same shape
        The image, and the same shifted by that distance.
    under, beside : ndarray of bool, same shape
        The background that the shifted object falls on, and the rest.
    middle : float
        Median of the whole background.
    limits : Limits

    Returns
    -------
    float
        Strength relative to the object; 0 if there is none.
    """
    ghostly, cause = thinned(values, under), thinned(shifted, under)
    level, half = float(np.median(ghostly)), float(np.median(cause))
    if level <= max(middle, limits.strength * half):  # the ghost would be in the majority, and higher than the rest
        return 0.0
    floor_values = thinned(values, beside)
    low, floor, high = (float(x) for x in np.percentile(floor_values, (25, 50, 75)))
    presence = (level**2 - floor**2) / half**2 if half > 0 else 0.0
    if high > MAX_QUARTILE_RATIO * low:
        return 0.0
    bright = cause > half
    if not bright.any():  # the ghost of a constant cannot be measured
        return 0.0
    higher, lower, bright_cause, dim_cause = (
        float(np.median(x[where])) ** 2 for x in (ghostly, cause) for where in (bright, ~bright)
    )
    if higher - floor**2 <= MIN_GHOST_POWER * floor**2:
        return 0.0
    found = min(presence, (higher - lower) / max(bright_cause - dim_cause, 1e-30))
    if found <= limits.strength**2:
        return 0.0
    slope, standard_errors = repetition(values, shifted, under)
    return found**0.5 if slope > limits.repeated * found and standard_errors > MIN_STANDARD_ERRORS else 0.0


def is_sharp(values: NDArray[np.float32], shifted: NDArray[np.float32], under: NDArray[np.bool_], axis: int) -> bool:
    """Return whether an image repeats a shifted object in its exact place, unlike something blurred that lies there.

    At half the field of view this is not needed, as the object's symmetric halves may look alike there.

    Parameters
    ----------
    values, shifted, under
        As for `ghost_strength`.
    axis : int
        Along which it is shifted.
    """
    exact, *others = (repetition(values, np.roll(shifted, by, axis), under)[0] for by in (0, MISALIGNED, -MISALIGNED))
    return max(others) < MAX_MISALIGNED * exact


def repetition(
    values: NDArray[np.float32], shifted: NDArray[np.float32], where: NDArray[np.bool_]
) -> tuple[float, float]:
    """Measure how much of the shifted object's detail an image repeats, from differences of neighbours' squares.

    Parameters
    ----------
    values, shifted : ndarray, same shape
        The image, and the same shifted.
    where : ndarray of bool, same shape
        The background that the shifted object falls on.

    Returns
    -------
    slope : float
        Slope of the image's differences on those of the shifted object, weighted by the latter, which are limited to
        their mean size, so that a few bright voxels have little effect.
    standard_errors : float
        The same in standard errors, as if differences were independent.

    Examples
    --------
    >>> object_ = np.array([1, 5, 2, 7, 3], np.float32)
    >>> [round(x, 2) for x in repetition(0.1 * object_, object_, np.ones(5, bool))]
    [0.01, 1.81]
    """
    agreeing = total = power = 0.0
    for axis in range(values.ndim):
        of, by = (np.moveaxis(x, axis, 0) for x in (values, shifted))
        inside = np.moveaxis(where, axis, 0)
        both = inside[1:] & inside[:-1]
        square, cause = (
            np.square(x[1:][both], dtype=np.float64) - np.square(x[:-1][both], dtype=np.float64) for x in (of, by)
        )
        if not cause.size:
            continue
        limit = float(np.abs(cause).mean())
        product = square * np.clip(cause, -limit, limit)
        agreeing += float(product.sum())
        total += float((cause * np.clip(cause, -limit, limit)).sum())
        power += float(np.square(product).sum())
    return (agreeing / total, agreeing / power**0.5) if total and power else (0.0, 0.0)


def thinned(values: NDArray[np.float32], where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return between `SAMPLE_SIZE` and twice as many evenly spread values of a mask, or all if there are fewer."""
    found: NDArray[np.float32] = values.T[where.T]  # the first axis is fastest in memory
    return found[:: max(1, len(found) // SAMPLE_SIZE)]
