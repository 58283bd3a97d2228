"""Refinement: sharpen the histogram of the log image, from where the network's field leaves it.

The idea is that of N3 (Sled et al., IEEE TMI 1998) and N4 (Tustison et al., IEEE TMI 2010): a field blurs the
histogram of the log image; deconvolving the histogram tells for each intensity what it should have been, and a
smooth field is fitted to the difference. Two things are other than there. The start is the network's field, so
the kernel can be narrow from the beginning, as narrow as the network's error, and tissues that are alike are not
taken for one. And voxels count by how flat the image is around them: those on the border of two tissues, whose
intensity is no tissue's, hardly pull.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from .fusion import Basis, normal_matrix, project
from .geometry import ROUNDING, Box

GRID = 55
"""Points along the object's longest extent; 4 mm apart in a head."""
SMOOTHING, SCALE = 0.8, 1.0
"""Standard deviation of the smoothing of the image and of its gradient, in 220ths of the object's extent (mm)."""
TAU = 0.05
"""Relative gradient at which a voxel counts half, per 220th of the extent (per mm in a head)."""
STAGES = ((2.0, 0.20, 0.05), (1.4, 0.15, 0.04), (1.0, 0.10, 0.04))
"""Of each stage: smallest half wave (in smoothnesses), kernel's full width at half maximum (in standard deviations of
the network's log field), and the least that this may be (log). The network's error is about a seventh of the field, so
that wider kernels would only merge tissues whose intensities lie near each other."""
WIDEST = 0.10
"""The greatest full width at half maximum (log)."""
ITERATIONS, TOLERANCE = 60, 1e-4
"""At most so many in a stage, which ends when the field changes by less than this (standard deviation of the log)."""
STRIDE = 1.7
"""The field goes so many times as far as the sharpened histogram tells, since it would come near slowly."""
WIENER = 0.01
"""Noise term of the deconvolution."""
BIN = 0.01
"""Width of the histogram's bins (log)."""
STIFFNESS = 1e-4
"""Weight of the roughness penalty."""


def refine_field(
    volume: Tensor, voxel: tuple[float, float, float], box: Box, basis: Basis, theta: Tensor
) -> tuple[Basis, Tensor]:
    """Refine a log field.

    Parameters
    ----------
    volume : Tensor, shape (X, Y, Z), float32
        Magnitudes, 0 where nothing is to be fitted.
    voxel : tuple of float
        mm.
    box : Box
        Where the object is.
    basis : Basis
    theta : Tensor, shape `basis.count`
        The field to start from.

    Returns
    -------
    basis : Basis
    theta : Tensor, shape `basis.count`
        The refined field.
    """
    log_image, weight, position = sample(volume, voxel, box)
    # All but the fit is done on the points that count alone, in a row.
    used = torch.nonzero(weight.flatten() > 0)[:, 0]
    if len(used) < 64:
        return basis, theta
    share_of = weight.flatten()[used] / weight.sum()
    log_image = log_image.flatten()[used]
    field = on_points(theta, [basis.along(a, p, volume.device) for a, p in enumerate(position)], used)
    start = basis.length
    spread = float(((field - field @ share_of).square() @ share_of).sqrt())
    for factor, share, least in STAGES:
        width = min(max(share * spread, least), WIDEST)
        basis = Basis.over(box, start * factor)
        b = [basis.along(a, p, volume.device) for a, p in enumerate(position)]
        matrix = normal_matrix(weight, b) / weight.sum()
        penalty = torch.from_numpy(basis.penalty()).to(matrix).flatten() * STIFFNESS
        factored = torch.linalg.cholesky(matrix + torch.diag(penalty + 1e-9))
        for i in range(ITERATIONS):
            sharp = sharpened(log_image - field, share_of, width)
            rest = torch.zeros_like(weight)
            rest.view(-1)[used] = share_of * (log_image - sharp)
            fitted = torch.cholesky_solve(project(rest, b)[:, None], factored)[:, 0].reshape(basis.count)
            theta = torch.lerp(theta, fitted, STRIDE) if i else fitted
            before, field = field, on_points(theta, b, used)
            change = field - before
            if float((change - change @ share_of).square() @ share_of) < TOLERANCE**2:
                break
    theta = theta.clone()
    theta[0, 0, 0] = 0
    return basis, theta


