"""Blocks of points: the cosines at their centres, and the correlation of the tissues' variation between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .basis import Vector
from .fusion import Basis, evaluate
from .geometry import HEAD_EXTENT, Box
from .sampling import SampledLogImage

BLOCK = 6
"""Number of points of a block along each axis: 24 mm in a head."""
MIN_WEIGHT = 0.5
"""Smallest sum of the weights of a block's points; other blocks are left out."""
MIN_BLOCKS = 12
"""Smallest number of blocks for a refinement; with fewer the network's field is kept."""
TISSUE_LENGTHS = (16.0, 0.6), (45.0, 0.4)
"""Correlation lengths of the variation within tissues, in 220ths of the object's extent (mm in a head), each with its
fraction of the variance: the texture of a tissue, and differences between structures that count as one tissue."""


@dataclass(frozen=True)
class Blocks:
    """Blocks of points, the cosines at their centres, and the correlation of the tissues' variation between them.

    Parameters
    ----------
    chosen : ndarray of bool, shape of the grid
        The points that belong to blocks.
    block : ndarray of int, shape (points,)
        The block of each of these points.
    basis : Basis
    along : list of three Tensors
        The cosines along the axes of the grid.
    cosines : Tensor, shape (blocks, coefficients), float64
        The basis functions except the constant, times the root of their spectrum S.
    root_spectrum : Tensor, shape (coefficients,), float64
        The root of S.
    correlation : Tensor, shape (blocks, blocks), float64
        0 between blocks of different images.
    same_image : Tensor, shape (blocks, blocks), float64
        1 for two blocks of the same image, which share one constant, otherwise 0.
    """

    chosen: NDArray[np.bool_]
    block: NDArray[np.intp]
    basis: Basis
    along: list[Tensor]
    cosines: Tensor
    root_spectrum: Tensor
    correlation: Tensor
    same_image: Tensor

    @classmethod
    def together(cls, images: Sequence[Blocks]) -> Blocks:
        """Stack the blocks of several images for `most_probable`; the points are those of the first image."""
        if len(images) == 1:
            return images[0]
        return replace(
            images[0],
            cosines=torch.cat([one.cosines for one in images]),
            correlation=torch.block_diag(*(one.correlation for one in images)),
            same_image=torch.block_diag(*(one.same_image for one in images)),
        )

    @classmethod
    def of(cls, points: SampledLogImage, box: Box, basis: Basis, thin: int | None = None) -> Blocks | None:
        """Divide points into blocks, of one point along the axis `thin`; return None if there are too few."""
        weight = points.weight.cpu().numpy()
        chosen = weight > 0
        index = [np.arange(len(p)) // (1 if axis == thin else BLOCK) for axis, p in enumerate(points.position)]
        counts = [int(i[-1]) + 1 for i in index]
        code = (index[0][:, None, None] * counts[1] + index[1][:, None]) * counts[2] + index[2]
        used = np.bincount(code[chosen], weight[chosen], int(np.prod(counts))) > MIN_WEIGHT
        chosen &= used[code]
        number = np.cumsum(used) - 1
        if used.sum() < MIN_BLOCKS:
            return None
        block = number[code[chosen]]
        weight, total = weight[chosen], np.bincount(block, weight[chosen])
        place = [p[i] for p, i in zip(points.position, np.nonzero(chosen), strict=True)]
        centre = np.stack([np.bincount(block, weight * p) / total for p in place], 1)
        cpu = torch.device("cpu")
        b = [basis.along(axis, centre[:, axis], cpu) for axis in range(3)]
        every = ((b[0][:, :, None] * b[1][:, None])[..., None] * b[2][:, None, None]).flatten(1)[:, 1:]
        root = torch.from_numpy(basis.spectrum()).flatten()[1:].sqrt()
        away = torch.cdist(torch.from_numpy(centre), torch.from_numpy(centre)) * (HEAD_EXTENT / box.extent)
        return cls(
            chosen,
            block,
            basis,
            [basis.along(axis, p, cpu) for axis, p in enumerate(points.position)],
            every * root,
            root,
            torch.stack([share * torch.exp(-0.5 * (away / length) ** 2) for length, share in TISSUE_LENGTHS]).sum(0),
            torch.ones_like(away),
        )

    def at_points(self, theta: Tensor) -> Vector:
        """Evaluate a log field at the chosen points; shape (points,)."""
        field: Vector = evaluate(theta.cpu(), self.along).numpy()[self.chosen]
        return field

    def means(self, values: Vector, weight: Vector) -> tuple[Tensor, Tensor, float]:
        """Average points over blocks.

        Returns
        -------
        mean, total : Tensor, shape (blocks,)
            Weighted means, and sums of weights.
        noise : float
            Standard deviation of points within blocks.
        """
        count = len(self.correlation)
        total = np.bincount(self.block, weight, count).clip(1e-6)
        mean = np.bincount(self.block, weight * values, count) / total
        within = float((weight * (values - mean[self.block]) ** 2).sum() / weight.sum())
        return torch.from_numpy(mean), torch.from_numpy(total), within**0.5
