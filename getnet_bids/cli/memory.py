"""How much memory the images in work take, and may take."""

from __future__ import annotations

import math
import os
from pathlib import Path
from threading import Condition

BYTES_A_VOXEL = 20
"""At the peak, of an image that is read, corrected and written: 13 to 15 by ``benchmarks/speed.py``, and a margin."""
MEMORY = 1_500_000_000
"""Bytes that images in work take by default; with what a program of this kind takes anyway, 2 GB."""


class ClosedError(Exception):
    """Nobody will make room any more."""


class Room:
    """Memory that is shared out; one that wants more than there is waits for those before it.

    Parameters
    ----------
    size : float
        Bytes. One that wants more than all of it gets it when nobody else has any.

    Examples
    --------
    >>> room = Room(100)
    >>> room.take(70)
    >>> room.give(70)
    >>> room.take(1000)
    """

    def __init__(self, size: float = math.inf) -> None:
        self.size = size
        self.taken = 0
        self.closed = False
        self.changed = Condition()

    def take(self, wanted: int) -> None:
        """Wait until there is room, and take it; raises `ClosedError` if there will be none."""
        with self.changed:
            self.changed.wait_for(lambda: self.closed or not self.taken or self.taken + wanted <= self.size)
            if self.closed:
                raise ClosedError
            self.taken += wanted

    def give(self, taken: int) -> None:
        """Give back what was taken."""
        with self.changed:
            self.taken -= taken
            self.changed.notify_all()

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()


def memory_of(path: Path) -> int:
    """Estimate what an image takes at the peak, from its header.

    Parameters
    ----------
    path : Path

    Returns
    -------
    int
        Bytes; 0 for what cannot be read, since that ends at once.
    """
    return BYTES_A_VOXEL * voxels_of(path)


def take_big_pages() -> None:
    """Have Linux give big arrays big pages: an eighth less time. Before torch is imported."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def voxels_of(path: Path) -> int:
    """Count an image's voxels by its header; 0 for what cannot be read."""
    import nibabel as nib

    if not path.is_file():
        return 0  # a pipe would be waited for
    try:
        return math.prod(nib.load(path).shape)  # type: ignore[attr-defined]
    except Exception:
        # nibabel raises errors of many types for a broken file; reading it properly tells what is wrong.
        return 0