def sample(volume: Tensor, voxel: tuple[float, float, float], box: Box) -> tuple[Tensor, Tensor, list[np.ndarray]]:
    """Sample a volume's logarithm, smoothed, on a coarse grid, with weights.

    Parameters
    ----------
    volume : Tensor, shape (X, Y, Z), float32
        Magnitudes, 0 where nothing is to be fitted.
    voxel : tuple of float
        mm.
    box : Box
        Where the object is.

    Returns
    -------
    log_image : Tensor, shape (I, J, K), float64
        0 where the weight is 0.
    weight : Tensor, shape (I, J, K), float64
        1 where the image is flat, near 0 at borders, 0 outside.
    position : list of three ndarrays
        The grid, mm.
    """
    unit = box.extent / 220
    grid, smooth, level, slope = [], [], [], []
    for axis, size in enumerate(voxel):
        step = max(box.extent / GRID, size)
        count = max(1, round((box.high[axis] - box.low[axis]) / step))
        step = (box.high[axis] - box.low[axis]) / count
        points = box.low[axis] + (np.arange(count) + 0.5) * step
        if step <= size * 1.5:  # thick slices: take them as they are
            points = (np.unique(np.floor(points / size + ROUNDING)) + 0.5) * size
        grid.append(points)
        smooth.append(gaussian(points, volume.shape[axis], size, SMOOTHING * unit, False, volume.device))
        level.append(gaussian(points, volume.shape[axis], size, SCALE * unit, False, volume.device))
        slope.append(gaussian(points, volume.shape[axis], size, SCALE * unit, True, volume.device))

    def apply(slabs: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return (y @ (slabs @ x.T)).permute(2, 1, 0).double()

    # The last axis first: it is the slowest in memory, and what is left is small.
    lines = volume.permute(2, 1, 0).flatten(1)
    blurred = [(m[2] @ lines).reshape(-1, volume.shape[1], volume.shape[0]) for m in (smooth, level, slope)]
    value = apply(blurred[0], smooth[0], smooth[1])
    gradient2 = apply(blurred[1], slope[0], level[1]).square_()
    gradient2 += apply(blurred[1], level[0], slope[1]).square_()
    gradient2 += apply(blurred[2], level[0], level[1]).square_()
    nearest = [torch.from_numpy(np.floor(p / v + ROUNDING)).long() for p, v in zip(grid, voxel, strict=True)]
    inside = volume
    for axis in (2, 1, 0):
        inside = inside.index_select(axis, nearest[axis].to(volume.device))
    inside = inside > 0
    inside &= value > 0
    value = torch.where(inside, value, 1.0)
    weight = inside / (1 + gradient2 * unit**2 / (TAU * value) ** 2)
    return torch.where(inside, value.log(), 0.0), weight, grid


def gaussian(
    points: np.ndarray, size: int, voxel: float, sigma: float, derivative: bool, device: torch.device
) -> Tensor:
    """Make the matrix that smooths voxels along an axis by a Gaussian (or its derivative) at some points.

    Parameters
    ----------
    points : ndarray, shape (n,)
        Where, mm.
    size : int
        Voxels along the axis.
    voxel, sigma : float
        Size of a voxel, standard deviation of the Gaussian, mm.
    derivative : bool
    device : torch.device

    Returns
    -------
    Tensor, shape (len(points), size), float32
        Rows sum to 1; for the derivative, they give 1 per mm for a slope of 1 per mm.
    """
    if size == 1:
        return torch.full((len(points), 1), 0.0 if derivative else 1.0, device=device)
    sigma = max(sigma, 0.45 * voxel)
    distance = (np.arange(size) + 0.5) * voxel - points[:, None]
    bell = np.exp(-0.5 * (distance / sigma) ** 2) * (np.abs(distance) < 4 * sigma + voxel)
    bell /= bell.sum(1, keepdims=True)
    if derivative:
        bell = bell * (distance - (bell * distance).sum(1, keepdims=True))
        bell /= np.maximum((bell * distance).sum(1, keepdims=True), 1e-12)
    return torch.from_numpy(bell).to(device, torch.float32)


def on_points(theta: Tensor, b: list[Tensor], used: Tensor) -> Tensor:
    """Evaluate a log field at some points of a grid.

    Parameters
    ----------
    theta : Tensor, shape (I, J, K), float64
        Coefficients.
    b : list of three Tensors, shapes (X, I), (Y, J), (Z, K)
        The cosines of each axis on the grid.
    used : Tensor of int, shape (n,)
        Flat indices of the points.

    Returns
    -------
    Tensor, shape (n,), float64
    """
    lines = torch.einsum("xi,yj,ijk->xyk", b[0], b[1], theta)
    return (lines @ b[2].T).flatten()[used]


def sharpened(values: Tensor, weight: Tensor, width: float) -> Tensor:
    """Give for each log intensity what it should have been.

    Parameters
    ----------
    values, weight : Tensor, same shape
        Log intensities and their weights.
    width : float
        Full width at half maximum of the field's histogram.

    Returns
    -------
    Tensor, shape of `values`
        The expectation of the true log intensity given the observed one (Sled et al. 1998, eq. 10-13).
    """
    low, high = (float(v) for v in values.aminmax())
    count = int((high - low) / BIN) + 2
    place = (values - low) / BIN
    left = place.long().clamp_(max=count - 2)
    right_share = place - left
    on_right = weight * right_share
    histogram = torch.bincount(left, weight - on_right, count)
    histogram[1:] += torch.bincount(left, on_right, count)[:-1]

    padded = 2 ** math.ceil(math.log2(count + 8 * width / BIN))
    sigma = width / (2 * math.sqrt(2 * math.log(2)))
    frequency = torch.fft.rfftfreq(padded, BIN, dtype=torch.float64, device=values.device)
    kernel = torch.exp(-2 * (math.pi * frequency * sigma) ** 2)

    def blurred(x: Tensor, response: Tensor) -> Tensor:
        return torch.fft.irfft(torch.fft.rfft(x, padded) * response, padded)

    sharp = blurred(histogram, kernel / (kernel.square() + WIENER)).clamp_min(0)
    # The padding wraps around: its second half lies below the first bin.
    bins = torch.arange(padded, dtype=torch.float64, device=values.device)
    bins = torch.where(bins < (count + padded) / 2, bins, bins - padded) * BIN + low
    mass = torch.fft.irfft(torch.fft.rfft(sharp) * kernel, padded)
    moment = torch.fft.irfft(torch.fft.rfft(sharp * bins) * kernel, padded)
    table = torch.where(mass > 1e-9 * mass.max(), moment / mass.clamp_min(1e-30), bins)[:count]
    return table[left] + torch.diff(table, append=table[-1:])[left] * right_share
