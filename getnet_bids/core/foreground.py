"""What counts as signal."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

GRID = 64
"""Blocks along the volume's longest side on the coarse grid."""


def find_foreground(volume: Tensor, voxel_size: tuple[float, float, float]) -> Tensor:
    """Find the voxels with signal in the body that is imaged.

    Noise is told from signal on block means, where it is averaged out. Blocks above it form the body: its holes are
    filled, and pieces much smaller than the largest are dropped. Voxels of the body above the noise are the
    foreground. An image without any background, or with one that is exactly 0, is no special case.

    Parameters
    ----------
    volume : Tensor, shape (X, Y, Z), float32
        Finite magnitudes; what is below 0 is no signal.
    voxel_size : tuple of float
        mm.

    Returns
    -------
    Tensor of bool, shape (X, Y, Z)
        Nothing is set if no voxel is above 0.
    """
    longest = max(s * v for s, v in zip(volume.shape, voxel_size, strict=True))
    block = [min(s, max(2, round(longest / GRID / v))) for s, v in zip(volume.shape, voxel_size, strict=True)]
    # Volumes lie in memory with the first axis fastest: the last is taken as the first.
    volume, block = volume.permute(2, 1, 0), block[::-1]
    positive = volume[None, None].clamp_min(0)
    means = F.avg_pool3d(positive, block, ceil_mode=True)[0, 0]
    squares = F.avg_pool3d(positive.square(), block, ceil_mode=True)[0, 0]
    deviations = (squares - means.square()).clamp_min(0).sqrt()
    block_level, voxel_level = thresholds(means.cpu().numpy(), deviations.cpu().numpy())
    body = torch.from_numpy(whole((means > block_level).cpu().numpy())).to(volume.device)
    for axis in (2, 1, 0):
        index = torch.arange(volume.shape[axis], device=volume.device) // block[axis]
        body = body.index_select(axis, index)
    return body.logical_and_(volume > voxel_level).permute(2, 1, 0)


def thresholds(means: NDArray[np.floating], deviations: NDArray[np.floating]) -> tuple[float, float]:
    """Find the levels above which block means, and voxels, are signal.

    Both lie at a tenth of the bright (what is above Otsu's threshold of the square roots, 1979), low enough for
    tissue in a field's darkest corner. Where there is more noise than that they lie higher: blocks are signal from
    five standard deviations above the noise, voxels from twice its mean, which one in twenty of them reaches by
    Rayleigh's distribution.

    Parameters
    ----------
    means, deviations : ndarray, same shape
        Mean and standard deviation of each block's voxels, none negative.

    Returns
    -------
    block, voxel : float
        At least 0.

    Examples
    --------
    >>> import numpy as np
    >>> noise, tissue = np.full(700, 3.0), np.linspace(60, 140, 300)
    >>> means, deviations = np.concatenate([noise, tissue]), np.concatenate([0.5 * noise, 0.1 * tissue])
    >>> block, voxel = thresholds(means, deviations)
    >>> 3 < block < 30, 3 < voxel < 30
    (True, True)
    """
    positive = means[means > 0]
    if positive.size == 0:
        return 0.0, 0.0
    split = otsu(np.sqrt(np.minimum(means, np.quantile(positive, 0.99)))) ** 2
    bright = np.median(means[means > split])
    block = voxel = 0.1 * bright
    # Noise alone has a deviation of 0.52 means, and all its blocks have about one mean; borders of tissue have not.
    noisy = means[(means < 0.25 * bright) & (deviations > 0.35 * means) & (deviations < 0.7 * means)]
    if noisy.size > 0.02 * means.size:
        noise = np.median(noisy)
        spread = 1.48 * np.median(np.abs(noisy - noise))
        if spread < 0.3 * noise:
            block, voxel = max(block, noise + 5 * spread), max(voxel, 2.0 * noise)
    return float(min(block, 0.3 * bright)), float(min(voxel, 0.3 * bright))


def otsu(values: NDArray[np.floating]) -> float:
    """Split values in two so that the variance between the parts is greatest; 0 if they are all the same."""
    counts, edges = np.histogram(values, 128, (0, values.max()))
    if np.count_nonzero(counts) < 2:
        return 0.0
    centre = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    first = np.cumsum(counts * centre)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (first / below - (first[-1] - first) / above) ** 2
    best = np.nanmax(between[:-1])
    return float(edges[1:-1][np.isclose(between[:-1], best)].mean())


def whole(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the large pieces of a mask, close and fill them, and grow them by one block."""
    pieces, count = ndimage.label(mask)
    if count == 0:
        return mask
    size = np.bincount(pieces.ravel())[1:]
    mask = np.isin(pieces, 1 + np.flatnonzero(size >= 0.05 * size.max()))
    grown = ndimage.binary_dilation(mask, iterations=1)
    return ndimage.binary_fill_holes(grown)
