"""Photographs: found in folders and tar files, decoded once into a memory-mapped cache.

A cache is a folder of three files: ``pixels.bin`` (all photographs' gray values, one after the other),
``index.npy`` (where each lies, its size and a hash of its content) and ``cache.json`` (what it was made from, with
checksums; written last, so that a cache without it is not one).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

SHORT, LONG = 256, 320
"""A photograph is kept with its short side at 256 pixels and its long side cut to at most 320."""
LEAST = 64
"""Photographs with a shorter side than this are left out, pixels."""
ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"}
MEDICAL = (".nii", ".nii.gz", ".dcm", ".dicom", ".ima", ".mgh", ".mgz", ".mnc", ".nrrd", ".mha", ".img", ".hdr")
ROW = np.dtype([("offset", "<u8"), ("height", "<u2"), ("width", "<u2"), ("digest", "S16")])


class MedicalImageError(ValueError):
    """Someone wants to train on medical images."""


@dataclass(frozen=True)
class Photographs:
    """Gray photographs, memory-mapped.

    Parameters
    ----------
    pixels : ndarray, shape (bytes,), uint8
    index : ndarray of `ROW`
    """

    pixels: NDArray[np.uint8]
    index: NDArray[np.void]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, i: int) -> NDArray[np.uint8]:
        """Photograph i, shape (height, width)."""
        row = self.index[i]
        start, height, width = int(row["offset"]), int(row["height"]), int(row["width"])
        return self.pixels[start : start + height * width].reshape(height, width)

    def crops(self, which: Sequence[int], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Cut a square of 256x256 pixels from each of some photographs, at random places; shape (n, 1, 256, 256)."""
        out = np.empty((len(which), 1, SHORT, SHORT), np.uint8)
        for k, i in enumerate(which):
            photo = self[i]
            top, left = (int(rng.integers(0, s - SHORT + 1)) for s in photo.shape)
            out[k, 0] = photo[top : top + SHORT, left : left + SHORT]
        return out

    def split(self, share: float, limit: int = 0, seed: int = 0) -> tuple[Photographs, Photographs]:
        """Split by content, so that a photograph stays on its side whatever else is in the set.

        Parameters
        ----------
        share : float
            Share of the photographs on the validation side.
        limit : int
            At most so many on the training side, chosen at random; 0 for all.
        seed : int
            Of that choice.

        Returns
        -------
        training, validation : Photographs
        """
        place = np.array([int(row["digest"][:8], 16) / 16**8 for row in self.index])
        train = np.flatnonzero(place >= share)
        if 0 < limit < len(train):
            train = np.sort(np.random.default_rng(seed).permutation(train)[:limit])
        return Photographs(self.pixels, self.index[train]), Photographs(self.pixels, self.index[place < share])


def decode(data: bytes) -> NDArray[np.uint8]:
    """Decode one photograph to gray values, short side 256, shape (height, width).

    Raises
    ------
    MedicalImageError
        It has 16 bits a pixel, or a DICOM preamble.
    ValueError
        It is too small.
    OSError
        It cannot be read.
    """
    if data[128:132] == b"DICM":
        raise MedicalImageError("a DICOM image")
    with Image.open(io.BytesIO(data)) as image:
        if image.mode.startswith(("I", "F")):
            raise MedicalImageError(f"an image of more than 8 bits (mode {image.mode})")
        if min(image.size) < LEAST:
            raise ValueError(f"only {image.width}x{image.height} pixels")
        image.draft("L", (SHORT, SHORT))
        gray = image.convert("L")
    scale = SHORT / min(gray.size)
    size = [max(SHORT, round(s * scale)) for s in gray.size]
    if tuple(size) != gray.size:
        gray = gray.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    left, top = ((max(0, s - LONG)) // 2 for s in size)
    return np.asarray(gray)[top : top + LONG, left : left + LONG]


def files_of(source: Path) -> Iterator[tuple[str, bytes]]:
    """Go through the photographs of a folder (recursively, tar files in it included) or of a tar file.

    Yields
    ------
    name : str
    data : bytes

    Raises
    ------
    MedicalImageError
        There is a medical image.
    FileNotFoundError
        There is no such folder or file.
    """
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such folder or tar file")
    for path in sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]:
        if path.suffix == ".tar":
            with tarfile.open(path) as tar:
                for member in tar:
                    if member.isfile() and wanted(member.name):
                        yield f"{path}:{member.name}", tar.extractfile(member).read()  # type: ignore[union-attr]
        elif wanted(path.name):
            yield str(path), path.read_bytes()
        elif path == source:
            raise ValueError(f"{source}: neither a folder, nor a tar file, nor a photograph")


