"""The bias field on an image's grid, its standard deviation, and the agreement of the fields of several images."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .basis import Vector
from .device import at_once, one_thread
from .fusion import Basis, evaluate, fuse, project
from .geometry import Plane

SLAB = 2**18
"""Number of voxels of the field that are computed at a time, so that they fit into the processor's cache."""
SD_GRID = 20
"""Number of points along the object's longest extent at which the standard deviation is computed."""


def gain_field(basis: Basis, theta: Tensor, voxel: tuple[float, float, float], chosen: Tensor) -> Tensor:
    """Evaluate the bias field on the whole grid, a slab of several slices at a time.

    Parameters
    ----------
    basis : Basis
    theta : Tensor, shape `basis.count`
        Coefficients of its logarithm.
    voxel : tuple of float
        mm.
    chosen : Tensor of bool, shape (X, Y, Z)
        Voxels over which the geometric mean is 1, and to whose range of values the field is limited elsewhere.

    Returns
    -------
    Tensor, shape (X, Y, Z), float32
        The first axis is the fastest in memory.
    """
    slabs = chosen.permute(2, 1, 0).view(torch.uint8)  # many operations are faster than with bool
    position = [(np.arange(n, dtype=np.float64) + 0.5) * v for n, v in zip(chosen.shape, voxel, strict=True)]
    x, y, z = (basis.along(axis, p, theta.device) for axis, p in enumerate(position))
    lines = (z @ torch.einsum("yj,ijk->kyi", y, theta).flatten(1)).float().unflatten(1, (len(y), -1))
    x = x.T.float()
    field = torch.empty(slabs.shape, dtype=torch.float32, device=chosen.device)
    some = at_once(slabs, SLAB // slabs[0].numel())
    # Differences from the field in one of the chosen voxels, so that other voxels count as 0 in sums and in the range.
    slab = int(slabs.flatten(1).amax(1).argmax())
    row, column = divmod(int(slabs[slab].flatten().argmax()), slabs.shape[2])
    lines[..., 0] -= lines[slab, row] @ x[:, column]
    ends: list[Tensor] = []
    total = theta.new_zeros(())
    with one_thread():  # with several threads the last bits depend on their number
        for inside, part in zip(slabs.split(some), lines.split(some), strict=True):
            counted = torch.mm(part.flatten(0, 1), x, out=field[: len(part)].flatten(0, 1)).mul_(inside.flatten(0, 1))
            total += counted.sum(1).double().sum()
            ends.append(torch.stack(counted.aminmax()))
        mean = (total / torch.count_nonzero(chosen)).float()
        lines[..., 0] -= mean
        # Where there is no signal the field is extrapolated, but not beyond the range where there is signal.
        low, high = (torch.stack(ends).T - mean).tolist()
        low, high = min(low), max(high)
        for part, gain in zip(lines.split(some), field.split(some), strict=True):
            torch.mm(part.flatten(0, 1), x, out=gain.flatten(0, 1)).clamp_(low, high).exp_()
    return field.permute(2, 1, 0)


def field_sd(
    basis: Basis, root: Tensor, voxel: tuple[float, float, float], chosen: Tensor
) -> tuple[float, float, NDArray[np.float32]]:
    """Compute the standard deviation of the log field, whose mean over the chosen voxels is 0 by definition.

    Parameters
    ----------
    basis : Basis
    root : Tensor, shape (coefficients, n)
        root root' is the covariance of the coefficients.
    voxel : tuple of float
        mm.
    chosen : Tensor of bool, shape (X, Y, Z)

    Returns
    -------
    median, p95 : float
        Median and 95th percentile over the chosen voxels (natural logarithm).
    coarse : ndarray, float32
        On a coarse grid over the whole volume, with points at the centres of equal parts.
    """
    mask = chosen.cpu()
    extent = [n * v for n, v in zip(mask.shape, voxel, strict=True)]
    step = max(extent) / SD_GRID
    counts = [max(1, min(n, round(e / step))) for n, e in zip(mask.shape, extent, strict=True)]
    place: list[Vector] = [
        (np.arange(c, dtype=np.float64) + 0.5) * (e / c) for c, e in zip(counts, extent, strict=True)
    ]
    index = [torch.from_numpy((p / v).astype(np.int64)) for p, v in zip(place, voxel, strict=True)]
    inside = mask[index[0]][:, index[1]][:, :, index[2]]
    if not inside.any():
        inside = torch.ones_like(inside)
    with one_thread():
        b = [basis.along(axis, p, root.device) for axis, p in enumerate(place)]
        coarse = variance(basis, root, b, inside).clamp_min_(0).sqrt_()
    median, p95 = torch.quantile(coarse[inside], torch.tensor([0.5, 0.95], dtype=coarse.dtype)).tolist()
    return median, p95, coarse.float().numpy()


def variance(basis: Basis, root: Tensor, b: list[Tensor], inside: Tensor) -> Tensor:
    """Compute the variance of a log field, less its mean over a mask, at the points of a grid.

    With the products of cosines B at a point, their mean M over the mask, and the coefficients' covariance C, this is
    (B - M) C (B - M)'. B C B' is summed along one axis after the other, without forming B.

    Parameters
    ----------
    basis : Basis
    root : Tensor, shape (coefficients, n)
        root root' is the covariance.
    b : list of three Tensors
        The cosines along the axes of the grid.
    inside : Tensor of bool, shape of the grid

    Returns
    -------
    Tensor, shape of the grid
        Rounding errors may make it a little less than 0.
    """
    i, j, k = basis.count
    covariance = root @ root.T
    pairs = covariance.reshape(i, j, k, i, j, k).permute(0, 3, 1, 4, 2, 5).reshape(i * i, j * j, k * k)
    x, y, z = ((m[:, :, None] * m[:, None, :]).flatten(1) for m in b)
    own = torch.einsum("iyz,xi->xyz", torch.einsum("ijz,yj->iyz", torch.einsum("ijk,zk->ijz", pairs, z), y), x)
    mean = project(inside.to(root), b) / torch.count_nonzero(inside)
    with_mean = covariance @ mean
    return own - 2 * evaluate(with_mean.reshape(basis.count), b) + mean @ with_mean


def resize(coarse: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Interpolate a coarse grid over a volume linearly to the volume's voxels, first axis fastest in memory."""
    grid = torch.from_numpy(coarse)[None, None]
    full = torch.nn.functional.interpolate(grid, size=shape, mode="trilinear", align_corners=False)[0, 0]
    return np.asfortranarray(full.numpy())


MEDIAN_SIZE = 0.6745
"""Ratio of the median absolute value of a normal variable to its standard deviation."""


def disagreement(
    basis: Basis,
    planes: list[Plane],
    cells: Sequence[tuple[list[Tensor], list[Tensor]]],
    inside: Sequence[Tensor],
    voxel: tuple[float, float, float],
    stiffness: float,
    expected: float,
) -> float:
    """Compare the network's separate fields of several images.

    Parameters
    ----------
    basis : Basis
    planes : list of Plane
        Planes of one image; they are the same for all.
    cells : sequence of tuple
        Log gains and weights of each image's slices, as for `fuse`.
    inside : sequence of Tensor of bool, shape (X, Y, Z)
        The foreground of each image.
    voxel : tuple of float
        mm.
    stiffness : float
        As for `fuse`.
    expected : float
        Standard deviation of its error (log) that the network expects.

    Returns
    -------
    float
        Largest difference between the fields of two images, relative to that expected from two independent errors.
        Usually less than 1, since the errors for images of one object are similar. 0 for one image.
    """
    fields = [fuse(basis, planes, gains, weights, stiffness).cpu() for gains, weights in cells]
    largest = 0.0
    for one, other in itertools.combinations(range(len(fields)), 2):
        root = (fields[one] - fields[other]).reshape(-1, 1)
        size, _, _ = field_sd(basis, root, voxel, inside[one] & inside[other])
        largest = max(largest, size / MEDIAN_SIZE / (2**0.5 * expected))
    return largest
