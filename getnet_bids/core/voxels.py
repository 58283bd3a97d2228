"""Convert voxels to the form that a correction needs: finite float32 numbers, with the first axis fastest in memory."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from getnet_bids.errors import GetNetError

from .averages import MAX_INTENSITY
from .noise import LINES, dilated, sparse


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


BORDER, SAMPLE = 0.5, 4_000
"""Fraction of the voxels on the faces that must have a value for it to be the background, and the approximate number of
voxels that are sampled on each face."""
NEGATIVE_SHARE = 0.01
"""Largest fraction of the other voxels that may be negative if a negative background is not an offset."""


def faces(volume: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return the faces of a volume; axes of up to two voxels have none."""
    return [
        np.moveaxis(volume, axis, 0)[end] for axis in range(volume.ndim) if volume.shape[axis] > 2 for end in (0, -1)
    ]


def border_values(volume: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the values on the faces of a volume, and the fraction of the voxels that have each."""
    samples = []
    for face in faces(volume):
        stride = max(1, round((face.size / SAMPLE) ** (1 / face.ndim)))
        samples.append(face[(slice(None, None, stride),) * face.ndim].ravel())
    value, count = np.unique(np.concatenate(samples), return_counts=True)
    return value, count / count.sum()


def constant_background(volume: NDArray[np.float32], border: tuple[NDArray[np.float32], NDArray[np.float64]]) -> float:
    """Return the value of most voxels on the faces of a volume, or 0 if there is none.

    Examples
    --------
    >>> volume = np.full((6, 6, 6), 700, np.float32)
    >>> volume[1:5, 1:5, 1:5] = np.arange(64).reshape(4, 4, 4)
    >>> constant_background(volume, border_values(volume))
    700.0
    >>> volume = np.arange(216, dtype=np.float32).reshape(6, 6, 6)
    >>> constant_background(volume, border_values(volume))
    0.0
    """
    values, shares = border
    most = int(shares.argmax())
    value = float(values[most])
    if shares[most] <= BORDER or not np.count_nonzero(volume != values[most]):
        return 0.0
    if 0 < value <= MAX_ROUNDED_LEVEL * bright_level(volume):
        multiples = volume[sparse(volume.shape)] / values[most]
        if (np.abs(multiples - np.rint(multiples)) < ROUNDING).all():
            return 0.0
    return value


def few_values(
    volume: NDArray[np.float32], border: tuple[NDArray[np.float32], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return the values other than 0 of which most of the faces consist, with 0: a chessboard, or stripes.

    Returns
    -------
    ndarray
        The most frequent first. Empty if there are none, or if the volume has no values between them: then they are
        noise in whole numbers.

    Examples
    --------
    >>> volume = np.add.outer(np.arange(9), np.arange(8)) % 2 * np.float32(100) + 100
    >>> volume[2:7, 2:6] = np.arange(20).reshape(5, 4) * 10
    >>> few_values(volume, border_values(volume)).tolist()
    [100.0, 200.0]
    """
    values, shares = border
    frequent = (shares > MIN_LINES) & (values != 0)
    empty = float(shares[values == 0].sum())
    if not frequent.any() or shares[frequent].sum() + empty <= BORDER:
        return np.zeros(0)
    few = volume[sparse(volume.shape)]
    levels = values[frequent] if not empty else np.append(values[frequent], np.float32(0))
    levels.sort()
    between = (np.count_nonzero((few > low) & (few < high)) for low, high in itertools.pairwise(levels))
    if not all(between) or (np.abs(values[frequent]) <= MIN_LEVEL * bright_level(volume)).any():
        return np.zeros(0)
    return values[frequent][np.argsort(-shares[frequent])].astype(float)


MIN_RUN, RUN_TOLERANCE = 4, 0.002
"""Number of voxels in a row, from outside, that are background if they differ by at most this fraction of their value.
An image that was resampled, or whose numbers were rounded, has no exact constant."""
MIN_LINES, CLUSTER_WIDTH = 0.03, 0.01
"""Smallest fraction of the lines into a volume that must begin with such a value, and the largest relative difference
between values of one background."""
MIN_LEVEL = 0.02
"""Smallest value of a background relative to the bright voxels; smaller grey values are noise in whole numbers."""
MAX_ROUNDED_LEVEL, ROUNDING = 0.05, 1e-3
"""Level relative to the bright voxels up to which a value is not a background, but noise that was rounded to a whole
number, if all values are multiples of it, with this tolerance."""
MAX_OTHERS, MAX_NOISE_LEVEL = 0.1, 0.2
"""Fraction of lines that begin otherwise above which their level is that of the noise, and the largest such level
relative to the bright voxels."""
EVEN, MAX_EVEN = 0.005, 0.3
"""Largest relative difference of neighbours that count as even, and the largest fraction of even neighbours beside a
background that is not exactly constant: in images without noise tissues are even, too. If the background is exact, only
equal neighbours count."""
SMOOTH, EXACTLY_SMOOTH = 0.003, 0.0001
"""Largest second differences of a background that is smooth, or exactly so, relative to the bright voxels."""
MIN_SMOOTH_LEVEL, MIN_EXACT_LEVEL, MIN_SMOOTH = 0.1, 0.03, 0.6
"""Their smallest levels, relative to the bright voxels, and the smallest fraction of the faces that must be so. The
noise that remains in the mean of many volumes is smooth, too, but low, and not exactly smooth."""
LINES_ACROSS = 32
"""Number of lines along each axis that are examined."""


@dataclass(frozen=True)
class Background:
    """Background of an object, if it consists of one value, or several, other than 0.

    Parameters
    ----------
    value : float
        The value, or the most frequent of several; 0 if there is none.
    where : ndarray of bool, optional, spatial shape
        The voxels of the background; default: those that have the value.
    """

    value: float
    where: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, volume: NDArray[np.float32]) -> Background:
        """Find the background of a volume: a value of most of its faces, or plateaus between outside and object.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> volume = rng.uniform(1, 2, (20, 20, 20)).astype(np.float32)
        >>> volume[:6] = 700 + rng.uniform(-0.1, 0.1, (6, 20, 20))
        >>> round(Background.of(volume).value), int(Background.of(volume).inside(volume).sum())
        (700, 2400)
        """
        border = border_values(volume)
        value = constant_background(volume, border)
        values = few_values(volume, border)
        exact = len(values) > (value != 0)
        values, tolerance = (values, np.zeros(len(values))) if exact else plateaus(volume, value)
        if not len(values):
            return cls(value) if value or not begins_smoothly(volume) else cls.smooth(volume)
        where = np.zeros(volume.shape, bool)
        for one, width in zip(values, tolerance, strict=True):
            where |= np.abs(volume - one) <= width
        pieces, _ = ndimage.label(where | (volume == 0) if exact else where)
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        where = (sizes >= MIN_LINES * sizes.max(initial=1))[pieces] & where
        others = ~where & (volume != value) & (volume != 0)
        rest = volume[others]
        if rest.size < MIN_RUN or evenness(volume, others, EVEN if tolerance[0] else 0.0) > MAX_EVEN:
            return cls(value)
        if values[0] >= volume.max() * (1 - CLUSTER_WIDTH) and np.percentile(rest, 99.5) > 0.9 * values[0]:
            return cls(value)  # clipped
        if not value:
            value = float(values[0]) if tolerance[0] == 0 else float(f"{values[0]:.4g}")
        return cls(value, where | (volume == value))

    @classmethod
    def smooth(cls, volume: NDArray[np.float32]) -> Background:
        """Find the background of a volume if it is a ramp, or another smooth function, from the faces to the object."""
        curved = np.zeros(volume.shape, bool)
        limit = SMOOTH * bright_level(volume)
        for axis in range(volume.ndim):
            rows, to = np.moveaxis(volume, axis, 0), np.moveaxis(curved, axis, 0)
            to[1:-1] |= np.abs(rows[2:] - 2 * rows[1:-1] + rows[:-2]) > limit
        pieces, _ = ndimage.label(~curved)
        outer = np.unique(np.concatenate([face.ravel() for face in faces(pieces)]))
        sizes = np.bincount(pieces.ravel())
        large = outer[(outer > 0) & (sizes[outer] >= MIN_LINES * sizes[outer[outer > 0]].max(initial=1))]
        where = dilated(np.isin(pieces, large))  # voxels beside the object are curved
        if evenness(volume, ~where, 2 * SMOOTH) > MAX_EVEN:  # an image without noise
            return cls(0.0)
        return cls(float(f"{np.median(volume[where]):.4g}"), where)

    def inside(self, volume: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return its voxels in the volume in which it was found; without a background those that are 0."""
        found: NDArray[np.bool_] = volume == np.float32(self.value) if self.where is None else self.where
        return found

    def removed_from(self, volume: NDArray[np.float32]) -> NDArray[np.float32]:
        """Set the background to 0; if nothing is darker than it, it is an offset, and is subtracted.

        A negative value is not an offset if hardly any other value is negative: voxels were then filled with it, for
        example with -1000.
        """
        if self.value == 0:
            return volume
        where, value = self.inside(volume), np.float32(self.value)
        out: NDArray[np.float32] = np.where(where, np.float32(0), volume)
        filled = value < 0 and np.count_nonzero(out < 0) <= NEGATIVE_SHARE * np.count_nonzero(out)
        rest = volume[~where]
        one = float(np.ptp(volume[where])) <= CLUSTER_WIDTH * abs(value)
        if one and value <= rest.min() and not filled:
            out = np.where(where, np.float32(0), volume - value)
        return out


def bright_level(volume: NDArray[np.float32], lines: int = LINES) -> float:
    """Return a high percentile of a volume's magnitudes, which belongs to the object."""
    return float(np.percentile(np.abs(volume[sparse(volume.shape, lines=lines)]), 99))


def begins_smoothly(volume: NDArray[np.float32]) -> bool:
    """Return whether the faces of a volume are high and without noise, unlike air and tissue.

    Examples
    --------
    >>> ramp = np.broadcast_to(np.linspace(1, 3, 24, dtype=np.float32), (24, 24, 24))
    >>> noise = np.random.default_rng(0).normal(1, 0.1, (24, 24, 24)).astype(np.float32)
    >>> begins_smoothly(ramp), begins_smoothly(ramp * noise), begins_smoothly(noise * (noise > 9))
    (True, False, False)
    """
    smooth, total = 0, 0
    bright = bright_level(volume, LINES_ACROSS // 2)
    for face in faces(volume):
        rows = face[sparse(face.shape, 0, LINES_ACROSS)]
        second = np.abs(rows[2:] - 2 * rows[1:-1] + rows[:-2])
        found = np.zeros(second.shape, bool)
        for limit, lowest in ((SMOOTH, MIN_SMOOTH_LEVEL), (EXACTLY_SMOOTH, MIN_EXACT_LEVEL)):
            found |= (second <= limit * bright) & (rows[1:-1] > lowest * bright)
        smooth += int(np.count_nonzero(found))
        total += second.size
    return smooth > MIN_SMOOTH * total


def plateaus(volume: NDArray[np.float32], skipped: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the values with which lines into a volume begin, if they stay constant for some voxels.

    Parameters
    ----------
    volume : ndarray
    skipped : float
        A background that is already known; the lines are examined behind it, and behind 0.

    Returns
    -------
    values, tolerances : ndarray
        The most frequent first. None if few lines begin in this way, or if these and others begin in noise, for example
        in noise that was partly blurred.
    """
    first, run = [np.zeros(0)], [np.zeros(0, bool)]
    for axis in range(volume.ndim):
        lines = np.moveaxis(volume[sparse(volume.shape, axis, LINES_ACROSS)], axis, 0).reshape(volume.shape[axis], -1)
        for along in (lines, lines[::-1]) if len(lines) > 2 * MIN_RUN else ():
            empty = (along == 0) | (along == np.float32(skipped))
            start = np.minimum(empty.argmin(0), len(along) - MIN_RUN)
            values = np.stack([along[start + i, np.arange(along.shape[1])] for i in range(MIN_RUN)]).astype(float)
            used = ~empty.all(0)
            first.append(np.median(values, 0)[used])
            run.append((np.ptp(values, 0) <= RUN_TOLERANCE * np.abs(values[0]))[used])
    starts, even = np.concatenate(first), np.concatenate(run)
    if even.sum() < max(MIN_LINES * len(even), MIN_RUN):
        return np.zeros(0), np.zeros(0)
    others, bright = starts[~even], bright_level(volume)
    noise = float(np.median(others)) if len(others) > MAX_OTHERS * len(starts) else 0.0
    values = np.sort(starts[even])
    values = values[np.abs(values) > MIN_LEVEL * bright]
    if noise < MAX_NOISE_LEVEL * bright:
        values = values[(values < noise / 2) | (values > 2 * noise)]
    parts = np.split(values, np.flatnonzero(np.diff(values) > CLUSTER_WIDTH * np.abs(values[1:])) + 1)
    large = sorted((part for part in parts if len(part) > MIN_LINES * len(starts)), key=len, reverse=True)
    centres = np.array([float(np.median(part)) for part in large])
    widths = [2 * float(np.abs(part - centre).max()) for part, centre in zip(large, centres, strict=True)]
    return centres, np.minimum(widths, RUN_TOLERANCE * np.abs(centres))


def evenness(volume: NDArray[np.float32], where: NDArray[np.bool_], tolerance: float) -> float:
    """Return the fraction of neighbours along the last axis in a mask that are equal within a relative tolerance."""
    both = where[..., 1:] & where[..., :-1]
    one, other = volume[..., 1:][both], volume[..., :-1][both]
    return float((np.abs(one - other) <= tolerance * np.abs(one)).mean()) if one.size else 1.0


def scaled(volume: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale a volume to a maximum of 1, or leave it if nothing is above 0; the first axis is fastest in memory."""
    peak = volume.max()
    if 0 < peak < 1 and volume.min() < -MAX_INTENSITY * peak:
        volume = np.maximum(volume, 0)  # otherwise the quotient would overflow; values below 0 are not signal
    # In memory allocated by torch, since the last bits of products may depend on the memory's alignment.
    out = torch.empty(volume.shape[::-1], dtype=torch.float32, device="cpu").numpy().T
    return np.divide(volume, peak if peak > 0 else 1, out=out)


def usable_mask(mask: ArrayLike, spatial: tuple[int, ...]) -> NDArray[np.bool_]:
    """Convert a mask of the image's shape to bool."""
    array = np.asarray(mask)
    if array.shape != spatial:
        raise GetNetError(f"the mask's shape {array.shape} is not the image's {spatial}")
    return array > 0
