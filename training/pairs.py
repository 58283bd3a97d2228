"""From photographs to the pairs of shaded slices that GetNet learns from."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from getnet_bids.core.network import CELLS

from . import transforms
from .fields import GRID, random_log_gain
from .recipe import Recipe


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


def joined(parts: list[Pairs]) -> Pairs:
    """Put batches of pairs behind each other."""
    if len(parts) == 1:
        return parts[0]
    return Pairs(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Pairs)))


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
    v = transforms.zoom_turn_flip(photos * (1 / 255), recipe.zoom, recipe.turn, generator)
    v = transforms.contrast(v, recipe.contrast, generator)
    split = round(n * recipe.posterised)
    flat = torch.arange(n, device=v.device) < split
    if split:
        v[:split] = transforms.posterise(v[:split], recipe.classes, recipe.texture, generator)
    body = transforms.bodies(n, size, recipe.background, generator)
    v = transforms.shells(v, body, recipe.shelled, generator)
    inside = (body > 0).float()
    v = transforms.soften(v * inside, recipe.softened, generator).mul_(inside)

    share = F.avg_pool2d((v >= recipe.signal).float(), size // GRID)
    slices, cells = [], []
    gains = [random_log_gain(share, recipe, flat_share, generator) for flat_share in (0.0, recipe.flat)]
    for log_gain in gains:
        gain = F.interpolate(log_gain.exp(), size=(size, size), mode="bilinear", align_corners=False)
        slices.append(transforms.rician_noise(gain.mul_(v), recipe.noise, generator).mul_(inside))
        cells.append(F.adaptive_avg_pool2d(log_gain, CELLS)[:, 0])
    weight = F.adaptive_avg_pool2d(share, CELLS)[:, 0]
    return Pairs(slices[0], slices[1], cells[0], cells[1], weight, flat)
