"""Tissue levels: the histogram peak to which each log intensity belongs, near the surface and deep inside.

N3 (Sled et al., IEEE TMI 1998) and N4 (Tustison et al., IEEE TMI 2010) sharpen the histogram by deconvolution. Here an
intensity climbs to the nearest peak of the smoothed histogram instead (mean shift: Fukunaga and Hostetler, IEEE TIT
1975), so that its distance to the peak can be judged: a small distance is shading, a large one means a border between
two tissues, which contains no information about the field. Tissues outside the skull differ from those inside, so the
depth below the surface is taken into account.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.ndimage import gaussian_filter1d

from .basis import Vector
from .geometry import HEAD_EXTENT, Box
from .sampling import SampledLogImage

BIN = 0.005
"""Width of the histogram's bins (log)."""
BANDWIDTH = 0.015
"""Standard deviation of the Gaussian that smooths the histogram (log); peaks closer than twice this merge."""
DOUBLINGS = 6
"""Number of times that the map of mean shift is composed with itself, which makes 64 steps; after these, all
intensities have reached their peak."""
MIN_MASS = 1e-9
"""Bins with less than this fraction of the largest bin's mass are not moved."""


def nearest_peaks(values: Vector, weights: Vector, bandwidth: float = BANDWIDTH) -> Vector:
    """Compute for each log intensity the histogram peak to which it climbs.

    Parameters
    ----------
    values, weights : ndarray, shape (n,)
        Log intensities, and their weights in the histogram.
    bandwidth : float
        Standard deviation of the smoothing (log).

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    >>> values = np.concatenate([np.linspace(-0.02, 0.02, 101), np.linspace(0.28, 0.32, 101)])
    >>> peaks = nearest_peaks(values, np.ones(202))
    >>> float(peaks[0].round(2)) + 0.0, float(peaks[-1].round(2))
    (0.0, 0.3)
    """
    low = float(values.min()) - 4 * bandwidth
    count = int((float(values.max()) + 4 * bandwidth - low) / BIN) + 2
    place = (values - low) / BIN
    left = place.astype(np.intp)
    right = place - left
    # Each value is divided between the two nearest bins, so that the result has no steps.
    histogram = np.bincount(left, weights * (1 - right), count) + np.bincount(left + 1, weights * right, count)
    centres = low + BIN * np.arange(count)
    mass, moment = (gaussian_filter1d(h, bandwidth / BIN, mode="constant") for h in (histogram, histogram * centres))
    shifted = np.where(mass > MIN_MASS * mass.max(), moment / np.maximum(mass, np.finfo(float).tiny), centres)
    peaks = np.asarray(shifted, np.float64)
    for _ in range(DOUBLINGS):
        peaks = np.asarray(np.interp(peaks, centres, peaks), np.float64)
    found: Vector = peaks[left] * (1 - right) + peaks[left + 1] * right
    return found


DEPTHS = 10.0, 25.0
"""Depths below the surface, in 220ths of the extent, between which the inner histogram gradually replaces the outer."""
CUT_SHARE = 0.2
"""Fraction of its largest section from which a section of the body at the end of the grid counts as a cut."""


def inner_share(points: SampledLogImage, box: Box) -> NDArray[np.float64]:
    """Compute how much each point belongs to the inside of the body rather than to the region near its surface.

    If the body reaches an end of the grid with a large section, this end is not a surface: there the neck or the field
    of view is cut.

    Returns
    -------
    ndarray, shape of the grid
        0 near the surface, 1 from `DEPTHS` on.
    """
    inside = ndimage.binary_fill_holes(points.inside.cpu().numpy())
    spacing = [float(np.diff(p).mean()) if len(p) > 1 else 1.0 for p in points.position]
    padded = np.pad(inside, [(1, 1) if n > 1 else (0, 0) for n in inside.shape])
    for axis in range(3):
        sections = padded.sum(tuple(a for a in range(3) if a != axis))
        for end, beside in ((0, 1), (-1, -2)):
            if len(sections) > 2 and sections[beside] > CUT_SHARE * sections.max():
                np.moveaxis(padded, axis, 0)[end] = np.moveaxis(padded, axis, 0)[beside]
    if padded.all():
        return np.ones(inside.shape)
    depth = ndimage.distance_transform_edt(padded, sampling=spacing)
    depth = depth[tuple(slice(1, -1) if n > 1 else slice(None) for n in inside.shape)] * (HEAD_EXTENT / box.extent)
    return np.clip((depth - DEPTHS[0]) / (DEPTHS[1] - DEPTHS[0]), 0, 1)
