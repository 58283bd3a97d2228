"""Fuse the fields of slices, each with an unknown scale, into one smooth field of the volume.

The logarithm of the field is a sum of products of cosines along the three axes, with coefficients theta that
minimise

    sum_cells w (B theta + a_slice - y)^2 / sum_cells w + sum_k (omega_k * length)^4 theta_k^2 * stiffness

with y the cells' log gains, w their weights, a the slices' unknown offsets and omega the angular frequencies: the
penalty is like the mean square of the field's second derivatives. Offsets are eliminated in closed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .basis import Vector, cosines
from .device import one_thread
from .geometry import Box, Plane

DOMAIN_MARGIN = 0.12
"""Margin of the cosines' domain around the object, as a fraction of the object's longest extent."""
DETAIL, REFINED_DETAIL = 2.0, 2.8
"""Half waves per `length` of the shortest cosine along an axis, in the network's field and in the refined field."""
MAX_COSINES = 10
"""Largest number of cosines along an axis."""


@dataclass(frozen=True)
class Basis:
    """Products of cosines over a box.

    Parameters
    ----------
    low, high : tuple of float
        The domain, mm; beyond it a field keeps its value at the border.
    count : tuple of int
        Number of cosines along each axis.
    length : float
        Smoothness, mm: twice the shortest half wave along an axis, or `REFINED_DETAIL` times in a refined field.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    count: tuple[int, ...]
    length: float

    @classmethod
    def over(cls, box: Box, length: float) -> Basis:
        """Make a basis for the network's field over an object, of a given smoothness, mm."""
        margin = DOMAIN_MARGIN * box.extent
        low = tuple(x - margin for x in box.low)
        high = tuple(x + margin for x in box.high)
        return cls(low, high, cls._counts(low, high, length, DETAIL), length)

    @staticmethod
    def _counts(low: Sequence[float], high: Sequence[float], length: float, detail: float) -> tuple[int, ...]:
        return tuple(min(MAX_COSINES, 1 + round((h - w) / length * detail)) for w, h in zip(low, high, strict=True))

    def finer(self) -> Basis:
        """Return the basis of the refined field: the same cosines, and shorter ones."""
        return replace(self, count=self._counts(self.low, self.high, self.length, REFINED_DETAIL))

    def moved(self, by: Sequence[float]) -> Basis:
        """Return the same basis, shifted by a number of mm along each axis."""
        low, high = (tuple(x + d for x, d in zip(ends, by, strict=True)) for ends in (self.low, self.high))
        return replace(self, low=low, high=high)

    def along(self, axis: int, position: Vector, device: torch.device) -> Tensor:
        """Evaluate the cosines of one axis at positions in mm; shape (n, count[axis]), float64."""
        values = cosines(position, self.low[axis], self.high[axis], self.count[axis])
        return torch.from_numpy(values).to(
            device, copy=True
        )  # in torch's own layout, so that products have the same bits

    def spectrum(self) -> NDArray[np.float64]:
        """Compute the variance of each coefficient of a Gaussian random field of variance 1; shape `count`.

        The field's spectrum is Matern's with smoothness 5/2 (Rasmussen and Williams, Gaussian Processes for Machine
        Learning, 2006, chapter 4), and its correlation length is half of `length`. Short waves have a greater
        variance than in a field with a Gaussian correlation.
        """
        omega = [np.pi * np.arange(n) / (h - w) for n, w, h in zip(self.count, self.low, self.high, strict=True)]
        square = omega[0][:, None, None] ** 2 + omega[1][:, None] ** 2 + omega[2] ** 2
        variance: NDArray[np.float64] = (1 + square * (self.length / 2) ** 2 / 5) ** -4.0
        # A cosine's mean square is a half, the constant's is 1.
        halves = [np.where(np.arange(n) > 0, 0.5, 1.0) for n in self.count]
        mean_square = halves[0][:, None, None] * halves[1][:, None] * halves[2]
        return variance / mean_square / variance.sum()

    def only_along(self, axis: int) -> NDArray[np.bool_]:
        """Return which coefficients belong to cosines that vary along one axis only; shape `count`."""
        only = np.zeros(self.count, bool)
        np.moveaxis(only, axis, 0)[1:, 0, 0] = True
        return only

    def penalty(self) -> NDArray[np.float64]:
        """Compute the penalty of each coefficient, (omega length / pi)^4; 1 for half waves of `length`."""
        square = [
            (np.arange(n) * self.length / (h - w)) ** 2 for n, w, h in zip(self.count, self.low, self.high, strict=True)
        ]
        return (square[0][:, None, None] + square[1][:, None] + square[2]) ** 2


