"""Sample the logarithm of a volume on a coarse grid, with weights that are high where the image is flat."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .basis import Vector
from .geometry import HEAD_EXTENT, ROUNDING, Box
from .noise import relative_noise

POINTS_PER_AXIS = 55
"""Number of points along the object's longest extent; in a head they are 4 mm apart."""
SMOOTHING = 0.8
"""Standard deviation of the smoothing of the image and its gradient, in 220ths of the object's extent (mm in a head);
noisy images are smoothed more."""
POINT_NOISE = 0.03
"""Relative noise of a point with which tissues can be distinguished; the smoothing is increased until it is reached."""
HALF_WEIGHT_CHANGE = 0.05
"""Relative change for which a point counts half, over a 220th of the extent (1 mm in a head) or one voxel if larger."""
REACH = 4
"""Number of standard deviations at which Gaussians are cut off."""


@dataclass(frozen=True)
class SampledLogImage:
    """A log image on a grid of points over a volume.

    Parameters
    ----------
    log_image : Tensor, shape (I, J, K), float64
        0 where the weight is 0.
    weight : Tensor, shape (I, J, K), float64
        1 where the image is flat, near 0 at borders, 0 outside.
    inside : Tensor of bool, shape (I, J, K)
        Points with signal.
    position : tuple of three ndarrays
        Positions of the grid along each axis, mm.
    noise : float
        Standard deviation of the noise of a point after the smoothing (log).
    """

    log_image: Tensor
    weight: Tensor
    inside: Tensor
    position: tuple[Vector, Vector, Vector]
    noise: float

    @classmethod
    def of(cls, volume: Tensor, voxel: tuple[float, float, float], box: Box) -> SampledLogImage:
        """Sample the logarithm of a volume.

        Parameters
        ----------
        volume : Tensor, shape (X, Y, Z), float32
            Magnitudes, 0 where the field is not to be fitted.
        voxel : tuple of float
            mm.
        box : Box
            Box around the object.
        """
        unit = box.extent / HEAD_EXTENT
        x, y, z = (grid(box, axis, size) for axis, size in enumerate(voxel))
        position = (x, y, z)
        noise = relative_noise(volume)
        sigma = max(SMOOTHING * unit, min(noise_smoothing(noise, voxel), box.extent / POINTS_PER_AXIS))
        level, slope = (
            [gaussian(p, n, v, sigma, d) for p, n, v in zip(position, volume.shape, voxel, strict=True)]
            for d in (False, True)
        )
        # The last axis first, since it is the slowest in memory, and the rest is small afterwards.
        slabs = volume.permute(2, 1, 0)
        flat, steep = banded(np.stack([level[2], slope[2]], 1), slabs).unbind(1)
        (level_x, level_y), (slope_x, slope_y) = (
            (torch.from_numpy(m).to(volume.device, torch.float32) for m in matrices[:2]) for matrices in (level, slope)
        )
        lines = torch.cat([level_y, slope_y]) @ flat
        smooth, along_y = lines.split(len(level_y), 1)
        smooth, along_x = (smooth @ torch.cat([level_x, slope_x]).T).split(len(level_x), 2)
        value = smooth.double()  # since its square might underflow in float32
        # The change over a 220th of the extent, or over a larger voxel, since no border is sharper than a voxel.
        change2 = torch.zeros_like(value)
        for slope_along, size in zip((along_x, along_y @ level_x.T, level_y @ steep @ level_x.T), voxel, strict=True):
            change2 += (slope_along.double() * max(unit, size)).square_()
        inside = slabs
        for axis, (p, size) in enumerate(zip(reversed(position), reversed(voxel), strict=True)):
            nearest = torch.from_numpy(np.floor(p / size + ROUNDING)).long()
            inside = inside.index_select(axis, nearest.to(volume.device))
        there = (inside > 0).logical_and_(value > 0)
        value = torch.where(there, value, 1.0)
        weight = there / (1 + change2 / (HALF_WEIGHT_CHANGE * value) ** 2)
        log_image, weight, there = (t.permute(2, 1, 0).contiguous() for t in (value.log(), weight, there))
        return cls(log_image, weight, there, position, noise_left(noise, voxel, sigma))


