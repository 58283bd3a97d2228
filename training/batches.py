"""Which pairs a step learns from: a function of the recipe and the step's number, so that resuming needs no state.

All photographs lie in a GPU's memory where it is large enough, so that no step waits for the processor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .pairs import Pairs, every, joined, make_pairs
from .photographs import SIDE, Photographs
from .recipe import Recipe


def batches(
    photos: Photographs, recipe: Recipe, start: int, rank: int, world: int, device: torch.device
) -> Iterator[Pairs]:
    """Make one process's share of each step's pairs, from step `start` on.

    Parameters
    ----------
    photos : Photographs
    recipe : Recipe
    start : int
        The first step.
    rank, world : int
        Number of this process, and how many share the steps.
    device : torch.device
        Where the pairs are made.

    Raises
    ------
    ValueError
        The chunks of a step cannot be shared out evenly.
    """
    chunks = max(1, recipe.batch // recipe.chunk)
    if chunks % world:
        raise ValueError(
            f"{chunks} chunks of {recipe.chunk} pairs (a batch of {recipe.batch}) cannot be shared evenly by {world} "
            f"processes: set batch to a multiple of {recipe.chunk * world}, or a smaller chunk"
        )
    crops = Crops(photos, device)
    parts: list[Pairs] = []
    for step in range(start, recipe.steps):
        group, within = divmod(step, recipe.ahead)
        if within == 0 or not parts:
            parts = [chunk_of_pairs(crops, recipe, group, c) for c in range(rank, chunks, world)]
        yield joined([every(part, within, recipe.ahead) for part in parts])


def chunk_of_pairs(crops: Crops, recipe: Recipe, group: int, chunk: int) -> Pairs:
    """Make chunk number `chunk` of a group of steps; it is the same whichever process makes it."""
    size = min(recipe.chunk, recipe.batch) * recipe.ahead
    first = group * recipe.batch * recipe.ahead + chunk * size
    which = [photograph_at(first + i, len(crops.photos), recipe.seed) for i in range(size)]
    rng = np.random.default_rng([recipe.seed, group, chunk])
    photos = crops(which, rng)
    generator = torch.Generator(crops.device).manual_seed(int(rng.integers(2**63)))
    return make_pairs(photos, recipe, generator)


def photograph_at(place: int, count: int, seed: int) -> int:
    """Return the photograph at a place of the endless sequence of shuffled epochs.

    Examples
    --------
    >>> sorted(photograph_at(place, 5, seed=0) for place in range(10, 15))
    [0, 1, 2, 3, 4]
    """
    epoch, within = divmod(place, count)
    return int(order(epoch, count, seed)[within])


@lru_cache(maxsize=3)
def order(epoch: int, count: int, seed: int) -> NDArray[np.int64]:
    """Shuffle an epoch."""
    return np.random.default_rng([seed, epoch]).permutation(count)


SHARE = 0.4
"""Photographs are held on the device if they take at most this share of its free memory."""
PIECE = 1 << 26
"""So many bytes are sent at a time."""


class Crops:
    """Cuts squares from photographs, on the device where its memory is large enough.

    Parameters
    ----------
    photos : Photographs
    device : torch.device
    """

    def __init__(self, photos: Photographs, device: torch.device) -> None:
        self.photos, self.device = photos, device
        self.pixels = to_device(photos, device) if fits(photos, device) else None

    def __call__(self, which: Sequence[int], rng: np.random.Generator) -> Tensor:
        """Cut a square from each of some photographs, as `Photographs.crops`; uint8 on the device."""
        if self.pixels is None:
            return torch.from_numpy(self.photos.crops(which, rng)).to(self.device)
        # Copies of this size do not wait for the device, if they are told so.
        first, width = (
            torch.from_numpy(x).to(self.device, non_blocking=True)[:, None, None]
            for x in self.photos.places(which, rng)
        )
        step = torch.arange(SIDE, device=self.device)
        return self.pixels[first + step[None, :, None] * width + step[None, None, :]][:, None]


def fits(photos: Photographs, device: torch.device) -> bool:
    """Whether a device is a GPU with room for the photographs."""
    return device.type == "cuda" and len(photos.pixels) < SHARE * torch.cuda.mem_get_info(device)[0]


def to_device(photos: Photographs, device: torch.device) -> Tensor:
    """Copy all pixels to a device; shape (bytes,), uint8."""
    pixels = torch.empty(len(photos.pixels), dtype=torch.uint8, device=device)
    for start in range(0, len(pixels), PIECE):
        piece = torch.from_numpy(photos.pixels[start : start + PIECE].copy())
        pixels[start : start + len(piece)] = piece.to(device)
    return pixels
