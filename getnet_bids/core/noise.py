"""Estimate the noise of an image from the image itself, and find parts without noise, which were blurred."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

LINES = 64
"""Number of voxels along an axis that are enough to compare parts of an image."""
FEW_LINES = 32
"""Number of voxels along an axis that are enough for one figure of the image, or of each slice."""


def sparse(shape: tuple[int, ...], whole: int | None = None, lines: int = LINES) -> tuple[slice, ...]:
    """Select at least about `lines` evenly spaced voxels along each axis, and all along the axis `whole`."""
    return tuple(slice(None, None, 1 if axis == whole else max(1, n // lines)) for axis, n in enumerate(shape))


def noise_sd(volume: NDArray[np.float32], chosen: NDArray[np.bool_]) -> float:
    """Estimate the noise from second differences along the axis with the most voxels, over the chosen voxels.

    The standard deviation of the differences is the median of their absolute values over .6745, and sqrt(6) times that
    of the noise. Most voxels are far from borders, which therefore hardly affect the median (Donoho and Johnstone,
    Biometrika 1994).
    """
    axis = int(np.argmax(volume.shape))
    part = sparse(volume.shape, axis, FEW_LINES)
    rows, inside = np.moveaxis(volume[part], axis, 0), np.moveaxis(chosen[part], axis, 0)
    if len(rows) < 3:
        return 0.0
    second = rows[:-2] - 2 * rows[1:-1] + rows[2:]
    every = inside[:-2] & inside[1:-1] & inside[2:]
    second = np.abs(np.moveaxis(second, 0, axis).T[np.moveaxis(every, 0, axis).T])  # in the order of the memory
    return float(np.median(second)) / 0.6745 / 6**0.5 if second.size else 0.0


def relative_noise(volume: Tensor) -> float:
    """Estimate the noise of a volume with a background of 0, relative to the median of the values above 0."""
    axis = max(range(volume.ndim), key=lambda a: volume.shape[a])
    values = volume[sparse(tuple(volume.shape), axis, FEW_LINES)].cpu().numpy()
    inside = values > 0
    return noise_sd(values, inside) / float(np.median(values[inside])) if inside.any() else 0.0


def dilated(mask: NDArray[np.bool_], iterations: int = 1) -> NDArray[np.bool_]:
    """Dilate a mask by one voxel along each axis, several times: like ``scipy.ndimage.binary_dilation``, but faster.

    Examples
    --------
    >>> dilated(np.array([False, False, True, False])).tolist()
    [False, True, True, True]
    """
    for _ in range(iterations):
        grown = mask.copy(order="K")
        for axis in range(mask.ndim):
            of, to = np.moveaxis(mask, axis, 0), np.moveaxis(grown, axis, 0)
            to[1:] |= of[:-1]
            to[:-1] |= of[1:]
        mask = grown
    return mask


MAX_BLURRED_ROUGHNESS = 0.15
"""A part counts as blurred if its second differences are less than this fraction of those of the smoothest quarter of
all cells. Noise varies less than this over an image, however it was received and reconstructed; blurring by a Gaussian
of two voxels reduces it to a 60th."""
LEAST_ROUGH = 0.25
WIDE_ROUGHNESS, MOST_ROUGH = 0.05, 0.75
"""The same for a blurred part so large that it contains the smoothest quarter: the limit is relative to the roughest
quarter."""
BLOCK, WIDE_BLOCK = (0.5, 1.0), (0.72, 0.3)
"""The parameters `compact` and `between` of `one_block` for both cases."""
MIN_PIECE = 0.005
"""Smallest size of a blurred part, as a fraction of the object; smaller pieces are ignored."""
CELLS_AVERAGED = 3
"""Number of cells that are averaged along each axis, so that a mean has a dozen second differences."""
CELLS_GROWN = 2
"""Number of cells by which a blurred part is dilated, since the averages at its border include noise from outside."""


def blurred_parts(volume: Tensor, foreground: Tensor) -> Tensor | None:
    """Find the parts of the foreground without noise.

    The mean absolute value of second differences along the axis with the most voxels is computed on a grid of cells.
    With noise it is similar everywhere, anatomy increases it, and only blurring or synthesis removes it.

    Parameters
    ----------
    volume : Tensor, shape (X, Y, Z), float32
    foreground : Tensor of bool, shape (X, Y, Z)

    Returns
    -------
    Tensor of bool, shape (X, Y, Z), or None
        None if there are no such parts, as in most images.
    """
    shape = tuple(volume.shape)
    axis = int(np.argmax(shape))
    part = sparse(shape, axis)
    rows, inside = (np.moveaxis(x[part].cpu().numpy().copy(order="K"), axis, 0) for x in (volume, foreground))
    cell = max(1, shape[axis] // LINES)
    if len(rows) < CELLS_AVERAGED * cell + 2:
        return None
    every = inside[:-2] & inside[1:-1] & inside[2:]
    rough = np.where(every, np.abs(rows[:-2] - 2 * rows[1:-1] + rows[2:]), 0)
    total, count = sums(rough, cell), sums(every, cell)
    there = count > 0
    size = tuple(min(CELLS_AVERAGED, n) for n in total.shape)
    total, count = (ndimage.uniform_filter(x, size, mode="constant") for x in (total, count))
    mean = total / np.maximum(count, 1e-9)
    if not there.any():
        return None
    low, high = np.quantile(mean[there], (LEAST_ROUGH, MOST_ROUGH))
    few = MIN_PIECE * there.sum()
    quiet = one_block(mean, there, MAX_BLURRED_ROUGHNESS * low, few, *BLOCK)
    if WIDE_ROUGHNESS * high > MAX_BLURRED_ROUGHNESS * low:
        wide = one_block(mean, there, WIDE_ROUGHNESS * high, few, *WIDE_BLOCK)
        quiet = wide if wide.any() else quiet
    return torch.from_numpy(spread(grown(quiet), shape, axis, cell)).to(volume.device) if quiet.any() else None


def one_block(
    mean: NDArray[np.float64], there: NDArray[np.bool_], limit: float, smallest: float, compact: float, between: float
) -> NDArray[np.bool_]:
    """Return the cells whose roughness is below a limit, if they form a compact block like a blurred part, else none.

    Parameters
    ----------
    mean : ndarray
        Roughness of each cell.
    there : ndarray of bool, same shape
        Cells of the object.
    limit : float
    smallest : float
        Smallest number of cells of a connected piece.
    compact : float
        Smallest fraction of these cells that remains after erosion. Tissue of an image without noise is as smooth, but
        folded.
    between : float
        Largest number of further cells below three times the limit, relative to that of these cells. An image that was
        smoothed or denoised as a whole has cells of every roughness.
    """
    pieces, _ = ndimage.label(there & (mean < limit))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept: NDArray[np.bool_] = (sizes >= max(smallest, 1))[pieces]
    count = np.count_nonzero(kept)
    rougher = np.count_nonzero(there & (mean < 3 * limit)) - count
    if np.count_nonzero(ndimage.binary_erosion(kept)) > compact * count and rougher < between * count:
        return kept
    return np.zeros_like(kept)


def sums(rows: NDArray[np.float32] | NDArray[np.bool_], cell: int) -> NDArray[np.float64]:
    """Sum groups of neighbours along the first axis; the last group may be smaller."""
    out = np.zeros_like(rows[::cell], np.float64)
    for i in range(cell):
        part = rows[i::cell]
        out[: len(part)] += part
    return out


def grown(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Dilate a set of cells by `CELLS_GROWN` along each axis."""
    return np.asarray(ndimage.binary_dilation(cells, iterations=CELLS_GROWN))


def spread(cells: NDArray[np.bool_], shape: tuple[int, ...], axis: int, cell: int) -> NDArray[np.bool_]:
    """Repeat the values of cells over their voxels; cells begin at the second voxel along the axis of differences."""
    out = np.moveaxis(cells, 0, axis)
    for a, n in enumerate(shape):
        step, first = (cell, 1) if a == axis else (max(1, n // LINES), 0)
        out = np.take(out, np.clip((np.arange(n) - first) // step, 0, out.shape[a] - 1), a)
    return out
