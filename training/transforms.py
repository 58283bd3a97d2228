"""Batched random transforms: of photographs, and those that simulate a scan's effects on a slice other than its field.

Transforms take and return slices of shape (N, 1, H, W) with values from 0 on; `generator` is on the slices' device. At
strength 0 each returns its input.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def zoom_turn_flip(photos: Tensor, zoom: float, turn: float, generator: torch.Generator) -> Tensor:
    """Scale, rotate and mirror photographs; outside, a photograph is continued by its mirror image.

    Parameters
    ----------
    photos : Tensor, shape (N, 1, H, W)
    zoom : float
        Scale between exp(-zoom) and exp(zoom).
    turn : float
        Rotation by up to this many degrees, in addition to quarter turns; if this and `zoom` are 0, nothing is done.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, H, W)
    """
    if zoom == 0 and turn == 0:
        return photos
    n = len(photos)
    scale = torch.exp(uniform(n, -zoom, zoom, generator))[:, None, None]
    quarter = torch.randint(4, (n,), generator=generator, device=generator.device) * (math.pi / 2)
    angle = (quarter + uniform(n, -turn, turn, generator) * (math.pi / 180))[:, None, None]
    flip = torch.where(uniform(n, 0, 1, generator) < 0.5, -1.0, 1.0)[:, None, None]
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    shift = [uniform(n, -1, 1, generator)[:, None, None] * (1 - 1 / scale).clamp_min(0) for _ in range(2)]
    # Written out, as affine_grid takes several times as long.
    height, width = photos.shape[2:]
    x = ((2 * torch.arange(width, device=photos.device) + 1) / width - 1)[None, None]
    y = ((2 * torch.arange(height, device=photos.device) + 1) / height - 1)[None, :, None]
    grid = torch.empty(n, height, width, 2, device=photos.device)
    for i, (along_x, along_y) in enumerate(((cos * flip, -sin), (sin * flip, cos))):
        torch.add(along_x * x, along_y * y + shift[i], out=grid[..., i])
    return F.grid_sample(photos, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def contrast(photos: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Change the gray scale by a power between exp(-strength) and exp(strength), and invert it sometimes.

    Parameters
    ----------
    photos : Tensor, shape (N, 1, H, W), values in [0, 1]
    strength : float
        Half of the photographs are inverted at any strength above 0.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, H, W), values in [0, 1]
    """
    if strength == 0:
        return photos
    shape = (len(photos), 1, 1, 1)
    power = torch.exp(uniform(len(photos), -strength, strength, generator)).reshape(shape)
    invert = uniform(len(photos), 0, 1, generator).reshape(shape) < 0.5
    return (photos - invert.float()).abs_().pow_(power)


def uniform(n: int, low: float | Tensor, high: float | Tensor, generator: torch.Generator) -> Tensor:
    """Draw n numbers between low and high, shape (n,); low and high may also have shape (n,)."""
    return low + (high - low) * torch.rand(n, generator=generator, device=generator.device)