def normal_matrix(weight: Tensor, b: list[Tensor]) -> Tensor:
    """Compute the sum of w B'B over a grid without forming B; float64.

    Parameters
    ----------
    weight : Tensor, shape (X, Y, Z)
    b : list of three Tensors, shapes (X, I), (Y, J), (Z, K)

    Returns
    -------
    Tensor, shape (I J K, I J K)
    """
    i, j, k = (m.shape[1] for m in b)
    squares = [(m[:, :, None] * m[:, None, :]).flatten(1) for m in b]
    out = weight @ squares[2]
    out = torch.einsum("xyc,yb->xbc", out, squares[1])
    out = torch.einsum("xbc,xa->abc", out, squares[0])
    return out.reshape(i, i, j, j, k, k).permute(0, 2, 4, 1, 3, 5).reshape(i * j * k, i * j * k)


def project(values: Tensor, b: list[Tensor]) -> Tensor:
    """Compute the sum of B' values over a grid without forming B.

    Parameters
    ----------
    values : Tensor, shape (X, Y, Z)
    b : list of three Tensors, shapes (X, I), (Y, J), (Z, K)
        With the data type of the values.

    Returns
    -------
    Tensor, shape (I J K,)
    """
    lines = (b[0].T @ values.flatten(1)).unflatten(1, values.shape[1:])
    return ((b[1].T @ lines) @ b[2]).flatten()


def evaluate(theta: Tensor, b: list[Tensor]) -> Tensor:
    """Evaluate a log field on a grid (I, J, K), from coefficients (A, B, C) and the cosines along the axes."""
    lines = b[1] @ (theta @ b[2].T)
    return (b[0] @ lines.flatten(1)).unflatten(1, lines.shape[1:])


def fuse(basis: Basis, planes: list[Plane], values: list[Tensor], weights: list[Tensor], stiffness: float) -> Tensor:
    """Fit one log field to the planes' cells.

    Parameters
    ----------
    basis : Basis
    planes : list of Plane
    values, weights : list of Tensor, each shape (S, 16, 16)
        Log gains of each plane's cells and their weights; the weight of a cell without signal is 0.
    stiffness : float
        Weight of the penalty.

    Returns
    -------
    Tensor, shape `basis.count`, float64
        The coefficients; the constant is 0.

    Examples
    --------
    See ``tests/core/test_fusion.py``: a field of the basis is recovered from slices with random offsets.
    """
    device = values[0].device
    size = int(np.prod(basis.count))
    matrix = torch.zeros(size, size, dtype=torch.float64, device=device)
    right = torch.zeros(size, dtype=torch.float64, device=device)
    total = torch.zeros((), dtype=torch.float64, device=device)
    for plane, value, weight in zip(planes, values, weights, strict=True):
        w, y = (t.double() for t in (weight, value))
        per_slice = w.sum((1, 2))
        mean = (w * y).sum((1, 2)) / per_slice.clamp_min(1e-12)
        y = y - mean[:, None, None]
        b = [basis.along(a, plane.position[a], device) for a in range(3)]
        # The axis across the slices comes first, as in the arrays of cells.
        order = [plane.axis, *(a for a in range(3) if a != plane.axis)]
        c = [b[a] for a in order]
        back = [order.index(a) for a in range(3)]
        shape = [c[0].shape[1], c[1].shape[1], c[2].shape[1]]
        full = normal_matrix(w, c)
        sums = torch.einsum("suv,vk,uj->sjk", w, c[2], c[1])
        sums = (c[0][:, :, None, None] * sums[:, None]).flatten(1)
        full = full - sums.T @ (sums / per_slice.clamp_min(1e-12)[:, None])
        vector = project(w * y, c)
        full = full.reshape(*shape, *shape).permute(*back, *(3 + x for x in back)).reshape(size, size)
        matrix += full
        right += vector.reshape(shape).permute(back).flatten()
        total += w.sum()
    return solve(matrix / total, right / total, basis, stiffness)


def solve(matrix: Tensor, right: Tensor, basis: Basis, stiffness: float) -> Tensor:
    """Solve the penalised normal equations with the constant fixed to 0.

    Parameters
    ----------
    matrix : Tensor, shape (I J K, I J K), float64
    right : Tensor, shape (I J K,), float64
    basis : Basis
        With I, J and K cosines.
    stiffness : float
        Weight of the penalty.

    Returns
    -------
    Tensor, shape `basis.count`
    """
    penalty = torch.from_numpy(basis.penalty()).to(matrix).flatten() * stiffness
    penalised = matrix + torch.diag(penalty + 1e-9)
    theta = torch.zeros_like(right)
    with one_thread():  # with several threads the result depends on their number
        factor = torch.linalg.cholesky(penalised[1:, 1:])
        theta[1:] = torch.cholesky_solve(right[1:, None], factor)[:, 0]
    return theta.reshape(basis.count)
