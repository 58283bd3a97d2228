"""Average the volumes of a series, and find a volume that spoils the mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from getnet_bids.errors import GetNetError

from .noise import sparse

MAX_INTENSITY = 1e37
"""Largest intensity; larger values could exceed float32 after the division by the field."""
SAMPLE_LINES, SAMPLE_LIMIT = 8, 99
"""Number of voxels along each axis by which volumes are compared, and the percentile to which their values are limited,
so that a few bright voxels have no effect."""
MIN_CORRELATION = 0.1
"""Correlation of a volume with the others below which it is unlike them. Volumes of one object have the same outline,
whatever their contrast."""


def mean_volume(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the mean of a series' volumes, or return the image; values that are not finite are left out, or become 0.

    Raises
    ------
    GetNetError
        As for `mean_of`.
    """
    if image.ndim < 4:
        return finite(image)[0]
    return mean_of((image[..., i] for i in range(image.shape[3])), image.shape[3], image.shape[:3])


def mean_of(
    volumes: Iterable[NDArray[np.float32]], number: int, shape: tuple[int, ...], places: Sequence[int] | None = None
) -> NDArray[np.float32]:
    """Compute the mean of a number of volumes, taken one after the other, as `mean_volume` does.

    Parameters
    ----------
    volumes : iterable of ndarray, all of the same shape
    number : int
    shape : tuple of int
    places : sequence of int, optional
        Their places in the series, from 0, for messages; default: the first ones.

    Raises
    ------
    GetNetError
        A volume has values above `MAX_INTENSITY`, or makes up most of the mean and is unlike the others.
    """
    total, count = np.zeros(shape, np.float32, order="F"), np.zeros(shape, np.float32, order="F")
    brightest = Brightest()
    for i, values in enumerate(volumes):
        name = f"volume {1 + (i if places is None else places[i])}"
        try:
            volume, there = finite(values)
        except GetNetError as error:
            raise GetNetError(f"{name}: {error.reason}", error.subject) from None
        brightest.add(volume, name)
        total += volume / np.float32(number)
        count += there
    if brightest.is_odd():
        raise GetNetError(
            f"{brightest.name} of the series is brighter than all others together, and unlike them: leave it out, or "
            "repair it"
        )
    return (total * (number / np.maximum(count, 1))).astype(np.float32, copy=False)


@dataclass
class Brightest:
    """The brightest volume of a series, and the sum of the others, on a few voxels.

    Parameters
    ----------
    name : str
    sample, others : ndarray
    count : int
        Number of volumes.
    """

    name: str = ""
    sample: NDArray[np.float64] | None = None
    others: NDArray[np.float64] | None = None
    count: int = 0

    def add(self, volume: NDArray[np.float32], name: str) -> None:
        """Add a volume."""
        few = np.abs(volume[sparse(volume.shape, lines=SAMPLE_LINES)]).astype(np.float64)
        few = np.minimum(few, np.percentile(few, SAMPLE_LIMIT))
        self.count += 1
        if self.sample is None or self.others is None:
            self.name, self.sample, self.others = name, few, np.zeros_like(few)
        elif few.sum() > self.sample.sum():
            self.name, self.sample, self.others = name, few, self.others + self.sample
        else:
            self.others = self.others + few

    def is_odd(self) -> bool:
        """Return whether it is brighter than the sum of at least two others, and unlike them.

        Examples
        --------
        >>> rng, brightest = np.random.default_rng(0), Brightest()
        >>> for i in range(4):
        ...     brightest.add((rng.random((9, 9, 9)) * 100 if i == 2 else np.ones((9, 9, 9)) * np.arange(9)), str(i))
        >>> brightest.name, brightest.is_odd()
        ('2', True)
        """
        if self.count < 3 or self.sample is None or self.others is None or self.sample.sum() <= self.others.sum():
            return False
        one, other = (x - x.mean() for x in (self.sample, self.others))
        size = float(np.square(one).sum() * np.square(other).sum()) ** 0.5
        return size > 0 and float((one * other).sum()) < MIN_CORRELATION * size


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
