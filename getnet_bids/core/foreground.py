"""Find the foreground: the voxels with signal."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from .device import at_once

BLOCKS_PER_AXIS = 64
"""Number of blocks along the volume's longest side."""
OTSU = 128
"""Number of bins of the histogram for Otsu's threshold."""
DARK_SHARE = 0.1
"""Fraction of the brightness of bright tissue below which voxels do not count as signal."""
RAYLEIGH_SD = 0.52
"""Standard deviation of the magnitude of noise, relative to its mean (Rayleigh's distribution)."""
MIN_NOISE_SD, NOISE_BLOCK_VARIANCE = 0.4, 1.5
"""A volume is noise if the standard deviation of its voxels is above the first value, relative to their mean, and the
variance of block means is less than the second value times that of means of independent voxels."""
NOISE_RATIO = 0.35, 0.7
"""Limits of the ratio of the standard deviation of a block's voxels to their mean, between which it may be noise."""
DIM, MEDIUM = 0.25, 0.75
"""Brightness of noise, as fractions of that of bright tissue: above the first it must be proven that it is noise, and
above the second it cannot be separated from tissue."""
PROVEN_BLOCK_VARIANCE = 2.5
"""The limit of the variance of block means, as above, for that proof. Among noise there may be some blocks of dark
tissue, which increased it to 2.1 at most; in images without so much noise, borders of tissue had at least 3.6."""
MIN_NOISY = 0.02
"""Smallest fraction of noisy blocks from which the noise is measured."""


