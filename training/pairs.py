"""From photographs to the pairs of shaded slices that GetNet learns from."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from getnet_bids.core.network import CELLS

from . import acquisition, transforms
from .anatomy import fill, uneven
from .fields import GRID, random_log_gain
from .outlines import depth_below_outline
from .recipe import Recipe
from .transforms import chance, resize


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
    variation : Tensor, shape (N, 16, 16)
        Mean over each cell's signal of the logarithm of the smooth changes within classes, which are no field.
    flat : Tensor of bool, shape (N,)
        The photograph is posterised: it has no field of its own, and the fields above are the truth.
    """

    first: Tensor
    second: Tensor
    log_gain_first: Tensor
    log_gain_second: Tensor
    weight: Tensor
    variation: Tensor
    flat: Tensor


def joined(parts: list[Pairs]) -> Pairs:
    """Put batches of pairs behind each other."""
    if len(parts) == 1:
        return parts[0]
    return Pairs(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Pairs)))


def every(pairs: Pairs, start: int, step: int) -> Pairs:
    """Take each so-manieth pair, from one on."""
    return pairs if step == 1 else Pairs(*(getattr(pairs, f.name)[start::step] for f in fields(Pairs)))


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
    photos = transforms.zoom_turn_flip(photos * (1 / 255), recipe.zoom, recipe.turn, generator)
    photos = transforms.contrast(photos, recipe.contrast, generator)
    flat = torch.arange(n, device=photos.device) < round(n * recipe.posterised)
    depth = depth_below_outline(photos, recipe.background, generator)
    depth = uneven(depth, recipe.waves, generator)
    v, change, ends = fill(photos, depth, flat, recipe, generator)
    v = acquisition.partial_volume(v * (depth > 0), recipe.blur, recipe.thick, generator)
    inside = acquisition.cut(v, depth, ends, recipe.cut, generator)
    v = v * inside
    v = acquisition.uneven_lines(v, recipe.lines, generator)

    signal = (v >= recipe.signal).float() * inside
    share = F.avg_pool2d(signal, size // GRID)
    noisy = torch.maximum(inside, chance(n, recipe.noisy_background, generator).float())
    slices, cells = [], []
    for flat_share in (0.0, recipe.flat):
        log_gain = random_log_gain(share, recipe, flat_share, generator)
        shaded = v * resize(log_gain.exp(), size)
        shaded = acquisition.ghost(shaded, recipe.ghost, generator)
        shaded = acquisition.clip(shaded, recipe.clipped, generator)
        slices.append(acquisition.rician_noise(shaded, recipe.noise, generator).mul_(noisy))
        cells.append(F.adaptive_avg_pool2d(log_gain, CELLS)[:, 0])
    weight = F.adaptive_avg_pool2d(share, CELLS)[:, 0]
    within = F.avg_pool2d(change * signal, size // CELLS)[:, 0] / weight.clamp_min(1e-6)
    return Pairs(slices[0], slices[1], cells[0], cells[1], weight, within, flat)
