"""Parts of an object that were blurred on purpose, as faces are for anonymity: they have no noise."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from .noise import LINES, sparse

QUIET = 0.15
"""A part is blurred if its second differences are less than this share of those of the least rough quarter of all.
Noise varies less over an image, however it was received and reconstructed; a Gaussian of two voxels leaves a 60th."""
QUARTER = 0.25
SMALLEST = 0.005
"""Smaller pieces, as a share of the object, are left."""
WIDTH = 3
"""Cells that are averaged along each axis, for a dozen second differences each."""
GROWN = 2
"""Cells that a blurred part is grown by: at its border the average holds noise of beside it."""


def blurred_parts(volume: Tensor, foreground: Tensor) -> Tensor | None:
    """Find the parts of the foreground without noise.

    The mean size of second differences along the axis with the most voxels is computed on a grid of cells. Noise makes
    it much the same everywhere, anatomy adds to it, and nothing but blurring, or synthesis, takes it away.

    Parameters
    ----------
    volume : Tensor, shape (X, Y, Z), float32
    foreground : Tensor of bool, shape (X, Y, Z)

    Returns
    -------
    Tensor of bool, shape (X, Y, Z), or None
        None where there are none: the rule.
    """
    shape = tuple(volume.shape)
    axis = int(np.argmax(shape))
    part = sparse(shape, axis)
    rows, inside = (np.moveaxis(x[part].cpu().numpy().copy(order="K"), axis, 0) for x in (volume, foreground))
    cell = max(1, shape[axis] // LINES)
    if len(rows) < WIDTH * cell + 2:
        return None
    every = inside[:-2] & inside[1:-1] & inside[2:]
    rough = np.where(every, np.abs(rows[:-2] - 2 * rows[1:-1] + rows[2:]), 0)
    total, count = sums(rough, cell), sums(every, cell)
    there = count > 0
    size = tuple(min(WIDTH, n) for n in total.shape)
    total, count = (ndimage.uniform_filter(x, size, mode="constant") for x in (total, count))
    mean = total / np.maximum(count, 1e-9)
    if not there.any():
        return None
    quiet = there & (mean < QUIET * np.quantile(mean[there], QUARTER))
    pieces, number = ndimage.label(quiet)
    sizes = np.bincount(pieces.ravel(), minlength=number + 1)
    large = np.flatnonzero(sizes >= SMALLEST * there.sum())
    large = large[large > 0]
    if not large.size:
        return None
    return torch.from_numpy(spread(grown(np.isin(pieces, large)), shape, axis, cell)).to(volume.device)


def sums(rows: NDArray[np.float32] | NDArray[np.bool_], cell: int) -> NDArray[np.float64]:
    """Add up so many neighbours along the first axis; there may be fewer of them in the last sum."""
    out = np.zeros_like(rows[::cell], np.float64)
    for i in range(cell):
        part = rows[i::cell]
        out[: len(part)] += part
    return out


def grown(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Grow a set of cells by `GROWN` along each axis."""
    return np.asarray(ndimage.binary_dilation(cells, iterations=GROWN))


def spread(cells: NDArray[np.bool_], shape: tuple[int, ...], axis: int, cell: int) -> NDArray[np.bool_]:
    """Return each voxel the value of its cell; cells begin at the second voxel along the axis of the differences."""
    out = np.moveaxis(cells, 0, axis)
    for a, n in enumerate(shape):
        step, first = (cell, 1) if a == axis else (max(1, n // LINES), 0)
        out = np.take(out, np.clip((np.arange(n) - first) // step, 0, out.shape[a] - 1), a)
    return out
