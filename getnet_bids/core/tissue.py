"""Tissue levels: the histogram peak that each log intensity belongs to, near the surface and deep inside.

N3 (Sled et al., IEEE TMI 1998) and N4 (Tustison et al., IEEE TMI 2010) sharpen the histogram by deconvolution. Here an
intensity climbs to the nearest peak of the smoothed histogram instead (mean shift: Fukunaga and Hostetler, IEEE TIT
1975), so that its whole distance to the peak can be judged: a small one is shading, a large one is a border of two
tissues and tells nothing about the field. What lies outside of the skull has other tissues than what lies inside, so
that depth below the surface counts.
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
"""Standard deviation of the Gaussian that smooths the histogram (log): peaks nearer than twice this are one."""
DOUBLINGS = 6
"""The map of one step of mean shift is applied to itself so often: 64 steps, after which all are at their peak."""
MIN_MASS = 1e-9
"""Bins with less than this share of the fullest one's mass have no mean to move to."""


def nearest_peaks(values: Vector, weights: Vector, bandwidth: float = BANDWIDTH) -> Vector:
    """Return for each log intensity the histogram peak that it climbs to.

    Parameters
    ----------
    values, weights : ndarray, shape (n,)
        Log intensities, and how much each counts in the histogram.
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
    # Shared out between the two nearest bins, so that the result has no steps.
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
"""Between these depths below the surface, in 220ths of the extent, the inner histogram takes over from the outer."""
CUT_SHARE = 0.2
"""A body ends at the grid's end in a cut if its section there has more than this share of its largest section."""


def inner_share(points: SampledLogImage, box: Box) -> NDArray[np.float64]:
    """Compute how much each point belongs to the body's inside rather than to what lies near its surface.

    An end of the grid that the body crosses in a large section is no surface: there a neck, or the view, is cut.

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
