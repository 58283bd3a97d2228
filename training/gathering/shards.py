"""Write the listed photographs as gray WebP images in tar shards, with reproducible bytes; existing shards are kept."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from PIL import Image, features
from tqdm import tqdm

from getnet_bids.files import atomic
from getnet_bids.machine import processors

from ..sources import gray_of
from .listed import Listed, package_file

SHARD = 8000
"""Number of photographs in a shard, about 50 MB."""
QUALITY, METHOD = 60, 4
"""WebP's quality and effort; a photograph takes 5 kB."""


def webp(data: bytes, name: str) -> bytes:
    """Decode a photograph as the training does, and encode it as a gray WebP.

    Parameters
    ----------
    data : bytes
        JPEG, PNG or any format that Pillow reads.
    name : str
        Name for messages.

    Returns
    -------
    bytes
        The same for the same versions of Pillow, libjpeg and libwebp.
    """
    out = io.BytesIO()
    Image.fromarray(gray_of(data, name)).save(out, "WEBP", quality=QUALITY, method=METHOD)
    return out.getvalue()


def write_shard(path: Path, start: int, photos: Sequence[Listed], read: Callable[[Listed], bytes | None]) -> int:
    """Write photographs as a tar shard, first under a temporary name; files that differ from the list are left out.

    Parameters
    ----------
    path : Path
        The shard.
    start : int
        Number of the first photograph; files are named by their number, as ``000123.webp``.
    photos : sequence of Listed
    read : callable
        Returns a photograph's file.

    Returns
    -------
    int
        Number of photographs in the shard.
    """
    count = 0
    with atomic(path) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number, data in encoded(start, photos, read):
            info = tarfile.TarInfo(f"{number:06d}.webp")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
            count += 1
    return count


def encoded(
    start: int, photos: Sequence[Listed], read: Callable[[Listed], bytes | None]
) -> Iterator[tuple[int, bytes]]:
    """Read in order, encode in threads, and yield numbers and WebP images in order, with a few in the queue."""
    threads = processors()
    waiting: deque[tuple[int, Future[bytes]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for number, photo in enumerate(photos, start):
            data = read(photo)
            if data is None or hashlib.sha256(data).hexdigest() != photo.sha256:
                continue
            waiting.append((number, pool.submit(webp, data, f"{photo.repository}/{photo.path}")))
            if len(waiting) > 4 * threads:
                yield waiting[0][0], waiting.popleft()[1].result()
        while waiting:
            yield waiting[0][0], waiting.popleft()[1].result()


def names_in(path: Path) -> list[str] | None:
    """List a shard's members; None if it is not a complete tar file."""
    try:
        with tarfile.open(path, "r:") as tar:
            return tar.getnames()
    except (tarfile.TarError, OSError):
        return None


def shards(photos: Sequence[Listed], folder: Path, read: Callable[[Listed], bytes | None], whole: bool) -> list[str]:
    """Write all missing shards, and report for each whether it equals the one used for the package's weights.

    Parameters
    ----------
    photos : sequence of Listed
    folder : Path
        Created if it does not exist. Nothing in it is deleted or overwritten.
    read : callable
        Returns a photograph's file.
    whole : bool
        Whether all photographs are available, so that existing shards must contain them all.

    Returns
    -------
    list of str
        A line for each shard.

    Raises
    ------
    ValueError
        A file with a shard's name contains other photographs, or Pillow cannot write WebP.
    """
    if not features.check("webp"):
        raise ValueError("this Pillow cannot write WebP; install Pillow as PyPI has it")
    folder.mkdir(parents=True, exist_ok=True)
    expected = [tuple(line.split()) for line in package_file("shards.sha256").read_text().splitlines()]
    lines = []
    bar = tqdm(total=len(photos), desc="writing shards", unit=" photographs", mininterval=1, disable=None)
    for start in range(0, len(photos), SHARD):
        path = folder / f"photos-{start // SHARD:02d}.tar"
        part = photos[start : start + SHARD]
        if path.exists():
            names = names_in(path)
            wanted = [f"{number:06d}.webp" for number in range(start, start + len(part))]
            if names is None or (names != wanted if whole else not set(names) <= set(wanted)):
                raise ValueError(f"{path}: there already, with other content; move it away or give another --out")
            line = f"{path}: there already, {len(names):,} photographs"
            bar.update(len(part))
        else:
            count = write_shard(path, start, part, lambda photo: (bar.update(), read(photo))[1])
            line = f"{path}: {count:,} photographs"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        same = "as the package's weights were trained on, byte for byte"
        other = "other bytes than the package's weights were trained on"
        lines.append(f"{line}, {same if (digest, path.name) in expected else other} (SHA-256 {digest[:16]}...)")
    bar.close()
    return lines
