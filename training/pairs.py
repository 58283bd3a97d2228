"""From photographs to the pairs of shaded slices that GetNet learns from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from getnet_bids.core.gain import coil_log_gain, smooth_log_gain, with_spread
from getnet_bids.core.network import CELL, CELLS

from . import transforms
from .recipe import Recipe
from .transforms import uniform


@dataclass(frozen=True)
class Pairs:
    """Each photograph v shaded by two fields: v·k1 and v·k2 (k2 is 1 in the paper).

    Parameters
    ----------
    first, second : Tensor, shape (N, 1, 256, 256)
        The shaded slices, background 0.
    log_gain_first, log_gain_second : Tensor, shape (N, 16, 16)
        Natural logarithm of each field, mean over each cell.
    weight : Tensor, shape (N, 16, 16)
        Share of each cell that has signal.
    flat : Tensor of bool, shape (N,)
        The photograph is posterised: it has no field of its own, and the fields above are the truth.
    """

    first: Tensor
    second: Tensor
    log_gain_first: Tensor
    log_gain_second: Tensor
    weight: Tensor
    flat: Tensor


def random_log_gain(n: int, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Draw fields of the recipe's families on a 64x64 grid, of any mean and spread; shape (N, 1, 64, 64)."""
    low, high = (math.log(x) for x in recipe.length)
    length = torch.exp(uniform(n, low, high, generator))
    smooth = smooth_log_gain((64, 64), length, generator)
    coil = coil_log_gain((64, 64), n, generator)
    choose = uniform(n, 0, 1, generator)[:, None, None] < recipe.coil
    return torch.where(choose, coil, smooth)[:, None]


def scaled(log_gain: Tensor, weight: Tensor, recipe: Recipe, flat: float, generator: torch.Generator) -> Tensor:
    """Give fields the recipe's strength over the foreground; shapes (N, 1, 64, 64)."""
    n = len(log_gain)
    if recipe.peak > 0:
        g = log_gain - log_gain.amin((1, 2, 3), keepdim=True)
        g = 2 * g / g.amax((1, 2, 3), keepdim=True).clamp_min(1e-6) - 1
        strength = uniform(n, 0, recipe.peak, generator).reshape(-1, 1, 1, 1)
        return torch.log1p(g * strength * (1 if flat == 0 else 0))
    spread = uniform(n, *recipe.spread, generator)
    spread = torch.where(uniform(n, 0, 1, generator) < flat, 0.0, spread)
    return with_spread(log_gain, weight, spread)


def make_pairs(photos: Tensor, recipe: Recipe, generator: torch.Generator) -> Pairs:
    """Make training pairs from photographs.

    Parameters
    ----------
    photos : Tensor, shape (N, 1, 256, 256), uint8
    recipe : Recipe
    generator : torch.Generator
        On the photographs' device.

    Returns
    -------
    Pairs
    """
    n, size = len(photos), photos.shape[-1]
    v = transforms.zoom_turn_flip(photos.float() / 255, recipe.zoom, recipe.turn, generator)
    v = transforms.contrast(v, recipe.contrast, generator)
    flat = torch.arange(n, device=v.device) < round(n * recipe.posterised)
    split = int(flat.sum())
    if split:
        few = transforms.posterise(v[:split], recipe.classes, recipe.texture, generator)
        v = torch.cat([few, v[split:]])
    body = transforms.bodies(n, size, generator)
    body = torch.where((uniform(n, 0, 1, generator) < recipe.background).reshape(-1, 1, 1, 1), body, 1.0)
    v = transforms.shells(v, body, recipe.shelled, generator)
    inside = (body > 0).float()
    v = transforms.soften(v * inside, recipe.softened, generator) * inside

    seen = (v > 0.04).float()
    share = F.avg_pool2d(seen, size // 64)
    gains = [
        scaled(random_log_gain(n, recipe, generator), share, recipe, flat_share, generator)
        for flat_share in (0.0, recipe.flat if recipe.peak == 0 else 1.0)
    ]
    slices = []
    for gain in gains:
        fine = F.interpolate(gain, size=(size, size), mode="bilinear", align_corners=False)
        slices.append(transforms.rician_noise(v * fine.exp(), recipe.noise, generator) * inside)
    cells = [F.adaptive_avg_pool2d(gain, CELLS)[:, 0] for gain in gains]
    weight = F.avg_pool2d(seen, CELL)[:, 0]
    return Pairs(slices[0], slices[1], cells[0], cells[1], weight, flat)
