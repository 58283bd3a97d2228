"""Find photographs in folders, tar shards and Parquet files, and decode them to gray; medical images are refused."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import struct
import sys
import tarfile
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

if TYPE_CHECKING:
    import pyarrow

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
MEDICAL = (".nii", ".nii.gz", ".dcm", ".dicom", ".ima", ".mgh", ".mgz", ".mnc", ".mnc.gz", ".nrrd", ".mha", ".mhd")
ARCHIVES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".txz", ".tar.zst", ".zip", ".7z", ".rar", ".tfrecord", ".lmdb")
NO_MEDICAL_IMAGES = (
    "GetNet is trained on photographs only, so that it favours no anatomy, contrast or scanner; take medical images "
    "out of the training data"
)


UNPACK = "unpack it, or pack it as a plain .tar, so that its files can be read in any order"


class MedicalImageError(ValueError):
    """Raised for medical images among the photographs."""


@dataclass(frozen=True)
class Item:
    """A photograph's file, or the part of a tar file that contains it.

    Parameters
    ----------
    name : str
        Name for messages.
    path : str
        The file to read.
    offset : int
        Offset of the photograph in the file, bytes.
    size : int
        Its length, bytes; -1 for the whole file.
    """

    name: str
    path: str
    offset: int = 0
    size: int = -1

    def read(self) -> bytes:
        """Return the photograph's bytes."""
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


def find(sources: Sequence[Path]) -> tuple[list[Item], str]:
    """Find all photographs in folders (recursively, including tar and Parquet files in them) and files.

    Packed archives within folders, and files and subfolders that cannot be read, are left out, with a line each.

    Parameters
    ----------
    sources : sequence of Path

    Returns
    -------
    items : list of Item
        In an order that depends only on the names.
    fingerprint : str
        16 hexadecimal digits that change when a file's place, size or time does.

    Raises
    ------
    MedicalImageError
        There is a medical image.
    FileNotFoundError
        A folder or file does not exist.
    OSError
        A file that is a source itself cannot be read.
    ValueError
        A source is neither, or has no photograph, or a tar or Parquet file is damaged or compressed.
    """
    items: list[Item] = []
    lines = []
    unreadable = 0

    def leave_out(error: OSError) -> None:
        nonlocal unreadable
        unreadable += 1
        tqdm.write(f"left out {error.filename}: {error.strerror}", file=sys.stderr)

    for source in sources:
        if not source.exists():
            raise FileNotFoundError(f"{source}: no such folder or file")
        before = len(items)
        for path in files_in(source, leave_out) if source.is_dir() else [str(source)]:
            if path.lower().endswith(ARCHIVES):
                if path == str(source):
                    raise ValueError(f"{path}: {UNPACK}")
                tqdm.write(f"left out {path}: {UNPACK}", file=sys.stderr)
            try:
                found = items_of(path)
                state = os.stat(path) if found else None
            except OSError as error:
                if path == str(source):
                    raise
                leave_out(OSError(error.errno, error.strerror or str(error), path))
                continue
            if state:
                lines.append(f"{os.path.realpath(path)} {state.st_size} {state.st_mtime_ns}")
                items += found
        if len(items) == before:
            raise ValueError(f"{source}: no photograph in it (looked for {' '.join(ENDINGS)} .tar .parquet)")
    if unreadable:
        tqdm.write(f"{unreadable} files or folders that cannot be read left out", file=sys.stderr)
    return items, hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[:16]


def files_in(folder: Path, leave_out: Callable[[OSError], None]) -> Iterator[str]:
    """Yield all files of a folder and its subfolders, sorted, without hidden ones, and following links once.

    Subfolders that cannot be read are left out; `leave_out` is called with the error of each.
    """
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, onerror=leave_out, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else sorted(f for f in folders if not f.startswith("."))
        for name in [] if real in seen else sorted(files):
            if not name.startswith("."):
                yield os.path.join(place, name)
        seen.add(real)