def per_slice(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Draw one number for each slice, uniform between low and high; shape (n, 1, 1, 1)."""
    return uniform(n, low, high, generator).reshape(n, 1, 1, 1)


def chance(n: int, share: float, generator: torch.Generator) -> Tensor:
    """Draw for each slice whether something is applied to it; bool, shape (n, 1, 1, 1)."""
    return per_slice(n, 0, 1, generator) < share


def resize(x: Tensor, size: int) -> Tensor:
    """Interpolate maps of shape (N, C, H, W) linearly to (N, C, size, size)."""
    return F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)


def gaussian_rows(sigma: Tensor, size: int) -> Tensor:
    """Compute matrices that blur along an axis: their rows are Gaussians with a sum of 1, cut off at the borders.

    Parameters
    ----------
    sigma : Tensor, shape (N,)
        Standard deviation of each slice's Gaussian, pixels; 0 gives the identity.
    size : int

    Returns
    -------
    Tensor, shape (N, size, size)
    """
    offset = torch.arange(1 - size, size, device=sigma.device, dtype=torch.float32)
    exponent = offset.square() * (-0.5 / sigma.reshape(-1, 1).clamp_min(0.05).square())
    # Smaller numbers have no effect, but would slow a processor down.
    kernel = torch.where(exponent > -30, torch.exp(exponent), 0.0)
    rows = kernel.unfold(1, size, 1).flip(1)
    return rows / rows.sum(2, keepdim=True)


def blur(slices: Tensor, sigma: Tensor, sigma_across: Tensor | None = None) -> Tensor:
    """Blur each slice by a Gaussian of its own width.

    On a GPU the matrix products take a few milliseconds for hundreds of slices, whatever the width.

    Parameters
    ----------
    slices : Tensor, shape (N, C, H, H)
    sigma : Tensor, shape (N,)
        Standard deviation along the columns, pixels; also along the rows if there is no `sigma_across`.
    sigma_across : Tensor, shape (N,), optional
        Standard deviation along the rows.

    Returns
    -------
    Tensor, shape (N, C, H, H)

    Examples
    --------
    >>> bar = torch.zeros(1, 1, 9, 9)
    >>> bar[..., 4] = 1
    >>> blur(bar, torch.tensor([1.0]))[0, 0, 4].round(decimals=2)
    tensor([0.0000, 0.0000, 0.0500, 0.2400, 0.4000, 0.2400, 0.0500, 0.0000, 0.0000])
    """
    size = slices.shape[-1]
    down = gaussian_rows(sigma, size)[:, None]
    across = down if sigma_across is None else gaussian_rows(sigma_across, size)[:, None]
    return down @ slices @ across.transpose(2, 3)


def standardise(maps: Tensor) -> Tensor:
    """Shift and scale each map, shape (N, C, H, W), to mean 0 and standard deviation 1."""
    centred = maps - maps.mean((2, 3), keepdim=True)
    return centred / centred.square().mean((2, 3), keepdim=True).sqrt().clamp_min(1e-6)


def smooth_noise(n: int, size: int, length: Tensor, generator: torch.Generator) -> Tensor:
    """Draw Gaussian random fields, with mean 0 and standard deviation 1 over each map.

    Parameters
    ----------
    n, size : int
        Number and side.
    length : Tensor, shape (n,)
        Correlation length as a fraction of the side: the correlation at distance r is exp(-r^2 / (2 length^2)).
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (n, 1, size, size)
    """
    white = torch.randn(n, 1, size, size, generator=generator, device=generator.device)
    return standardise(blur(white, length * (size / 2**0.5)))


def partial_volume(slices: Tensor, width: float, thick: float, generator: torch.Generator) -> Tensor:
    """Blur each slice by a Gaussian, to simulate voxels that contain several tissues.

    Parameters
    ----------
    slices : Tensor, shape (N, 1, H, H)
    width : float
        Largest standard deviation, pixels; it is drawn uniformly from 0 on.
    thick : float
        Fraction of the slices that are blurred up to three times as much along one axis, to simulate thick slices.
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
    """Compute the pixels that a foreground mask keeps: those below the outline or a rim, more or less tightly.

    Parameters
    ----------
    slices, depth : Tensor, shape (N, 1, H, H)
        Blurred slices; depth below the outline, pixels.
    ends : Tensor, shape (N, 4)
        Depths of the outline and of the rims' inner borders: half of the slices are cut at one of these.
    offset : tuple of float
        Smallest and largest distance, in pixels, by which the cut is deeper. If both are 0, it is at the outline.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, H, H)
        1 where the slice is kept, 0 elsewhere. In a quarter of the slices dark pixels are also left out, with a ragged
        edge, and a tenth end at a straight line, as at the end of a slab.
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


def random_strengths(n: int, strength: float, generator: torch.Generator) -> Tensor:
    """Draw a strength up to `strength` for three slices in ten, and 0 for the others; shape (n, 1, 1, 1)."""
    return per_slice(n, 0, strength, generator) * chance(n, 0.3, generator)


def ghost(slices: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Add a faint copy, half the field of view away, to three slices in ten.

    Parameters
    ----------
    slices : Tensor, shape (N, 1, H, H)
    strength : float
        Largest strength of the copy.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, H, H)
    """
    if strength == 0:
        return slices
    n, half = len(slices), slices.shape[-1] // 2
    share = random_strengths(n, strength, generator)
    moved = torch.where(chance(n, 0.5, generator), slices.roll(half, 2), slices.roll(half, 3))
    return slices.addcmul(moved, share)


def uneven_lines(slices: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Brighten every other line of three slices in ten, like interleaved slices seen from the side.

    Parameters
    ----------
    slices : Tensor, shape (N, 1, H, H)
    strength : float
        Largest relative change of the brightness of lines, which are 1 to 8 pixels thick.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, H, H)
    """
    if strength == 0:
        return slices
    n, size = len(slices), slices.shape[-1]
    share = random_strengths(n, strength, generator)
    line = torch.floor(torch.arange(size, device=slices.device).reshape(1, 1, size, 1) / per_slice(n, 1, 8, generator))
    factor = 1 + share * (2 * (line % 2) - 1)
    return slices * torch.where(chance(n, 0.5, generator), factor, factor.transpose(2, 3))


def clip(slices: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Clip the brightest values, down to .7 of the maximum, in a fraction of the slices."""
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
        Largest standard deviation of each channel's noise, as a fraction of the slice's mean above 0; it is drawn as
        the square of a uniform number, so that half of the slices have less than a quarter of it.
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
    # The imaginary noise reuses the real noise of other pixels, since drawing normal numbers is the slowest step here.
    imaginary = real.flip((2, 3)).mul_(sigma)
    return torch.addcmul(slices, real, sigma).square_().addcmul_(imaginary, imaginary).sqrt_()