def find_foreground(volume: Tensor, voxel_size: tuple[float, float, float], dark_share: float = DARK_SHARE) -> Tensor:
    """Find the voxels with signal in the imaged body.

    Noise and signal are separated on block means, in which noise is averaged out. Blocks above the noise form the body:
    its holes are filled, and pieces much smaller than the largest are removed. The voxels of the body above the noise
    are the foreground. Images without any background, or with a background of exactly 0, need no special treatment.

    Parameters
    ----------
    volume : Tensor, shape (X, Y, Z), float32
        Finite magnitudes; values below 0 are not signal.
    voxel_size : tuple of float
        mm.
    dark_share : float
        Fraction of the brightness of bright tissue below which voxels do not count; 0 for all voxels above the noise.

    Returns
    -------
    Tensor of bool, shape (X, Y, Z)
        Nothing is set if no voxel is above 0, or if the volume is only noise.
    """
    longest = max(s * v for s, v in zip(volume.shape, voxel_size, strict=True))
    block = [
        min(s, max(2, round(longest / BLOCKS_PER_AXIS / v))) for s, v in zip(volume.shape, voxel_size, strict=True)
    ]
    # Volumes are stored with the first axis fastest, so the axes are reversed.
    slabs, block = volume.permute(2, 1, 0), block[::-1]
    means, deviations = block_moments(slabs, block)
    found = torch.zeros_like(slabs, dtype=torch.bool)
    share = block_share(slabs.shape, block)
    if not is_noise(means, deviations, share):
        block_level, voxel_level = thresholds(means, deviations, share, dark_share)
        body = torch.from_numpy(whole((means > block_level).cpu().numpy())).to(volume.device)
        for axis in (2, 1):
            body = body.index_select(axis, torch.arange(slabs.shape[axis], device=body.device) // block[axis])
        few = at_once(body, 1)
        layers = (volume.split(few * block[0]) for volume in (found, slabs))
        for inside, part, values in zip(body.split(few), *layers, strict=True):
            torch.gt(values, voxel_level, out=part).logical_and_(inside.repeat_interleave(block[0], 0)[: len(part)])
    return found.permute(2, 1, 0)


def block_moments(slabs: Tensor, block: list[int]) -> tuple[Tensor, Tensor]:
    """Compute the mean and the standard deviation of each block's voxels; values below 0 count as 0.

    Parameters
    ----------
    slabs : Tensor, shape (Z, Y, X), float32
    block : list of three int
        Number of voxels of a block along each axis; the last block may have fewer.

    Returns
    -------
    means, deviations : Tensor, shape (blocks along Z, along Y, along X)

    Examples
    --------
    >>> block_moments(torch.tensor([[[1.0, 3.0, 5.0]]]), [1, 1, 2])
    (tensor([[[2., 5.]]]), tensor([[[1., 0.]]]))
    """
    means, squares = [], []
    for layers in slabs.split(at_once(slabs, block[0])):
        positive = layers.clamp_min(0)
        means.append(mean_by(block[0], positive, 0))
        squares.append(mean_by(block[0], positive.square_(), 0))
    mean, square = (mean_by(block[2], mean_by(block[1], torch.cat(m), 1), 2) for m in (means, squares))
    return mean, (square - mean.square()).clamp_min_(0).sqrt_()


def mean_by(size: int, values: Tensor, axis: int) -> Tensor:
    """Compute the means of groups of neighbours along an axis; the last group may be smaller.

    Examples
    --------
    >>> mean_by(2, torch.tensor([1.0, 3.0, 4.0]), 0)
    tensor([2., 4.])
    """
    if size >= values.shape[axis]:
        return values.mean(axis, keepdim=True)
    parts = [values.movedim(axis, 0)[start::size].movedim(0, axis) for start in range(size)]
    total = parts[0].clone()
    for part in parts[1:]:
        total.narrow(axis, 0, part.shape[axis]).add_(part)
    whole, rest = divmod(values.shape[axis], size)
    total.narrow(axis, 0, whole).div_(size)
    if rest:
        total.narrow(axis, whole, 1).div_(rest)
    return total


def thresholds(means: Tensor, deviations: Tensor, share: float, dark_share: float = DARK_SHARE) -> tuple[float, float]:
    """Compute the thresholds above which block means, and voxels, are signal.

    Both are a fraction of the median of bright blocks (those above Otsu's threshold of the square roots, 1979); a tenth
    is low enough for tissue in the darkest part of an ordinary field. With more noise they are higher: blocks are
    signal from five standard deviations above the noise, and voxels from twice its mean, which one in twenty noise
    voxels exceeds according to Rayleigh's distribution.

    Parameters
    ----------
    means, deviations : Tensor, same shape
        Mean and standard deviation of each block's voxels, not negative.
    share : float
        As for `means_vary_little`.
    dark_share : float
        The fraction.

    Returns
    -------
    block, voxel : float
        At least 0.

    Examples
    --------
    >>> noise, tissue = torch.full((700,), 3.0), torch.linspace(60, 140, 300)
    >>> means, deviations = torch.cat([noise, tissue]), torch.cat([0.5 * noise, 0.1 * tissue])
    >>> block, voxel = thresholds(means, deviations, 1 / 8)
    >>> 3 < block < 30, 3 < voxel < 30
    (True, True)
    """
    positive = means.masked_select(means > 0)
    if positive.numel() == 0:
        return 0.0, 0.0
    split = otsu(means.clamp_max(ranked(positive, 0.99)).sqrt()) ** 2
    bright = ranked(means.masked_select(means > split), 0.5)
    block = voxel = dark_share * bright
    # All blocks of noise have about the same mean, unlike borders of tissue.
    noisy = (means < MEDIUM * bright) & (deviations > NOISE_RATIO[0] * means) & (deviations < NOISE_RATIO[1] * means)
    dim = means.masked_select(noisy & (means < DIM * bright))
    if dim.numel() > MIN_NOISY * means.numel():
        noise = ranked(dim, 0.5)
        spread = 1.48 * ranked((dim - noise).abs(), 0.5)
        if spread < 0.3 * noise:
            block, voxel = max(block, noise + 5 * spread), max(voxel, 2.0 * noise)
    block, voxel = min(block, 0.3 * bright), min(voxel, 0.3 * bright)
    if noisy.count_nonzero() > MIN_NOISY * means.numel():
        # Noise as bright as dim tissue: its blocks vary little, and it is the darkest of what there is.
        noise = ranked(means.masked_select(noisy), 0.5)
        spread = RAYLEIGH_SD * noise * share**0.5
        alike = noisy & ((means - noise).abs() < 4 * spread)
        among = means.masked_select(alike), deviations.masked_select(alike)
        least = max(MIN_NOISY * means.numel(), float((means < noise - 4 * spread).count_nonzero()))
        is_bright = noise > DIM * bright and among[0].numel() > least
        if is_bright and means_vary_little(*among, share, PROVEN_BLOCK_VARIANCE):
            block = max(block, min(noise + 5 * spread, (noise + bright) / 2))
    return block, voxel


def ranked(values: Tensor, share: float) -> float:
    """Return a quantile: the value that a fraction of the values do not exceed.

    Examples
    --------
    >>> ranked(torch.tensor([3.0, 1.0, 2.0, 4.0, 5.0]), 0.5)
    3.0
    """
    return float(values.flatten().kthvalue(1 + round(share * (values.numel() - 1))).values)


def is_noise(means: Tensor, deviations: Tensor, share: float) -> bool:
    """Return whether a volume is only noise: voxels that vary strongly and are independent of their neighbours.

    Block means of such voxels vary like those of independent numbers; those of any object vary far more.

    Parameters
    ----------
    means, deviations : Tensor, same shape
        Mean and standard deviation of each block's voxels.
    share : float
        As for `means_vary_little`.

    Examples
    --------
    >>> noise = torch.randn(2, 500, 8, generator=torch.Generator().manual_seed(0)).square().sum(0).sqrt()
    >>> tissue = noise + 4 * (torch.arange(500) < 200)[:, None]
    >>> [is_noise(blocks.mean(1), blocks.std(1, correction=0), 1 / 8) for blocks in (noise, tissue)]
    [True, False]
    """
    # A few voxels that are far too bright should make no difference.
    means, deviations = (x.clamp_max(ranked(x, 0.99)) for x in (means, deviations))
    noisy = deviations.double().square().mean() > (1 - share) * (MIN_NOISE_SD * means.double().mean()) ** 2
    return bool(noisy) and means_vary_little(means, deviations, share, NOISE_BLOCK_VARIANCE)


def means_vary_little(means: Tensor, deviations: Tensor, share: float, limit: float) -> bool:
    """Return whether the means of blocks vary hardly more than those of independent voxels.

    Parameters
    ----------
    means, deviations : Tensor, same shape
        Mean and standard deviation of each block's voxels.
    share : float
        Variance of the mean of a block of independent voxels, relative to that of a voxel.
    limit : float
        Largest ratio of the variance of the means to that of independent voxels.
    """
    if share >= 1:
        return False
    within = deviations.double().square().mean() / (1 - share)
    return bool(means.double().var(correction=0) < limit * share * within)


def block_share(shape: tuple[int, ...], block: list[int]) -> float:
    """Return the mean of one over the number of voxels of a block; blocks at the border may have fewer.

    Examples
    --------
    >>> block_share((8, 9), [4, 4])  # 9 voxels make blocks of 4, 4 and 1
    0.125
    """
    blocks = [math.ceil(s / b) for s, b in zip(shape, block, strict=True)]
    shares = [((n - 1) / b + 1 / (s - (n - 1) * b)) / n for s, b, n in zip(shape, block, blocks, strict=True)]
    return math.prod(shares)


def otsu(values: Tensor) -> float:
    """Compute Otsu's threshold, which splits values so that the variance between the two parts is greatest (1979).

    Parameters
    ----------
    values : Tensor
        Not negative.

    Returns
    -------
    float
        0 if the values are all the same.

    Examples
    --------
    >>> 1 < otsu(torch.tensor([0.0, 0.5, 1.0, 7.0, 8.0])) < 7
    True
    """
    top = float(values.amax())
    counts = torch.histc(values, OTSU, 0, top).double()
    if top == 0 or torch.count_nonzero(counts) < 2:
        return 0.0
    centre = (torch.arange(OTSU, dtype=torch.float64, device=values.device) + 0.5) * (top / OTSU)
    below, first = counts.cumsum(0), (counts * centre).cumsum(0)
    above = below[-1] - below
    between = (below * above * (first / below - (first[-1] - first) / above) ** 2)[:-1].nan_to_num(0.0)
    best = torch.isclose(between, between.amax()).nonzero()
    return float(best.double().mean() + 1) * top / OTSU


def whole(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the large pieces of a mask, dilate them by one block, and fill their holes.

    Parameters
    ----------
    mask : ndarray of bool, shape (I, J, K)
        Mask of blocks.

    Returns
    -------
    ndarray of bool, shape (I, J, K)
    """
    pieces, count = ndimage.label(mask)
    if count == 0:
        return mask
    size = np.bincount(pieces.ravel())[1:]
    large = np.concatenate([[False], size >= 0.05 * size.max()])[pieces]
    grown = np.pad(large, 1)
    for axis in range(3):
        for beside in (slice(None, -2), slice(2, None)):
            grown[tuple(beside if a == axis else slice(1, -1) for a in range(3))] |= large
    empty = np.pad(~grown[1:-1, 1:-1, 1:-1], 1, constant_values=True)
    pieces, _ = ndimage.label(empty)
    return (pieces != pieces[0, 0, 0])[1:-1, 1:-1, 1:-1]
