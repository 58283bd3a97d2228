"""What is done to photographs before they are shaded: one function a transform, batched, on the device.

All take and give slices of shape (N, 1, H, W) with values of 0 and more; `generator` is on the slices' device.
At strength 0 each gives back what it got.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from getnet_bids.core.gain import smooth_log_gain


def uniform(n: int, low: float | Tensor, high: float | Tensor, generator: torch.Generator) -> Tensor:
    """Draw n numbers between low and high, shape (n,); the ends may differ, shape (n,) too."""
    return low + (high - low) * torch.rand(n, generator=generator, device=generator.device)


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


def posterise(photos: Tensor, classes: tuple[int, int], texture: float, generator: torch.Generator) -> Tensor:
    """Quantise each photograph into a few classes, and give each class a level at random.

    The classes are flat, so that such a picture has no gain field of its own (up to the texture left in it), and
    the field multiplied onto it is the truth. Thresholds lie at random quantiles of the photograph; now and then
    a class gets the level 0, as bone and air have in MR images.

    Parameters
    ----------
    photos : Tensor, shape (N, 1, H, W), values in [0, 1]
    classes : tuple of int
        Least and greatest number of classes.
    texture : float
        At most this share of the photograph stays in each class.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, H, W), values in [0, 1]
    """
    n, device, bins = len(photos), photos.device, 256
    gray = (photos.flatten(1) * (bins - 1)).round().clamp(0, bins - 1).long()
    counts = torch.zeros(n, bins, device=device).scatter_add_(1, gray, torch.ones_like(gray, dtype=torch.float32))
    quantile = counts.cumsum(1) / gray.shape[1] - counts / gray.shape[1] / 2

    most = classes[1]
    used = torch.randint(classes[0], most + 1, (n, 1), generator=generator, device=device)
    thresholds = torch.rand(n, most - 1, generator=generator, device=device)
    thresholds = torch.where(torch.arange(most - 1, device=device) < used - 1, thresholds, 2.0)
    index = (quantile[:, :, None] > thresholds[:, None]).sum(2)
    levels = uniform(n * most, 0.08, 1.0, generator).reshape(n, most)
    levels = levels * (torch.rand(n, most, generator=generator, device=device) > 0.1)
    share = uniform(n, 0, texture, generator)[:, None]
    table = levels.gather(1, index)
    ramp = torch.linspace(0.0, 1.0, bins, device=device)
    table = torch.where(table > 0, (1 - share) * table + share * ramp, 0.0)
    return table.gather(1, gray).reshape(photos.shape)


def bodies(n: int, size: int, share: float, generator: torch.Generator) -> Tensor:
    """Draw smooth bodies of random shape: a function above 0 inside and below 0 outside.

    Parameters
    ----------
    n, size : int
        Number and side.
    share : float
        Share of the slices that have a background; the rest are 1, inside, everywhere.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (n, 1, size, size)
        About the distance to the border in units of the side; a few fill the whole slice or are cut by its border.
    """
    device = generator.device
    coarse = size // 4
    axis = (torch.arange(coarse, device=device) + 0.5) / coarse - 0.5
    centre = [uniform(n, -0.12, 0.12, generator)[:, None, None] for _ in range(2)]
    angle = uniform(n, 0, math.pi, generator)[:, None, None]
    y, x = axis[None, :, None] - centre[0], axis[None, None, :] - centre[1]
    u, v = torch.cos(angle) * x + torch.sin(angle) * y, torch.cos(angle) * y - torch.sin(angle) * x
    long = uniform(n, 0.22, 0.6, generator)[:, None, None]
    short = long * uniform(n, 0.5, 1.0, generator)[:, None, None]
    body = (1 - torch.sqrt((u / long) ** 2 + (v / short) ** 2)) * short
    ripple = smooth_log_gain((coarse, coarse), uniform(n, 0.08, 0.25, generator), generator)
    body = body + ripple * uniform(n, 0, 0.06, generator)[:, None, None]
    whole = uniform(n, 0, 1, generator)[:, None, None] < 0.08
    bounded = uniform(n, 0, 1, generator)[:, None, None] < share
    body = torch.where(whole | ~bounded, 1.0, body)
    return F.interpolate(body[:, None], size=(size, size), mode="bilinear", align_corners=False)


def shells(slices: Tensor, body: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Lay a dark and a bright shell around what is inside a body, as skull and scalp lie around a brain.

    Parameters
    ----------
    slices, body : Tensor, shape (N, 1, H, W)
        Pictures, and bodies of `bodies`.
    share : float
        Share of the slices that get shells.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, H, W)
    """
    n, shape = len(slices), (len(slices), 1, 1, 1)
    chosen = uniform(n, 0, 1, generator).reshape(shape) < share
    scalp = uniform(n, 0.01, 0.07, generator).reshape(shape)
    skull = scalp + uniform(n, 0.005, 0.05, generator).reshape(shape)
    level = uniform(n, 0.2, 1.3, generator).reshape(shape)
    dark = uniform(n, 0.0, 0.15, generator).reshape(shape)
    kept = uniform(n, 0, 0.6, generator).reshape(shape)
    scalp, skull = (torch.where(chosen, depth, -torch.inf) for depth in (scalp, skull))
    outer = torch.lerp(level, slices, kept)
    return torch.where(body < scalp, outer, torch.where(body < skull, dark, slices))


def soften(slices: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Blur a share of the slices by a 3x3 kernel, as partial volume does.

    Parameters
    ----------
    slices : Tensor, shape (N, 1, H, W)
    share : float
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, H, W)
    """
    chosen = (uniform(len(slices), 0, 1, generator) < share).nonzero()[:, 0]
    if len(chosen) == 0:
        return slices
    padded = F.pad(slices[chosen], (1, 1, 1, 1), mode="replicate")
    rows = (padded[:, :, :-2] + padded[:, :, 2:]).add_(padded[:, :, 1:-1], alpha=2)
    soft = (rows[..., :-2] + rows[..., 2:]).add_(rows[..., 1:-1], alpha=2).div_(16)
    return slices.index_copy(0, chosen, soft)


def rician_noise(slices: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Add the noise of a magnitude image (Gudbjartsson and Patz, MRM 1995).

    Parameters
    ----------
    slices : Tensor, shape (N, 1, H, W)
    level : float
        Standard deviation of each channel's noise, at most this share of the slice's mean above 0.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, H, W)
    """
    if level == 0:
        return slices
    mean = slices.sum((1, 2, 3)) / slices.sign().sum((1, 2, 3)).clamp_min(1)
    sigma = (uniform(len(slices), 0, level, generator) * mean).reshape(-1, 1, 1, 1)
    real = torch.randn(slices.shape, generator=generator, device=slices.device)
    # Independent of the real one at each pixel, but for the mirror's; to draw normals is the slowest thing here.
    imaginary = real.flip((2, 3)).mul_(sigma)
    return torch.addcmul(slices, real, sigma).square_().addcmul_(imaginary, imaginary).sqrt_()
