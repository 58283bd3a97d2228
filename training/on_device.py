"""All photographs in a GPU's memory, so that no step waits for the processor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .photographs import SIDE, Photographs

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
