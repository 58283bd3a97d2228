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
    block = [max(1, min(s, round(longest / GRID / v))) for s, v in zip(volume.shape, voxel_size, strict=True)]
    coarse = F.avg_pool3d(volume[None, None].clamp_min(0), block, ceil_mode=True)[0, 0]
    means = coarse.cpu().numpy()
    block_level, voxel_level = thresholds(means)
    body = torch.from_numpy(whole(means > block_level)).to(volume.device)
    for axis in range(3):
        index = torch.arange(volume.shape[axis], device=volume.device) // block[axis]
        body = body.index_select(axis, index)
    return body & (volume > voxel_level)


def thresholds(means: NDArray[np.floating]) -> tuple[float, float]:
    """Find the levels above which block means, and voxels, are signal.

    Otsu's threshold (1979) of the square roots tells the bright from the dark. If the dark is far below the bright
    it is noise: blocks are signal when they are five of its standard deviations above it, voxels when they are above
    what one in a few hundred of them reaches by Rayleigh's distribution. In any case both levels are low against
    the bright, so that tissue in the field's darkest corner is kept.

    Parameters
    ----------
    means : ndarray
        Block means, none negative.

    Returns
    -------
    block, voxel : float
        At least 0.

    Examples
    --------
    >>> import numpy as np
    >>> noise, tissue = np.full(700, 3.0), np.linspace(60, 140, 300)
    >>> block, voxel = thresholds(np.concatenate([noise, tissue]))
    >>> 3 < block < 30, 3 < voxel < 30
    (True, True)
    """
    positive = means[means > 0]
    if positive.size == 0:
        return 0.0, 0.0
    root = np.sqrt(np.minimum(means, np.quantile(positive, 0.99)))
    counts, edges = np.histogram(root, 128, (0, root.max()))
    centre = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    first = np.cumsum(counts * centre)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (first / below - (first[-1] - first) / above) ** 2
    best = np.nanmax(between[:-1])
    split = edges[1:-1][np.isclose(between[:-1], best)].mean() ** 2
    bright, dark = np.median(means[means > split]), means[means <= split]
    block = voxel = 0.0
    if dark.size and np.median(dark) < 0.25 * bright:
        noise = np.median(dark)
        block, voxel = noise + 5 * 1.48 * np.median(np.abs(dark - noise)), 2.6 * noise
    block, voxel = (float(np.clip(level, 0.1 * bright, 0.3 * bright)) for level in (block, voxel))
    return block, voxel


def whole(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the large pieces of a mask, close and fill them, and grow them by one block."""
    pieces, count = ndimage.label(mask)
    if count == 0:
        return mask
    size = np.bincount(pieces.ravel())[1:]
    mask = np.isin(pieces, 1 + np.flatnonzero(size >= 0.05 * size.max()))
    grown = ndimage.binary_dilation(mask, iterations=1)
    return ndimage.binary_fill_holes(grown)
