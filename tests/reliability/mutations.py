"""Damage to small images: the files to start from, and the ways to spoil them."""

from __future__ import annotations

import gzip
import random
import struct
from collections.abc import Callable
from functools import cache

import nibabel as nib
import numpy as np
from nibabel.freesurfer.mghformat import header_dtype as MGH_HEADER

SHAPE = (12, 10, 9)
HEADER = {"nifti1": 348 + 4 + 32, "nifti2": 540 + 4, "mgh": 90}
"""Bytes of each format's header, with what follows before the voxels: NIfTI-1's has an extension."""
INTEGERS = (0, 1, -1, 2, 3, 4, 5, 7, 8, 64, 127, 255, 1024, 2**15 - 1, -(2**15), 2**31 - 1, -(2**31), 2**62, -(2**63))
FLOATS = (0, 1, -1, 0.5, 352, 1e-45, 1e-30, 1e-9, 1e6, 1e9, 1e30, 3.4e38, -3.4e38, np.nan, np.inf, -np.inf)


@cache
def whole(kind: str) -> bytes:
    """Return a valid image of one format, unpacked: an object with some texture and noise."""
    rng = np.random.default_rng(0)
    radius = np.sqrt(sum(x**2 for x in np.ix_(*[np.linspace(-1, 1, n) for n in SHAPE])))
    data = np.where(radius < 0.9, 700 + 200 * (radius < 0.5), 0) + rng.normal(0, 20, SHAPE)
    affine = np.array([[-6.0, 0, 0.5, 30], [0, 0, 6, -20], [0.5, -6, 0, 25], [0, 0, 0, 1]])
    makers = {"nifti1": nib.Nifti1Image, "nifti2": nib.Nifti2Image, "mgh": nib.MGHImage}
    image = makers[kind](data.astype(np.int16), affine)
    if kind == "nifti1":
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"twenty characters..."))
    return image.to_bytes()


def fields(kind: str) -> list[tuple[np.dtype, int]]:
    """Return each number of a format's header: its type and place."""
    table = {"nifti1": nib.Nifti1Header.template_dtype, "nifti2": nib.Nifti2Header.template_dtype, "mgh": MGH_HEADER}
    found = []
    for name in table[kind].names:
        dtype, offset = table[kind].fields[name][:2]
        base = dtype.base if dtype.base.kind in "iuf" else np.dtype("u1")
        found += [(base, offset + i) for i in range(0, dtype.itemsize, base.itemsize)]
    return found


def bits(rng: random.Random, kind: str) -> bytes:
    """Turn one to eight bits of the header over."""
    data = bytearray(whole(kind))
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(HEADER[kind])] ^= 1 << rng.randrange(8)
    return bytes(data)


def bytes_of_header(rng: random.Random, kind: str) -> bytes:
    """Put other bytes into the header, one or a run of them."""
    data = bytearray(whole(kind))
    start = rng.randrange(HEADER[kind])
    length = rng.choice((1, 1, 2, 4, 8, 64))
    data[start : start + length] = bytes(rng.choice((0, 255, 127, 128, rng.randrange(256))) for _ in range(length))
    return bytes(data)


def numbers(rng: random.Random, kind: str) -> bytes:
    """Put odd numbers into one to six fields of the header."""
    data = bytearray(whole(kind))
    for dtype, offset in rng.sample(fields(kind), rng.randint(1, 6)):
        value = rng.choice(FLOATS) if dtype.kind == "f" else rng.choice(INTEGERS)
        with np.errstate(over="ignore"):
            packed = np.array(value).astype(dtype).tobytes()
        data[offset : offset + dtype.itemsize] = packed
    return bytes(data)


def shape(rng: random.Random, kind: str) -> bytes:
    """Change the dimensions and the type of the voxels."""
    data = bytearray(whole(kind))
    form, start, kinds = {"nifti1": ("<8h", 40, "<h70"), "nifti2": ("<8q", 16, "<h12"), "mgh": (">4i", 4, ">i20")}[kind]
    dims = list(struct.unpack_from(form, data, start))
    for _ in range(rng.randint(1, 3)):
        dims[rng.randrange(len(dims))] = rng.choice((0, 1, 2, 3, 9, 12, 20, 1080, 2**15 - 1, -1, -(2**15)))
    struct.pack_into(form, data, start, *dims)
    if rng.random() < 0.3:
        code = rng.choice((0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2304, 3, 10))
        struct.pack_into(kinds[:2], data, int(kinds[2:]), code)
    return bytes(data)


def extension(rng: random.Random, kind: str) -> bytes:
    """Change the flag, size and code of NIfTI-1's extension, or the place of the voxels."""
    data = bytearray(whole(kind))
    size = rng.choice((0, 8, 15, 16, 32, 48, 2**31 - 1, -16, -1, rng.randrange(2**31)))
    code = rng.choice((0, 2, 4, 6, 44, -1, 2**31 - 1))
    struct.pack_into("<4b2i", data, 348, rng.choice((0, 1, -1)), 0, 0, 0, size, code)
    if rng.random() < 0.5:
        struct.pack_into("<f", data, 108, rng.choice((0, 1, 347, 348, 352, 368, 383, 385, 4000, 1e9, -384, np.nan)))
    return bytes(data)


def packed(rng: random.Random, kind: str) -> bytes:
    """Spoil some bytes of a gzip file."""
    data = bytearray(gzip.compress(whole(kind), rng.choice((1, 6, 9)), mtime=0))
    for _ in range(rng.randint(1, 6)):
        place = rng.choice((rng.randrange(len(data)), rng.randrange(12), len(data) - 1 - rng.randrange(8)))
        data[place] = rng.randrange(256)
    return bytes(data)


def cut(rng: random.Random, kind: str) -> bytes:
    """End a file early, packed or not."""
    data = whole(kind) if rng.random() < 0.5 else gzip.compress(whole(kind), 6, mtime=0)
    return data[: rng.randrange(len(data))]


def spliced(rng: random.Random, kind: str) -> bytes:
    """Leave out, double or move a piece of a file; pack it or not."""
    data = whole(kind)
    a, b = sorted(rng.choices(range(len(data)), k=2))
    c = rng.randrange(HEADER[kind])
    data = rng.choice((data[:a] + data[b:], data[:b] + data[a:], data[:c] + data[a:b] + data[c:]))
    return data if rng.random() < 0.5 else gzip.compress(data, 1, mtime=0) + rng.choice((b"", b"\0" * 9, b"tail"))


KINDS: dict[str, Callable[[random.Random], bytes]] = {
    f"{kind}: {title}": lambda rng, spoil=spoil, kind=kind: spoil(rng, kind)
    for title, spoil in {
        "bits of the header": bits,
        "bytes of the header": bytes_of_header,
        "numbers in the header": numbers,
        "dimensions and type": shape,
        "gzip data": packed,
        "cut short": cut,
        "pieces moved": spliced,
    }.items()
    for kind in ("nifti1", "nifti2", "mgh")
} | {"nifti1: extension": lambda rng: extension(rng, "nifti1")}
"""What is done to a file, by what the table says of it."""


def spoiled(case: int, seed: int) -> tuple[str, bytes]:
    """Return a case: what was done, and the file's bytes; the same for the same numbers."""
    kind = list(KINDS)[case % len(KINDS)]
    return kind, KINDS[kind](random.Random(f"{seed} {case}"))
