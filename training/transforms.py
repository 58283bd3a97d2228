"""Random draws, blurs and smooth noise, and what is done to photographs first: batched, on the device.

Transforms take and give slices of shape (N, 1, H, W) with values of 0 and more; `generator` is on the slices' device.
At strength 0 each gives back what it got.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def zoom_turn_flip(photos: Tensor, zoom: float, turn: float, generator: torch.Generator) -> Tensor:
    """Scale, rotate and mirror; what lies outside the photograph is its mirror image.

    Parameters
    ----------
    photos : Tensor, shape (N, 1, H, W)
    zoom : float
        Scale between exp(-zoom) and exp(zoom).
    turn : float
        Rotation by up to this many degrees, on top of any quarter turn; at 0 and with `zoom` 0 nothing is done.
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
    """Bend the gray scale by a power between exp(-strength) and exp(strength), and invert it now and then.

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
    """Draw n numbers between low and high, shape (n,); the ends may differ, shape (n,) too."""
    return low + (high - low) * torch.rand(n, generator=generator, device=generator.device)


def per_slice(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Draw one number for each slice, uniform between low and high; shape (n, 1, 1, 1)."""
    return uniform(n, low, high, generator).reshape(n, 1, 1, 1)


def chance(n: int, share: float, generator: torch.Generator) -> Tensor:
    """Draw for each slice whether something is done to it; bool, shape (n, 1, 1, 1)."""
    return per_slice(n, 0, 1, generator) < share


def resize(x: Tensor, size: int) -> Tensor:
    """Interpolate maps of shape (N, C, H, W) linearly to (N, C, size, size)."""
    return F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)


def gaussian_rows(sigma: Tensor, size: int) -> Tensor:
    """Compute matrices that blur along an axis: Gaussians in their rows, each of sum 1, cut at the borders.

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
    # Smaller numbers would do nothing but slow a processor down.
    kernel = torch.where(exponent > -30, torch.exp(exponent), 0.0)
    rows = kernel.unfold(1, size, 1).flip(1)
    return rows / rows.sum(2, keepdim=True)


def blur(slices: Tensor, sigma: Tensor, sigma_across: Tensor | None = None) -> Tensor:
    """Blur each slice by a Gaussian of its own width.

    The matrix products take a few milliseconds for hundreds of slices on a GPU, whatever the width is.

    Parameters
    ----------
    slices : Tensor, shape (N, C, H, H)
    sigma : Tensor, shape (N,)
        Standard deviation, pixels; along the columns, and along the rows too if there is no `sigma_across`.
    sigma_across : Tensor, shape (N,), optional
        Along the rows.

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
    """Draw Gaussian random fields, of mean 0 and standard deviation 1 over each map.

    Parameters
    ----------
    n, size : int
        Number and side.
    length : Tensor, shape (n,)
        Correlation length as a share of the side: the correlation at distance r is exp(-r^2 / (2 length^2)).
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (n, 1, size, size)
    """
    white = torch.randn(n, 1, size, size, generator=generator, device=generator.device)
    return standardise(blur(white, length * (size / 2**0.5)))
