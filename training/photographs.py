"""Gray photographs in a memory-mapped cache, crops of them, and the split into training and validation.

The cache is a folder of three files: ``pixels.bin`` (all photographs' gray values, one after the other), ``index.npy``
(the position, size and content hash of each) and ``cache.json`` (what it was made from, with checksums). It is built
under a temporary name and renamed when it is complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import shutil
import sys
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from isal.isal_zlib import crc32
from numpy.typing import NDArray
from tqdm import tqdm

from getnet_bids.files import ABANDONED_AFTER
from getnet_bids.machine import processors

from .signals import hold_interrupt
from .sources import UNREADABLE, Item, MedicalImageError, decode, find

SIDE = 256
"""Side of a crop, pixels; no photograph has a shorter side."""
ROW = np.dtype([("offset", "<u8"), ("height", "<u2"), ("width", "<u2"), ("digest", "S16")])
"""Position of a photograph among the pixels, its size, and 16 hexadecimal digits of a hash of its gray values."""


@dataclass(frozen=True)
class Photographs:
    """Gray photographs.

    Parameters
    ----------
    pixels : ndarray, shape (bytes,), uint8
        All photographs, row by row, one after the other.
    index : ndarray of `ROW`
    facts : dict
        Facts about their origin, for the record.

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
        """Return photograph i, shape (height, width)."""
        row = self.index[i]
        start, height, width = int(row["offset"]), int(row["height"]), int(row["width"])
        return self.pixels[start : start + height * width].reshape(height, width)

    def places(self, which: Sequence[int], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw the position of a square of 256x256 pixels in each of the given photographs.

        Returns
        -------
        first, width : ndarray, shape (n,)
            Index of each square's first pixel among all pixels, and the distance from row to row.
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
        """Cut a square of 256x256 pixels from each photograph at a random position; shape (n, 1, 256, 256)."""
        out = np.empty((len(which), 1, SIDE, SIDE), np.uint8)
        for k, (first, width) in enumerate(zip(*self.places(which, rng), strict=True)):
            out[k, 0] = np.lib.stride_tricks.as_strided(self.pixels[first:], (SIDE, SIDE), (int(width), 1))
        return out

    def split(self, share: float) -> tuple[Photographs, Photographs]:
        """Split by content, so that a photograph stays in the same part whatever else is in the set.

        Parameters
        ----------
        share : float
            Fraction of the photographs for validation.

        Returns
        -------
        training, validation : Photographs

        Raises
        ------
        ValueError
            One of the parts is empty.
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


FILES = ("pixels.bin", "index.npy", "cache.json")
READ = 1 << 26
"""Size in bytes of the pieces in which pixels are verified."""
MIN_FOR_PROCESSES = 2000
"""Number of photographs from which they are decoded by processes rather than threads."""
PER_PROCESS = 16
"""Number of photographs that a process gets at a time."""


def photographs(sources: Sequence[Path], caches: Path, limit: int = 0, seed: int = 0) -> Photographs:
    """Open the cache of the given sources, making it first if there is none or it is damaged.

    Parameters
    ----------
    sources : sequence of Path
        Folders, tar files and photographs, which are only read.
    caches : Path
        The folder of the caches.
    limit : int
        Largest number of photographs, which are chosen at random; 0 for all.
    seed : int
        Seed of that choice.

    Raises
    ------
    MedicalImageError
        There is a medical image among them.
    OSError, ValueError
        A source or the cache cannot be read, or there is no photograph.
    """
    items, key = find(sources)
    if 0 < limit < len(items):
        chosen = np.sort(np.random.default_rng(seed).permutation(len(items))[:limit])
        items, key = [items[i] for i in chosen], f"{key}-{limit}-{seed}"
    cache = caches / key
    remove_abandoned(cache)
    if cache.exists():
        try:
            return open_cache(cache)
        except ValueError as error:
            remove(cache)
            tqdm.write(f"{error}: making it again", file=sys.stderr)
    build_cache(items, cache, [str(s) for s in sources])
    return open_cache(cache, check=False)


def remove(cache: Path) -> None:
    """Remove a damaged cache; if there is anything else in its folder, raise ValueError and remove nothing."""
    others = sorted(path.name for path in cache.iterdir() if path.name not in FILES) if cache.is_dir() else [cache.name]
    if others:
        raise ValueError(f"{cache}: not a cache of photographs, it holds {others[0]}; name another --cache")
    shutil.rmtree(cache)


def remove_abandoned(cache: Path) -> None:
    """Remove what killed processes have left of a cache: folders in which nothing was written for a day."""
    for work in cache.parent.glob(f".{cache.name}-*"):
        with contextlib.suppress(OSError, ValueError):  # removed by another process, or not a cache
            if time.time() - max(path.stat().st_mtime for path in (work, *work.iterdir())) > ABANDONED_AFTER:
                remove(work)


def open_cache(cache: Path, check: bool = True) -> Photographs:
    """Open a cache.

    Parameters
    ----------
    cache : Path
    check : bool
        Whether to verify the checksum of all pixels, at some gigabytes per second; that of the index is always
        verified.

    Raises
    ------
    ValueError
        The folder is not a cache, or it is damaged.
    """
    try:
        facts = json.loads((cache / "cache.json").read_text())
        index = np.load(cache / "index.npy")
        pixels = np.memmap(cache / "pixels.bin", np.uint8, mode="r")
        whole = len(pixels) == facts["bytes"] and crc32(index.tobytes()) == facts["crc32_index"]
        if whole and check:
            found = 0
            for start in range(0, len(pixels), READ):
                found = crc32(pixels[start : start + READ], found)
            whole = found == facts["crc32_pixels"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ValueError(f"{cache}: not a cache of photographs ({error})") from error
    if not whole:
        raise ValueError(f"{cache}: the cache is damaged")
    return Photographs(pixels, index, facts)


def build_cache(items: Sequence[Item], cache: Path, sources: Sequence[str], threads: int | None = None) -> None:
    """Decode photographs into a cache; duplicates are kept once, and unreadable files are skipped with a line each.

    Parameters
    ----------
    items : sequence of Item
    cache : Path
        The folder to make. If another process has made it in the meantime, that one is kept.
    sources : sequence of str
        The sources of the items, for the record.
    threads : int, optional
        Number of threads for decoding; default: all that the process may use.

    Raises
    ------
    MedicalImageError
        There is a medical image.
    ValueError
        No photograph could be read.
    """
    cache.parent.mkdir(parents=True, exist_ok=True)
    # Not with mkdtemp, whose permissions exclude other members of the group.
    work = cache.with_name(f".{cache.name}-{secrets.token_hex(4)}")
    work.mkdir()
    rows: list[tuple[int, int, int, bytes]] = []
    seen: set[bytes] = set()
    skipped = repeated = offset = check = 0
    try:
        # Closed at once on an interrupt, so that the processes that decode end with this one.
        with (
            open(work / "pixels.bin", "wb") as out,
            contextlib.closing(decoded(items, threads or processors())) as results,
        ):
            bar = tqdm(results, "decoding photographs", len(items), unit=" photographs", mininterval=1, disable=None)
            for item, photo in bar:
                if isinstance(photo, Exception):
                    skipped += 1
                    tqdm.write(f"skipped {item.name}: {photo}", file=sys.stderr)
                    continue
                data = photo.tobytes()
                digest = hashlib.sha256(data).hexdigest()[:16].encode()
                if digest in seen:
                    repeated += 1
                    continue
                seen.add(digest)
                rows.append((offset, *photo.shape, digest))
                out.write(data)
                check = crc32(data, check)
                offset += len(data)
        if not rows:
            raise ValueError(f"none of the {len(items)} photographs could be read")
        index = np.array(rows, ROW)
        np.save(work / "index.npy", index)
        facts = {
            "photographs": len(rows),
            "skipped": skipped,
            "duplicates": repeated,
            "bytes": offset,
            "crc32_pixels": check,
            "crc32_index": crc32(index.tobytes()),
            "sources": list(sources),
        }
        (work / "cache.json").write_text(json.dumps(facts, indent=2))
        try:
            work.rename(cache)
        except OSError:
            if not cache.exists():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    text = f"{len(rows)} photographs cached; {skipped} unreadable skipped, {repeated} duplicates left out"
    tqdm.write(text, file=sys.stderr)


def workers(count: int, threads: int) -> Executor:
    """Make threads for a few photographs, or processes for many, since Pillow decodes WebP on one thread at a time."""
    if count < MIN_FOR_PROCESSES or threads == 1:
        return ThreadPoolExecutor(threads)
    return ProcessPoolExecutor(threads, mp_context=get_context("spawn"))


def decode_all(items: Sequence[Item]) -> list[NDArray[np.uint8] | Exception]:
    """Decode photographs one after the other; for those that fail, return the error instead.

    Raises
    ------
    MedicalImageError
        There is a medical image among them.
    """
    results: list[NDArray[np.uint8] | Exception] = []
    for item in items:
        try:
            results.append(decode(item))
        except MedicalImageError:
            raise
        except UNREADABLE as error:
            results.append(ValueError(str(error)))
    return results


def decoded(items: Sequence[Item], threads: int) -> Generator[tuple[Item, NDArray[np.uint8] | Exception], None, None]:
    """Decode photographs on several processors, in order; for those that fail, yield the error instead."""
    waiting: deque[tuple[Sequence[Item], Future[list[NDArray[np.uint8] | Exception]]]] = deque()
    size = PER_PROCESS if len(items) >= MIN_FOR_PROCESSES else 1

    def collect() -> Iterator[tuple[Item, NDArray[np.uint8] | Exception]]:
        part, future = waiting.popleft()
        yield from zip(part, future.result(), strict=True)

    with workers(len(items), threads) as pool:
        try:
            for start in range(0, len(items), size):
                part = items[start : start + size]
                with hold_interrupt():  # starts processes, which this one ends
                    waiting.append((part, pool.submit(decode_all, part)))
                if len(waiting) > 4 * threads:
                    yield from collect()
            while waiting:
                yield from collect()
        finally:
            pool.shutdown(cancel_futures=True)