def wanted(name: str) -> bool:
    """Whether a file's name is a photograph's; raises `MedicalImageError` for a medical image's."""
    lower = name.lower()
    if lower.endswith(MEDICAL):
        raise MedicalImageError(
            f"{name} is a medical image: GetNet is trained on photographs only, so that it favours no anatomy, "
            "contrast or scanner; take medical images out of the training data"
        )
    return Path(lower).suffix in ENDINGS


def fingerprint(sources: Iterable[Path]) -> str:
    """Tell sources apart by their files' paths, sizes and times; 16 hexadecimal digits."""
    lines = []
    for source in sources:
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if path.is_file():
                state = path.stat()
                lines.append(f"{path.resolve()} {state.st_size} {state.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def decoded(sources: Sequence[Path], threads: int) -> Iterator[tuple[str, NDArray[np.uint8] | Exception]]:
    """Decode all photographs on several threads, in order; a failure takes its photograph's place."""

    def collect(item: tuple[str, Future[NDArray[np.uint8]]]) -> tuple[str, NDArray[np.uint8] | Exception]:
        name, future = item
        try:
            return name, future.result()
        except MedicalImageError as error:
            raise MedicalImageError(f"{name} is {error}: train on 8-bit photographs only") from None
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            return name, error

    waiting: deque[tuple[str, Future[NDArray[np.uint8]]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for source in sources:
            for name, data in files_of(source):
                waiting.append((name, pool.submit(decode, data)))
                if len(waiting) > 4 * threads:
                    yield collect(waiting.popleft())
        while waiting:
            yield collect(waiting.popleft())


def build_cache(sources: Sequence[Path], cache: Path, threads: int | None = None) -> None:
    """Decode photographs into a cache; duplicates are kept once, unreadable files skipped with a line each.

    Parameters
    ----------
    sources : sequence of Path
        Folders and tar files.
    cache : Path
        The folder to make.
    threads : int, optional
        For decoding; default all cores.

    Raises
    ------
    ValueError
        No photograph was found.
    """
    cache.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=cache.parent, prefix=f".{cache.name}-"))
    rows: list[tuple[int, int, int, bytes]] = []
    seen: set[bytes] = set()
    skipped = repeated = offset = check = 0
    try:
        with open(work / "pixels.bin", "wb") as out, tqdm(desc="decoding photographs", unit=" photographs") as bar:
            for name, photo in decoded(sources, threads or os.cpu_count() or 1):
                bar.update()
                if isinstance(photo, Exception):
                    skipped += 1
                    tqdm.write(f"skipped {name}: {photo}")
                    continue
                data = photo.tobytes()
                digest = hashlib.sha256(data).hexdigest()[:16].encode()
                if digest in seen:
                    repeated += 1
                    continue
                seen.add(digest)
                rows.append((offset, *photo.shape, digest))
                out.write(data)
                check = zlib.crc32(data, check)
                offset += len(data)
        if not rows:
            raise ValueError(f"no photograph in {', '.join(map(str, sources))}")
        index = np.array(rows, ROW)
        np.save(work / "index.npy", index)
        facts = {
            "photographs": len(rows),
            "skipped": skipped,
            "duplicates": repeated,
            "bytes": offset,
            "crc32_pixels": check,
            "crc32_index": zlib.crc32(index.tobytes()),
            "sources": [str(s) for s in sources],
        }
        (work / "cache.json").write_text(json.dumps(facts, indent=2))
        if cache.exists():
            shutil.rmtree(cache)
        work.rename(cache)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    tqdm.write(f"{len(rows)} photographs cached; {skipped} unreadable skipped, {repeated} duplicates left out")


def open_cache(cache: Path) -> Photographs:
    """Open a cache after checking that it is whole.

    Raises
    ------
    ValueError
        It is not a cache, or damaged.
    """
    try:
        facts = json.loads((cache / "cache.json").read_text())
        index = np.load(cache / "index.npy")
        pixels = np.memmap(cache / "pixels.bin", np.uint8, mode="r")
    except (OSError, ValueError) as error:
        raise ValueError(f"{cache}: no cache of photographs ({error})") from error
    if len(pixels) != facts["bytes"] or zlib.crc32(index.tobytes()) != facts["crc32_index"]:
        raise ValueError(f"{cache}: the cache is damaged; delete it, and it is made again")
    return Photographs(pixels, index)


def photographs(sources: Sequence[Path], caches: Path) -> Photographs:
    """Open the cache of some sources, and make it first if there is none or it is damaged.

    Parameters
    ----------
    sources : sequence of Path
        Folders and tar files.
    caches : Path
        The folder where caches lie.
    """
    cache = caches / fingerprint(sources)
    if cache.exists():
        try:
            return open_cache(cache)
        except ValueError as error:
            tqdm.write(f"{error}; making it again")
    build_cache(sources, cache)
    return open_cache(cache)