def items_of(path: str) -> list[Item]:
    """List the photographs in a file: the file itself, those in a tar or Parquet file, or none.

    Raises
    ------
    MedicalImageError
        It is a medical image.
    OSError
        It cannot be read, or is a pipe or a device, which might never end.
    """
    photograph = is_photograph(path)
    ending = os.path.splitext(path)[1].lower()
    if not photograph and ending not in ("", ".tar", ".parquet"):
        return []
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
    if photograph:
        return [Item(path, path)]
    if ending:
        return items_of_tar(path) if ending == ".tar" else rows(path)
    with open(path, "rb") as file:  # DICOM files often have no ending.
        refuse_medical(path, file.read(352))
    return []


def items_of_tar(path: str) -> list[Item]:
    """List the photographs in a plain tar file, and in tar files in it (as ImageNet comes)."""
    items: list[Item] = []

    def add(file: BinaryIO, name: str, start: int) -> None:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                if not member.isfile() or os.path.basename(member.name).startswith("."):
                    continue
                full = f"{name}:{member.name}"
                if member.name.lower().endswith(".tar"):
                    inner = tar.extractfile(member)
                    assert inner is not None
                    add(inner, full, start + member.offset_data)  # type: ignore[arg-type]
                elif member.name.lower().endswith((*ARCHIVES, ".parquet")):
                    tqdm.write(f"left out {full}: an archive within a .tar has to be a plain .tar", file=sys.stderr)
                elif is_photograph(full):
                    items.append(Item(full, path, start + member.offset_data, member.size))

    with open(path, "rb") as file:
        try:
            add(file, path, 0)
        except tarfile.TarError as error:
            raise ValueError(f"{path}: not a whole, plain tar file ({error})") from None
    return items


def is_photograph(name: str) -> bool:
    """Return whether a file's name is that of a photograph; raise `MedicalImageError` for that of a medical image."""
    lower = name.lower()
    if lower.endswith(MEDICAL):
        raise MedicalImageError(f"{name} is a medical image: {NO_MEDICAL_IMAGES}")
    return lower.endswith(ENDINGS)


def refuse_medical(name: str, data: bytes) -> None:
    """Raise `MedicalImageError` if a file's first 352 bytes are those of a DICOM or NIfTI image."""
    if data[128:132] == b"DICM":
        raise MedicalImageError(f"{name} is a DICOM image: {NO_MEDICAL_IMAGES}")
    if data[344:348] in (b"n+1\0", b"ni1\0") or data[4:8] == b"n+2\0":
        raise MedicalImageError(f"{name} is a NIfTI image: {NO_MEDICAL_IMAGES}")


SHORT, LONG = 256, 320
"""Short side of a stored photograph, and the largest long side, pixels."""
MIN_SIDE = 64
"""Smallest side of a photograph, pixels; smaller ones are left out."""
MAX_PIXELS = 100_000_000
"""Largest number of pixels of a photograph; larger ones would need gigabytes and are left out."""
MAX_ELONGATION = 8
"""Largest ratio of a photograph's long to its short side; others are left out."""
UNREADABLE = (OSError, EOFError, SyntaxError, ValueError, struct.error, zlib.error, Image.DecompressionBombError)
"""Errors that Pillow raises for damaged files, and `decode` for those that it leaves out."""


def decode(item: Item) -> NDArray[np.uint8]:
    """Read and decode one photograph.

    Colour (including CMYK) is converted to luminance; transparent pixels become black.

    Parameters
    ----------
    item : Item

    Returns
    -------
    ndarray, shape (height, width), uint8
        The short side is 256, the long one at most 320.

    Raises
    ------
    MedicalImageError
        The image has one channel of more than 8 bits, or is a DICOM or NIfTI image by content.
    ValueError
        The photograph is too small, too large or a strip.
    OSError
        The file cannot be read; see `UNREADABLE` for other errors of damaged files.
    """
    return gray_of(item.read(), item.name)


