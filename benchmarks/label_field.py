"""Estimate the bias field from manual labels of gray and white matter, without any correction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from getnet_bids.core.basis import cosines

HALF_WAVE = 70.0
"""Shortest half wave of a smooth field, mm: the same for all methods and versions, whatever their own limit."""
MARGIN = 0.1
"""Margin of the cosines' domain at each end of the image, as a fraction of its length."""
SAMPLES = 30_000
"""Largest number of voxels of each tissue to which the field is fitted."""
RIDGE = 1e-5
"""Weight of the coefficients' squares, per voxel; coefficients that no labelled voxel determines stay 0."""
TUKEY, MAD = 4.685, 1.4826
"""Tukey's biweight: number of standard deviations beyond which residuals do not count, and factor from the median
absolute deviation to the standard deviation."""
ITERATIONS = 6


@dataclass(frozen=True)
class LabelField:
    """A reference field.

    Parameters
    ----------
    log_field : ndarray, shape (X, Y, Z)
        Log field with an arbitrary mean.
    gray, white : ndarray of bool
        Gray and white matter, eroded by a voxel.
    both : ndarray of bool
        Gray and white matter, not eroded.
    contrast : float
        Log ratio of white to gray matter.
    """

    log_field: NDArray[np.float64]
    gray: NDArray[np.bool_]
    white: NDArray[np.bool_]
    both: NDArray[np.bool_]
    contrast: float


def fit_label_field(image: NDArray[np.float32], labels: NDArray[np.int16], voxel: Sequence[float]) -> LabelField:
    """Fit log image = level of the tissue + smooth field, robustly, over eroded gray and white matter.

    Parameters
    ----------
    image : ndarray, shape (X, Y, Z)
    labels : ndarray of int, shape (X, Y, Z)
        2 gray, 3 white matter.
    voxel : sequence of float
        mm.

    Returns
    -------
    LabelField
    """
    bases = []
    for count, size in zip(image.shape, voxel, strict=True):
        ends = -MARGIN * count * size, (1 + MARGIN) * count * size
        waves = max(2, 1 + int((ends[1] - ends[0]) / HALF_WAVE))
        bases.append(cosines((np.arange(count) + 0.5) * size, *ends, waves))
    gray, white = (ndimage.binary_erosion(labels == label) & (image > 0) for label in (2, 3))
    rng = np.random.default_rng(0)
    gray_points, white_points = (pick(np.argwhere(tissue), rng) for tissue in (gray, white))
    points = np.concatenate([gray_points, white_points])
    values = np.log(image[tuple(points.T)].astype(np.float64))
    is_gray = np.arange(len(points)) < len(gray_points)
    along = [basis[points[:, axis]] for axis, basis in enumerate(bases)]
    products = np.einsum("ni,nj,nk->nijk", *along).reshape(len(points), -1)[:, 1:]
    design = np.column_stack([products, is_gray, ~is_gray])
    penalty = RIDGE * len(points) * np.eye(design.shape[1])
    penalty[-2:] = 0  # the levels are free
    weights = np.ones(len(points))
    for _ in range(ITERATIONS):
        normal = design.T @ (weights[:, None] * design) + penalty
        solution = np.linalg.solve(normal, design.T @ (weights * values))
        residual = values - design @ solution
        scale = TUKEY * MAD * np.median(np.abs(residual))
        weights = np.clip(1 - (residual / scale) ** 2, 0, None) ** 2
    theta = np.concatenate([[0], solution[:-2]]).reshape([basis.shape[1] for basis in bases])
    log_field = np.einsum("ijk,xi,yj,zk->xyz", theta, *bases, optimize=True)
    return LabelField(log_field, gray, white, labels >= 2, float(solution[-1] - solution[-2]))


def pick(points: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw at most a given number of points."""
    return points[rng.choice(len(points), min(len(points), SAMPLES), replace=False)]
