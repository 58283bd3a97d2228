"""``getnet-photographs``: gather the open photographs of the package's weights from clones; write them as shards."""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import sys
import tarfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from PIL import Image, features
from tqdm import tqdm

from getnet_bids import __version__

from .clones import check, reader
from .decode import UNREADABLE, gray_of
from .listed import Listed, commands, listed, package_file

SHARD = 8000
"""Photographs in a shard, about 50 MB."""
QUALITY, METHOD = 60, 4
"""WebP's quality and effort: 5 kB a photograph."""
REMEDY = (
    "photographs are missing or others than listed; fetch them with `getnet-photographs --list | sh`, name the folder "
    "with --clones, or add --partial to do without"
)
EPILOG = """
two commands for all, some 4 GB to fetch:
  getnet-photographs --list | sh
  getnet-photographs --out shards
"""


def webp(data: bytes, name: str) -> bytes:
    """Decode a photograph as the training does, and encode it as a gray WebP.

    Parameters
    ----------
    data : bytes
        JPEG, PNG or whatever Pillow reads.
    name : str
        For messages.

    Returns
    -------
    bytes
        The same for the same versions of Pillow, libjpeg and libwebp.
    """
    out = io.BytesIO()
    Image.fromarray(gray_of(data, name)).save(out, "WEBP", quality=QUALITY, method=METHOD)
    return out.getvalue()


def write_shard(path: Path, start: int, photos: Sequence[Listed], read: Callable[[Listed], bytes | None]) -> int:
    """Write some photographs as a tar shard, beside its place first; what is not the listed file is left out.

    Parameters
    ----------
    path : Path
        The shard.
    start : int
        The first photograph's number; files are named by it, ``000123.webp``.
    photos : sequence of Listed
    read : callable
        Gives a photograph's file.

    Returns
    -------
    int
        Photographs in it.
    """
    count = 0
    part = path.with_name(f".{path.name}.part")
    with tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
        for number, data in encoded(start, photos, read):
            info = tarfile.TarInfo(f"{number:06d}.webp")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
            count += 1
    os.replace(part, path)
    return count


def encoded(
    start: int, photos: Sequence[Listed], read: Callable[[Listed], bytes | None]
) -> Iterator[tuple[int, bytes]]:
    """Read in order, encode in threads, and give number and WebP in order; a few wait at a time."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
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
    """List a shard's members; None if it is no whole tar file."""
    try:
        with tarfile.open(path, "r:") as tar:
            return tar.getnames()
    except (tarfile.TarError, OSError):
        return None


def shards(photos: Sequence[Listed], folder: Path, read: Callable[[Listed], bytes | None], whole: bool) -> list[str]:
    """Write all shards that are not there yet, and say of each whether it equals that of the package's weights.

    Parameters
    ----------
    photos : sequence of Listed
    folder : Path
        Made if need be. Nothing in it is deleted or written over.
    read : callable
        Gives a photograph's file.
    whole : bool
        Whether all photographs are there, so that a shard that lies there must have them all.

    Returns
    -------
    list of str
        A line for each shard.

    Raises
    ------
    ValueError
        A file of a shard's name is there with other photographs in it.
    """
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


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of ``getnet-photographs``."""
    parser = argparse.ArgumentParser(
        prog="getnet-photographs",
        description="Gather the open photographs that the package's weights were trained on, and write them as shards "
        "for `getnet-train --data`. Each file's SHA-256 is compared with the list's.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--clones",
        nargs="+",
        type=Path,
        default=[Path("clones")],
        metavar="DIR",
        help="where the repositories are: git clones, bare or not, or unpacked folders, as OWNER/NAME, OWNER+NAME or "
        "NAME [clones]",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, metavar="DIR", help="write the shards into this folder; never writes over")
    what.add_argument("--check", action="store_true", help="only look for the photographs and compare them")
    what.add_argument("--list", action="store_true", help="print the commands that fetch the repositories, for `sh`")
    what.add_argument("--terms", action="store_true", help="print the licence of each collection and what it rests on")
    parser.add_argument("--partial", action="store_true", help="write shards even though photographs are missing")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``getnet-photographs``; returns the exit code, 1 if photographs are missing and nothing was done about it."""
    args = make_parser().parse_args(arguments)
    photos = listed()
    if args.list:
        print("\n".join(commands(photos, args.clones[0])))
        return 0
    if args.terms:
        print(package_file("terms.md").read_text(), end="")
        return 0
    try:
        if not features.check("webp"):
            raise ValueError("this Pillow cannot write WebP; install Pillow as PyPI has it")
        good, whole = check(photos, args.clones, print)
        if not whole:
            print(f"{sum(good):,} of {len(good):,} photographs found", file=sys.stderr)
        if args.check or not (whole or (args.partial and any(good))):
            if not (whole or args.check):
                print(f"getnet-photographs: nothing written: {REMEDY}", file=sys.stderr)
            return 0 if whole else 1
        with ExitStack() as stack:
            for line in shards(photos, args.out, reader(photos, args.clones, stack), whole):
                print(line)
    except (OSError, ValueError, *UNREADABLE) as error:
        print(f"getnet-photographs: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
