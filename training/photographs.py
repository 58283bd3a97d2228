"""Gray photographs, memory-mapped: crops of them, and the split into training and validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 256
"""Side of a crop, pixels; no photograph has a shorter side."""
ROW = np.dtype([("offset", "<u8"), ("height", "<u2"), ("width", "<u2"), ("digest", "S16")])
"""Where a photograph lies among the pixels, its size, and 16 hexadecimal digits of a hash of its gray values."""


@dataclass(frozen=True)
class Photographs:
    """Gray photographs.

    Parameters
    ----------
    pixels : ndarray, shape (bytes,), uint8
        All photographs, row by row, one after the other.
    index : ndarray of `ROW`
    facts : dict
        What is known of their origin, for the record.

    Examples
    --------
    >>> photos = Photographs(np.zeros(256 * 300, np.uint8), np.array([(0, 256, 300, b"8" * 16)], ROW))
    >>> photos[0].shape, photos.crops([0, 0], np.random.default_rng(0)).shape
    ((256, 300), (2, 1, 256, 256))
    """

    pixels: NDArray[np.uint8]
    index: NDArray[np.void]
    facts: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, i: int) -> NDArray[np.uint8]:
        """Photograph i, shape (height, width)."""
        row = self.index[i]
        start, height, width = int(row["offset"]), int(row["height"]), int(row["width"])
        return self.pixels[start : start + height * width].reshape(height, width)

    def places(self, which: Sequence[int], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw a square of 256x256 pixels in each of some photographs.

        Returns
        -------
        first, width : ndarray, shape (n,)
            Where each square's first pixel lies among the pixels, and how many there are from row to row.
        """
        rows = self.index[np.asarray(which)]
        height, width = (rows[name].astype(np.int64) for name in ("height", "width"))
        draws = rng.random((2, len(rows)))
        top, left = (
            np.floor(draw * (size - SIDE + 1)).astype(np.int64)
            for draw, size in zip(draws, (height, width), strict=True)
        )
        return rows["offset"].astype(np.int64) + top * width + left, width

    def crops(self, which: Sequence[int], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Cut a square of 256x256 pixels from each of some photographs, at random places; shape (n, 1, 256, 256)."""
        out = np.empty((len(which), 1, SIDE, SIDE), np.uint8)
        for k, (first, width) in enumerate(zip(*self.places(which, rng), strict=True)):
            out[k, 0] = np.lib.stride_tricks.as_strided(self.pixels[first:], (SIDE, SIDE), (int(width), 1))
        return out

    def split(self, share: float) -> tuple[Photographs, Photographs]:
        """Split by content, so that a photograph stays on its side whatever else is in the set.

        Parameters
        ----------
        share : float
            Share of the photographs on the validation side.

        Returns
        -------
        training, validation : Photographs

        Raises
        ------
        ValueError
            There is none on one of the sides.
        """
        place = np.array([int(digest[:8], 16) / 16**8 for digest in self.index["digest"]])
        sides = self.index[place >= share], self.index[place < share]
        for side, name in zip(sides, ("train on", "hold out"), strict=True):
            if len(side) == 0:
                raise ValueError(
                    f"of {len(self)} photographs, a share of {share:g} held out leaves none to {name}: give more "
                    "photographs, or another `validation`"
                )
        training, held_out = (Photographs(self.pixels, side, self.facts) for side in sides)
        return training, held_out