def noise_smoothing(noise: float, voxel: tuple[float, float, float]) -> float:
    """Compute the smoothing that reduces the relative noise of a point to `POINT_NOISE`.

    Parameters
    ----------
    noise : float
        Relative noise of a voxel.
    voxel : tuple of float
        mm.

    Returns
    -------
    float
        Standard deviation, mm.

    Examples
    --------
    >>> sigma = noise_smoothing(0.2, (1.0, 1.0, 1.0))
    >>> round(noise_left(0.2, (1.0, 1.0, 1.0), sigma), 3)
    0.03
    """
    return float((math.prod(voxel) * (noise / POINT_NOISE) ** 2 / (4 * math.pi) ** 1.5) ** (1 / 3))


def noise_left(noise: float, voxel: tuple[float, float, float], sigma: float) -> float:
    """Compute the relative noise of a point after a Gaussian smoothing.

    A Gaussian of standard deviation s averages over an effective volume of (4 pi)^(3/2) s^3, which reduces white noise
    by the square root of the ratio of this volume to that of a voxel.
    """
    return noise * min(1.0, (math.prod(voxel) / ((4 * math.pi) ** 1.5 * sigma**3)) ** 0.5)


def grid(box: Box, axis: int, voxel: float) -> Vector:
    """Choose the positions of the points along an axis with a given voxel size, mm."""
    extent = box.high[axis] - box.low[axis]
    count = max(1, round(extent / max(box.extent / POINTS_PER_AXIS, voxel)))
    points = box.low[axis] + (np.arange(count, dtype=np.float64) + 0.5) * (extent / count)
    if extent / count <= voxel * 1.5:  # thick slices: use their centres
        points = (np.unique(np.floor(points / voxel + ROUNDING)) + 0.5) * voxel
    return points


def gaussian(points: Vector, size: int, voxel: float, sigma: float, derivative: bool) -> np.ndarray:
    """Make the matrix that smooths voxels along an axis by a Gaussian, or its derivative, at given points.

    Parameters
    ----------
    points : ndarray, shape (n,)
        Positions of the points, mm.
    size : int
        Number of voxels along the axis.
    voxel, sigma : float
        Size of a voxel and standard deviation of the Gaussian, mm.
    derivative : bool

    Returns
    -------
    ndarray, shape (len(points), size)
        Rows sum to 1; for the derivative, the result for a slope of 1 per mm is 1 per mm.
    """
    if size == 1:
        return np.full((len(points), 1), 0.0 if derivative else 1.0)
    sigma = max(sigma, 0.45 * voxel)
    distance = (np.arange(size) + 0.5) * voxel - points[:, None]
    bell = np.exp(-0.5 * (distance / sigma) ** 2) * (np.abs(distance) < REACH * sigma + voxel)
    bell /= bell.sum(1, keepdims=True)
    if derivative:
        bell = bell * (distance - (bell * distance).sum(1, keepdims=True))
        bell /= np.maximum((bell * distance).sum(1, keepdims=True), 1e-12)
    return bell


def banded(matrices: np.ndarray, slabs: Tensor) -> Tensor:
    """Multiply band matrices with the first axis of a volume.

    Parameters
    ----------
    matrices : ndarray, shape (n, m, Z)
        m matrices of n rows, each of which is 0 except in a few neighbouring columns.
    slabs : Tensor, shape (Z, Y, X), float32

    Returns
    -------
    Tensor, shape (n, m, Y, X)
    """
    n, m, _ = matrices.shape
    rows = torch.from_numpy(matrices).to(slabs.device, torch.float32)
    lines = slabs.flatten(1)
    out = torch.empty(n, m, lines.shape[1], dtype=torch.float32, device=slabs.device)
    for i, used in enumerate((matrices != 0).any(1)):
        columns = np.flatnonzero(used)
        part = slice(int(columns[0]), int(columns[-1]) + 1)
        torch.mm(rows[i, :, part], lines[part], out=out[i])
    return out.unflatten(2, slabs.shape[1:])
