"""Find the stripes that a spike in k-space leaves in an image.

A spike, a single wrong value among the raw data, adds a wave to the image: stripes of one direction and width. In the
spectrum of a slice they are a single peak, much higher than all that surrounds it; the spectrum of anatomy has no such
peak beyond the lowest frequencies.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from .noise import sparse

MIN_SIDE = 32
"""Smallest number of pixels along both sides of a slice."""
MIN_PIXELS = 500
"""Smallest number of the object's pixels in a slice."""
LOWEST = 12
"""Number of waves over a slice below which a peak may be anatomy."""
WINDOW = 1.5
"""Standard deviation of the smoothing of the object's outline, pixels; a sharp outline would widen the peak."""
BRIGHTEST = 3.0
"""Limit of intensities, relative to the object's median, so that a few bright pixels do not hide the peak."""
NEAR, FAR = 3.5, 7.5
"""The ring around a peak with which it is compared, in waves over the slice."""
CANDIDATES = 8
"""Number of the highest peaks, relative to the mean around them, that are examined."""
MIN_ISOLATION = 8.0
"""Ratio of a peak's power to the largest in the ring from which it is a spike. It was at most 4 in images without one,
and above 12 in most images with a wave of 5 % of the signal."""


def stripes(volume: NDArray[np.float32], chosen: NDArray[np.bool_]) -> float:
    """Measure the stripes in the slice across each axis in which the object is largest.

    Parameters
    ----------
    volume : ndarray, spatial shape
    chosen : ndarray of bool, same shape
        The object.

    Returns
    -------
    float
        Amplitude of the strongest stripes, relative to the signal; 0 if there are none.
    """
    strongest = 0.0
    for image, inside in largest_slices(volume, chosen):
        if min(image.shape) >= MIN_SIDE and np.count_nonzero(inside) >= MIN_PIXELS:
            strongest = max(strongest, stripes_of_slice(image, inside))
    return strongest


def largest_slices(
    volume: NDArray[np.float32], chosen: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Yield the slice across each axis in which the object is largest, and where the object is; or the only slice."""
    if volume.ndim < 3:
        yield volume, chosen
        return
    for axis in range(3):
        few = chosen[sparse(chosen.shape, axis)]
        index = int(np.argmax(np.count_nonzero(few, axis=tuple(a for a in range(3) if a != axis))))
        yield np.moveaxis(volume, axis, 0)[index], np.moveaxis(chosen, axis, 0)[index]


def stripes_of_slice(image: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """Measure the stripes in one slice, as `stripes` does.

    Parameters
    ----------
    image : ndarray, shape (X, Y)
    inside : ndarray of bool, shape (X, Y)

    Examples
    --------
    >>> x, y = np.mgrid[:128, :128]
    >>> image = np.random.default_rng(0).normal(1, 0.05, x.shape).astype(np.float32)
    >>> inside = (x - 64) ** 2 + (y - 64) ** 2 < 50**2
    >>> stripes_of_slice(image, inside), round(stripes_of_slice(image * (1 + 0.1 * np.cos(0.9 * x + y)), inside), 1)
    (0.0, 0.1)
    """
    window = ndimage.gaussian_filter(ndimage.binary_erosion(ndimage.binary_fill_holes(inside)).astype(float), WINDOW)
    total = float(window.sum())
    if total <= 0:
        return 0.0
    level = float(np.median(image[inside]))
    if level <= 0:
        return 0.0
    relative = np.clip(image / level, 0, BRIGHTEST)
    relative = (relative - (relative * window).sum() / total) * window
    power = np.abs(fft.fft2(relative)) ** 2
    frequency = [np.abs(fft.fftfreq(n)) * n for n in power.shape]
    high = np.hypot(frequency[0][:, None], frequency[1]) > LOWEST
    for axis, n in enumerate(power.shape):  # odd and even rows that differ repeat the lowest frequencies here
        alternating = (frequency[axis] > n / 2 - LOWEST, frequency[1 - axis] < LOWEST)
        high[np.ix_(*(alternating if axis == 0 else alternating[::-1]))] = False
    around = np.where(high, power / np.maximum(ndimage.uniform_filter(power, 15, mode="wrap"), 1e-30), 0)
    reach = int(FAR)
    x, y = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    ring = (np.hypot(x, y) >= NEAR) & (np.hypot(x, y) <= FAR)
    x, y = x[ring], y[ring]
    strongest = 0.0
    for place in np.argpartition(around.ravel(), -CANDIDATES)[-CANDIDATES:]:
        row, column = divmod(int(place), power.shape[1])
        second = power[(row + x) % power.shape[0], (column + y) % power.shape[1]].max()
        if power[row, column] > MIN_ISOLATION * second:
            strongest = max(strongest, 2 * float(power[row, column]) ** 0.5 / total)
    return strongest
