"""Random numbers, blurs and smooth noise, batched on the device, each slice with a strength of its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


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
