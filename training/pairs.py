"""Make the pairs of shaded slices from which GetNet learns out of photographs, and choose those of each step.

Pairs are a function of the recipe and the number of the step, so that resuming needs no state. All photographs are kept
in a GPU's memory if it is large enough, so that no step waits for the processor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from getnet_bids.core.network import CELLS

from . import transforms
from .anatomy import fill, uneven
from .fields import GRID, random_log_gain
from .outlines import depth_below_outline
from .photographs import SIDE, Photographs
from .recipe import Recipe
from .transforms import chance, resize


@dataclass(frozen=True)
class Pairs:
    """Photographs v, each shaded by two fields: v·k1 and v·k2 (k2 is 1 in the paper).

    Parameters
    ----------
    first, second : Tensor, shape (N, 1, 256, 256)
        The shaded slices, background 0.
    log_gain_first, log_gain_second : Tensor, shape (N, 16, 16)
        Mean over each cell of the natural logarithm of each field.
    weight : Tensor, shape (N, 16, 16)
        Fraction of each cell that has signal.
    variation : Tensor, shape (N, 16, 16)
        Mean over each cell's signal of the logarithm of the smooth changes within classes, which are not a field.
    flat : Tensor of bool, shape (N,)
        Whether the photograph is posterised: then it has no field of its own, and the fields above are the truth.
    """

    first: Tensor
    second: Tensor
    log_gain_first: Tensor
    log_gain_second: Tensor
    weight: Tensor
    variation: Tensor
    flat: Tensor


def joined(parts: list[Pairs]) -> Pairs:
    """Concatenate batches of pairs."""
    if len(parts) == 1:
        return parts[0]
    return Pairs(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Pairs)))


def every(pairs: Pairs, start: int, step: int) -> Pairs:
    """Select every n-th pair, starting at a given one."""
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
    v = transforms.partial_volume(v * (depth > 0), recipe.blur, recipe.thick, generator)
    inside = transforms.cut(v, depth, ends, recipe.cut, generator)
    v = v * inside
    v = transforms.uneven_lines(v, recipe.lines, generator)

    signal = (v >= recipe.signal).float() * inside
    share = F.avg_pool2d(signal, size // GRID)
    noisy = torch.maximum(inside, chance(n, recipe.noisy_background, generator).float())
    slices, cells = [], []
    for flat_share in (0.0, recipe.flat):
        log_gain = random_log_gain(share, recipe, flat_share, generator)
        shaded = v * resize(log_gain.exp(), size)
        shaded = transforms.ghost(shaded, recipe.ghost, generator)
        shaded = transforms.clip(shaded, recipe.clipped, generator)
        slices.append(transforms.rician_noise(shaded, recipe.noise, generator).mul_(noisy))
        cells.append(F.adaptive_avg_pool2d(log_gain, CELLS)[:, 0])
    weight = F.adaptive_avg_pool2d(share, CELLS)[:, 0]
    within = F.avg_pool2d(change * signal, size // CELLS)[:, 0] / weight.clamp_min(1e-6)
    return Pairs(slices[0], slices[1], cells[0], cells[1], weight, within, flat)


def batches(
    photos: Photographs, recipe: Recipe, start: int, rank: int, world: int, device: torch.device
) -> Iterator[Pairs]:
    """Yield one process's part of each step's pairs, from step `start` on.

    Parameters
    ----------
    photos : Photographs
    recipe : Recipe
    start : int
        The first step.
    rank, world : int
        Number of this process, and number of processes that share the steps.
    device : torch.device
        Device on which the pairs are made.

    Raises
    ------
    ValueError
        The chunks of a step cannot be shared evenly.
    """
    if recipe.chunks % world:
        raise ValueError(
            f"{recipe.chunks} chunks of {recipe.chunk} pairs (a batch of {recipe.batch}) cannot be shared evenly by "
            f"{world} processes: set batch to a multiple of {recipe.chunk * world}, or a smaller chunk"
        )
    crops = Crops(photos, device)
    parts: list[Pairs] = []
    for step in range(start, recipe.steps):
        group, within = divmod(step, recipe.ahead)
        if within == 0 or not parts:
            parts = [chunk_of_pairs(crops, recipe, group, c) for c in range(rank, recipe.chunks, world)]
        yield joined([every(part, within, recipe.ahead) for part in parts])


def chunk_of_pairs(crops: Crops, recipe: Recipe, group: int, chunk: int) -> Pairs:
    """Make chunk number `chunk` of a group of steps, which does not depend on the process that makes it."""
    size = min(recipe.chunk, recipe.batch) * recipe.ahead
    first = group * recipe.batch * recipe.ahead + chunk * size
    which = [photograph_at(first + i, len(crops.photos), recipe.seed) for i in range(size)]
    rng = np.random.default_rng([recipe.seed, group, chunk])
    photos = crops(which, rng)
    generator = torch.Generator(crops.device).manual_seed(int(rng.integers(2**63)))
    return make_pairs(photos, recipe, generator)


def photograph_at(place: int, count: int, seed: int) -> int:
    """Return the photograph at a position in the endless sequence of shuffled epochs.

    Examples
    --------
    >>> sorted(photograph_at(place, 5, seed=0) for place in range(10, 15))
    [0, 1, 2, 3, 4]
    """
    epoch, within = divmod(place, count)
    return int(order(epoch, count, seed)[within])


@lru_cache(maxsize=3)
def order(epoch: int, count: int, seed: int) -> NDArray[np.int64]:
    """Return the shuffled order of an epoch."""
    return np.random.default_rng([seed, epoch]).permutation(count)


MEMORY_SHARE = 0.4
"""Fraction of a device's free memory up to which photographs are kept on the device."""
COPY_BYTES = 1 << 26
"""Number of bytes that are copied at a time."""


class Crops:
    """Cuts squares from photographs, on the device if its memory is large enough.

    Parameters
    ----------
    photos : Photographs
    device : torch.device
    """

    def __init__(self, photos: Photographs, device: torch.device) -> None:
        self.photos, self.device = photos, device
        self.pixels = to_device(photos, device) if fits(photos, device) else None

    def __call__(self, which: Sequence[int], rng: np.random.Generator) -> Tensor:
        """Cut a square from each photograph, like `Photographs.crops`; return uint8 on the device."""
        if self.pixels is None:
            return torch.from_numpy(self.photos.crops(which, rng)).to(self.device)
        # Copies of this size need not wait for the device.
        first, width = (
            torch.from_numpy(x).to(self.device, non_blocking=True)[:, None, None]
            for x in self.photos.places(which, rng)
        )
        step = torch.arange(SIDE, device=self.device)
        return self.pixels[first + step[None, :, None] * width + step[None, None, :]][:, None]


def fits(photos: Photographs, device: torch.device) -> bool:
    """Return whether a device is a GPU with enough memory for the photographs."""
    return device.type == "cuda" and len(photos.pixels) < MEMORY_SHARE * torch.cuda.mem_get_info(device)[0]


def to_device(photos: Photographs, device: torch.device) -> Tensor:
    """Copy all pixels to a device; shape (bytes,), uint8."""
    pixels = torch.empty(len(photos.pixels), dtype=torch.uint8, device=device)
    for start in range(0, len(pixels), COPY_BYTES):
        piece = torch.from_numpy(photos.pixels[start : start + COPY_BYTES].copy())
        pixels[start : start + len(piece)] = piece.to(device)
    return pixels
