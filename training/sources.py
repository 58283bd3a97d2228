"""Where photographs are: folders, ImageNet's layout, tar shards, tars within tars, Parquet; no medical images."""

from __future__ import annotations

import hashlib
import os
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
MEDICAL = (".nii", ".nii.gz", ".dcm", ".dicom", ".ima", ".mgh", ".mgz", ".mnc", ".mnc.gz", ".nrrd", ".mha", ".mhd")
PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".txz", ".tar.zst", ".zip", ".7z", ".rar", ".tfrecord", ".lmdb")
WHY = (
    "GetNet is trained on photographs only, so that it favours no anatomy, contrast or scanner; take medical images "
    "out of the training data"
)


PACK = "unpack it, or pack it as a plain .tar, so that it can be read at any place"


class MedicalImageError(ValueError):
    """Someone wants to train on medical images."""


@dataclass(frozen=True)
class Item:
    """A photograph's file, or the part of a tar file that holds it.

    Parameters
    ----------
    name : str
        For messages.
    path : str
        The file to read.
    offset : int
        Where in it the photograph starts, bytes.
    size : int
        Its length, bytes; -1 for all of the file.
    """

    name: str
    path: str
    offset: int = 0
    size: int = -1

    def read(self) -> bytes:
        """Give the photograph's bytes."""
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


def find(sources: Sequence[Path]) -> tuple[list[Item], str]:
    """Find all photographs in some folders (recursively, tar and Parquet files in them included), and files.

    Packed archives within folders are left out, with a line each.

    Parameters
    ----------
    sources : sequence of Path

    Returns
    -------
    items : list of Item
        In an order that depends on the names alone.
    fingerprint : str
        16 hexadecimal digits that change when a file's place, size or time does.

    Raises
    ------
    MedicalImageError
        There is a medical image.
    FileNotFoundError
        There is no such folder or file.
    ValueError
        A source is neither, or has no photograph, or a tar or Parquet file is damaged or packed.
    """
    items: list[Item] = []
    lines = []
    for source in sources:
        if not source.exists():
            raise FileNotFoundError(f"{source}: no such folder or file")
        before = len(items)
        for path in files_in(source) if source.is_dir() else [str(source)]:
            if path.lower().endswith(PACKED):
                if path == str(source):
                    raise ValueError(f"{path}: {PACK}")
                tqdm.write(f"left out {path}: {PACK}", file=sys.stderr)
            found = items_of(path)
            if found:
                state = os.stat(path)
                lines.append(f"{os.path.realpath(path)} {state.st_size} {state.st_mtime_ns}")
                items += found
        if len(items) == before:
            raise ValueError(f"{source}: no photograph in it (looked for {' '.join(ENDINGS)} .tar .parquet)")
    return items, hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def files_in(folder: Path) -> Iterator[str]:
    """Go through all files of a folder and those within, links followed once, sorted, hidden ones left out."""
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else sorted(f for f in folders if not f.startswith("."))
        for name in [] if real in seen else sorted(files):
            if not name.startswith("."):
                yield os.path.join(place, name)
        seen.add(real)


def items_of(path: str) -> list[Item]:
    """List the photographs in a file: itself, or those in a tar or Parquet file."""
    if path.lower().endswith(".tar"):
        return items_of_tar(path)
    if path.lower().endswith(".parquet"):
        from .parquet import rows  # It needs this module.

        return rows(path)
    return items_of_file(path)


def items_of_file(path: str) -> list[Item]:
    """Give a file's only photograph, or none if it is something else."""
    if is_photograph(path):
        return [Item(path, path)]
    if not os.path.splitext(path)[1]:  # DICOM files often have no ending.
        with open(path, "rb") as file:
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
                elif member.name.lower().endswith((*PACKED, ".parquet")):
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
    """Whether a file's name is a photograph's; raises `MedicalImageError` for a medical image's."""
    lower = name.lower()
    if lower.endswith(MEDICAL):
        raise MedicalImageError(f"{name} is a medical image: {WHY}")
    return lower.endswith(ENDINGS)


def refuse_medical(name: str, data: bytes) -> None:
    """Raise `MedicalImageError` if a file's first 352 bytes are those of a DICOM or NIfTI image."""
    if data[128:132] == b"DICM":
        raise MedicalImageError(f"{name} is a DICOM image: {WHY}")
    if data[344:348] in (b"n+1\0", b"ni1\0") or data[4:8] == b"n+2\0":
        raise MedicalImageError(f"{name} is a NIfTI image: {WHY}")
