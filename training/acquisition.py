"""What a scan does to a slice, beside its field: partial volume, cuts, ghosts, unequal lines, clipping, noise.

All take and give slices of shape (N, 1, H, H) with values of 0 and more; `generator` is on the slices' device.
At strength 0 each gives back what it got.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .transforms import blur, chance, per_slice, uniform


def partial_volume(slices: Tensor, width: float, thick: float, generator: torch.Generator) -> Tensor:
    """Blur each slice by a Gaussian, as voxels that hold several tissues do.

    Parameters
    ----------
    slices : Tensor, shape (N, 1, H, H)
    width : float
        Largest standard deviation, pixels; it is drawn uniformly from 0 on.
    thick : float
        Share of the slices that are blurred up to three times as much along one axis, as thick slices do.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, H, H)
    """
    if width == 0:
        return slices
    n = len(slices)
    sigma = uniform(n, 0, width, generator)
    long = sigma + torch.where(chance(n, thick, generator).reshape(n), uniform(n, 0, 2 * width, generator), 0.0)
    down = uniform(n, 0, 1, generator) < 0.5
    return blur(slices, torch.where(down, long, sigma), torch.where(down, sigma, long))


def cut(slices: Tensor, depth: Tensor, ends: Tensor, offset: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Find the pixels that a foreground mask keeps: those below the outline, or below a rim, more or less tightly.

    Parameters
    ----------
    slices, depth : Tensor, shape (N, 1, H, H)
        Blurred slices; depth below the outline, pixels.
    ends : Tensor, shape (N, 4)
        Depths of the outline and of the rims' inner borders: half of the slices are cut at one of these.
    offset : tuple of float
        The cut lies at least and at most so many pixels deeper. Where both are 0, it lies at the outline.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, H, H)
        1 where the slice is kept, 0 elsewhere. In a quarter of the slices dark pixels are left out too, with a
        ragged edge, and a tenth end at a straight line, as at the end of a slab.
    """
    if offset == (0.0, 0.0):
        return (depth > 0).float()
    n, size, device = len(slices), slices.shape[-1], slices.device
    which = torch.randint(1, 4, (n, 1), generator=generator, device=device) * chance(n, 0.5, generator).reshape(n, 1)
    kept = depth > (ends.gather(1, which).reshape(n, 1, 1, 1) + per_slice(n, *offset, generator))

    mean = slices.sum((1, 2, 3), keepdim=True) / slices.sign().sum((1, 2, 3), keepdim=True).clamp_min(1)
    jitter = 1 + per_slice(n, 0, 0.3, generator) * torch.randn(slices.shape, generator=generator, device=device)
    bright = slices * jitter > mean * per_slice(n, 0.02, 0.35, generator)
    kept = kept & (bright | ~chance(n, 0.25, generator))

    axis = (torch.arange(size, device=device) + 0.5) / size - 0.5
    way = per_slice(n, 0, 2 * math.pi, generator)
    along = torch.cos(way) * axis[None, None, None, :] + torch.sin(way) * axis[None, None, :, None]
    inside = along < per_slice(n, 0.0, 0.35, generator)
    return (kept & (inside | ~chance(n, 0.1, generator))).float()


def ghost(slices: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Add a faint copy, half the field of view away, to three slices in ten.

    Parameters
    ----------
    slices : Tensor, shape (N, 1, H, H)
    strength : float
        Largest share of the copy.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, H, H)
    """
    if strength == 0:
        return slices
    n, half = len(slices), slices.shape[-1] // 2
    share = per_slice(n, 0, strength, generator) * chance(n, 0.3, generator)
    moved = torch.where(chance(n, 0.5, generator), slices.roll(half, 2), slices.roll(half, 3))
    return slices.addcmul(moved, share)


def uneven_lines(slices: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Brighten every other line of three slices in ten, as interleaved slices that are seen from the side.

    Parameters
    ----------
    slices : Tensor, shape (N, 1, H, H)
    strength : float
        Lines are brighter and darker by at most this share; they are 1 to 8 pixels thick.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, H, H)
    """
    if strength == 0:
        return slices
    n, size = len(slices), slices.shape[-1]
    share = per_slice(n, 0, strength, generator) * chance(n, 0.3, generator)
    line = torch.floor(torch.arange(size, device=slices.device).reshape(1, 1, size, 1) / per_slice(n, 1, 8, generator))
    factor = 1 + share * (2 * (line % 2) - 1)
    return slices * torch.where(chance(n, 0.5, generator), factor, factor.transpose(2, 3))


def clip(slices: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Cut off the brightest values, down to .7 of the brightest, of a share of the slices."""
    if share == 0:
        return slices
    n = len(slices)
    most = slices.amax((1, 2, 3), keepdim=True)
    return torch.minimum(slices, most * torch.where(chance(n, share, generator), per_slice(n, 0.7, 1, generator), 1.0))


def rician_noise(slices: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Add the noise of a magnitude image (Gudbjartsson and Patz, MRM 1995).

    Parameters
    ----------
    slices : Tensor, shape (N, 1, H, H)
    level : float
        Standard deviation of each channel's noise, at most this share of the slice's mean above 0; it is the
        square of a uniform number, so that half of the slices have less than a quarter of it.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, H, H)
    """
    if level == 0:
        return slices
    mean = slices.sum((1, 2, 3)) / slices.sign().sum((1, 2, 3)).clamp_min(1)
    sigma = (level * uniform(len(slices), 0, 1, generator).square() * mean).reshape(-1, 1, 1, 1)
    real = torch.randn(slices.shape, generator=generator, device=slices.device)
    # Independent of the real one at each pixel, but for the mirror's; to draw normals is the slowest thing here.
    imaginary = real.flip((2, 3)).mul_(sigma)
    return torch.addcmul(slices, real, sigma).square_().addcmul_(imaginary, imaginary).sqrt_()
