"""What is done to photographs first: one function a transform, batched, on the device.

All take and give slices of shape (N, 1, H, W) with values of 0 and more; `generator` is on the slices' device.
At strength 0 each gives back what it got.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .smooth import uniform


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