def gray_of(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decode a photograph in memory; see `decode`.

    Parameters
    ----------
    data : bytes
        The file's content.
    name : str
        For messages.

    Returns
    -------
    ndarray, shape (height, width), uint8
        The short side is 256, the long one at most 320.
    """
    refuse_medical(name, data[:352])
    try:
        opened = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise ValueError("not an image of a known format, whatever its name") from None
    with opened as image:
        if image.mode.startswith(("I", "F")):
            raise MedicalImageError(
                f"{name} has more than 8 bits per pixel (mode {image.mode}), as medical images do: {NO_MEDICAL_IMAGES}"
            )
        width, height = image.size
        if (
            min(width, height) < MIN_SIDE
            or width * height > MAX_PIXELS
            or max(width, height) > MAX_ELONGATION * min(width, height)
        ):
            raise ValueError(f"{width}x{height} pixels")
        image.draft("L", (SHORT, SHORT))
        gray = luminance(image)
    scale = SHORT / min(gray.size)
    size = [max(SHORT, round(s * scale)) for s in gray.size]
    if tuple(size) != gray.size:
        gray = gray.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    left, top = (max(0, s - LONG) // 2 for s in size)
    return np.asarray(gray)[top : top + LONG, left : left + LONG]


def luminance(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to gray, with black where it is transparent."""
    if image.mode == "CMYK":
        return image.convert("RGB").convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return image.convert("L")


IMAGE_COLUMNS = ("image", "img", "photo", "picture", "jpg", "jpeg", "png", "webp")
"""Names of columns of plain bytes that count as photographs; Hugging Face's image type is recognised by its form."""
LOCK = threading.Lock()


@dataclass(frozen=True)
class Row(Item):
    """A photograph in a Parquet file.

    Parameters
    ----------
    column : str
        Column of the photographs.
    group, row : int
        The row group, and the row within it.
    """

    column: str = ""
    group: int = 0
    row: int = 0

    def read(self) -> bytes:
        """Return the photograph's bytes; whole row groups are read, and the last few are cached."""
        with LOCK:
            value = row_group(self.path, self.group, self.column)[self.row].as_py()
        data = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes):
            raise ValueError("no bytes of a photograph in this row")
        return data


@lru_cache(maxsize=4)
def row_group(path: str, group: int, column: str) -> Any:
    """Read one column of a row group, a pyarrow.ChunkedArray."""
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        return file.read_row_group(group, [column]).column(column)


def rows(path: str) -> list[Item]:
    """List the photographs in a Parquet file.

    Parameters
    ----------
    path : str

    Returns
    -------
    list of Row

    Raises
    ------
    ValueError
        pyarrow is not installed, it is not a Parquet file, or none of its columns has photographs.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise ValueError(f"{path}: Parquet files need pyarrow: pip install 'getnet_bids[parquet]'") from None
    try:
        with ParquetFile(path) as file:
            column = image_column(file.schema_arrow)
            sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    except ArrowException as error:
        raise ValueError(f"{path}: not a whole Parquet file ({error})") from None
    if column is None:
        raise ValueError(
            f"{path}: none of its columns has photographs, {{bytes, path}} as Hugging Face's or bytes alone"
        )
    return [
        Row(f"{path}:{group}:{row}", path, column=column, group=group, row=row)
        for group, size in enumerate(sizes)
        for row in range(size)
    ]


def image_column(schema: pyarrow.Schema) -> str | None:
    """Find the column of photographs: of Hugging Face's image type, or of bytes with a suitable name."""
    import pyarrow.types as types

    def binary(kind: Any) -> bool:
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    for field in schema:
        if types.is_struct(field.type) and any(part.name == "bytes" and binary(part.type) for part in field.type):
            return str(field.name)
    return next(
        (str(field.name) for field in schema if field.name.lower() in IMAGE_COLUMNS and binary(field.type)), None
    )
