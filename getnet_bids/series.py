"""Average and divide series of volumes in one file, one volume at a time, so that memory stays small."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import nibabel as nib
import numpy as np
from isal import igzip
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from .core.voxels import mean_of
from .errors import GetNetError, errors_about
from .files import POINTER
from .formats import Storage
from .grids import on_grid
from .images import (
    as_float32,
    check_header,
    check_start,
    header_of,
    image_class,
    like,
    nifti_header,
    packing,
    place_of_voxels,
    reading,
)

B0 = 50.0
"""Largest b of a volume without diffusion weighting, s/mm2; scanners may write, for example, 5 for b = 0."""
SHELL_WIDTH = 100.0
"""Largest difference of b values within the lowest shell, s/mm2."""


@dataclass(frozen=True)
class Series:
    """An open NIfTI or MGH file.

    Parameters
    ----------
    image : SpatialImage
        The header; the voxels are still in the file.
    stream : BinaryIO
        The decompressed file, at a position before its voxels.
    name : str or path
        Name for messages.
    """

    image: SpatialImage
    stream: BinaryIO
    name: str | os.PathLike[str]

    @property
    def count(self) -> int:
        """The number of volumes."""
        return math.prod(self.image.shape[3:])

    def volumes(self) -> Iterator[NDArray[np.float32]]:
        """Read the scaled volumes one after the other; this can be done only once.

        Yields
        ------
        ndarray, spatial shape of the image, float32

        Raises
        ------
        GetNetError
            The file ends early or is damaged.
        """
        slope, inter = check_header(self.image, self.name)
        dtype, space = self.image.get_data_dtype(), self.image.shape[:3]
        size = math.prod(space) * dtype.itemsize
        with reading(self.name):
            self.stream.seek(place_of_voxels(self.image, self.name))
        for _ in range(self.count):
            with reading(self.name):
                data = self.stream.read(size)
            if len(data) < size:
                raise GetNetError("truncated: it ends before its last volume; copy or fetch it again", self.name)
            stored = np.frombuffer(data, dtype).reshape(space, order="F")
            yield as_float32(stored, self.name, slope, inter)
        with reading(self.name):
            while self.stream.read(1 << 20):
                pass  # to the gzip trailer, whose checksum is looked at only then


@contextmanager
def open_series(path: str | os.PathLike[str], name: str | os.PathLike[str] | None = None) -> Iterator[Series]:
    """Open an image to read its volumes one by one.

    Parameters
    ----------
    path : str or path
        A ``.nii``, ``.nii.gz``, ``.mgh`` or ``.mgz`` file.
    name : str or path, optional
        For messages; default: the path.

    Yields
    ------
    Series

    Raises
    ------
    GetNetError
        The file is not an image of real numbers in two to four dimensions.
    OSError
        The file does not exist or cannot be read.
    """
    name = name or path
    with open(path, "rb") as file:
        start = file.read(POINTER + 1)
        check_start(start, name)
        file.seek(0)
        stream = cast(BinaryIO, igzip.IGzipFile(fileobj=file)) if start.startswith(b"\x1f\x8b") else file
        with reading(name):
            kind = image_class(stream.read(4), name)
            stream.seek(0)
            image = header_of(kind, stream)
            check_header(image, name)
        yield Series(image, stream, name)


def volumes_in(path: str | os.PathLike[str]) -> int:
    """Return the number of volumes in a file according to its header."""
    with open_series(path) as series:
        return series.count


def is_streamed(path: str | os.PathLike[str], output: str | os.PathLike[str]) -> bool:
    """Return whether an image is corrected one volume at a time: a series that is read from and written to NIfTI."""
    return not any(os.fspath(name).endswith((".mgz", ".mgh")) for name in (path, output)) and volumes_in(path) > 1


def reference_image(
    path: str | os.PathLike[str], bvals: str | os.PathLike[str] | Iterable[float] | None = None
) -> tuple[SpatialImage, str]:
    """Average the volumes of a series from which its field is estimated.

    Parameters
    ----------
    path : str or path
    bvals : str, path or iterable of float, optional
        The b-values of a diffusion series, s/mm2: the volumes with b up to `B0` are averaged, or the lowest shell.
        Default: all volumes.

    Returns
    -------
    SpatialImage
        Float32, on the spatial axes.
    str
        Description of the mean.
    """
    indices, text = volumes_for_field(volumes_in(path), bvals_of(bvals), path)
    return mean_image(path, indices), text


def mean_image(
    path: str | os.PathLike[str],
    indices: Collection[int] | None = None,
    name: str | os.PathLike[str] | None = None,
) -> SpatialImage:
    """Average volumes of a file.

    Parameters
    ----------
    path : str or path
    indices : collection of int, optional
        The volumes, from 0; default all.
    name : str or path, optional
        For messages; default: the path.

    Returns
    -------
    SpatialImage
        On the spatial axes, float32, with the file's header. Values that are not finite are left out of the mean.
    """
    with open_series(path, name) as series, errors_about(name or path):
        taken = range(series.count) if indices is None else sorted(indices)
        wanted = set(taken)
        volumes = (volume for i, volume in enumerate(series.volumes()) if i in wanted)
        return like(series.image, mean_of(volumes, len(taken), series.image.shape[:3]))


def divide(
    path: str | os.PathLike[str],
    field: SpatialImage,
    output: str | os.PathLike[str],
    name: str | os.PathLike[str] | None = None,
    storage: Storage | None = None,
) -> None:
    """Divide each volume of a file by one field.

    Parameters
    ----------
    path : str or path
        NIfTI.
    field : SpatialImage
        On the same grid or on another one (`grids.on_grid`).
    output : str or path
        The new file, with the header of the old one; it gets its name only when it is complete.
    name : str or path, optional
        Name of the file for messages; default: the path.
    storage : Storage, optional
        Default: float32.

    Raises
    ------
    GetNetError
        The field covers less than half of the image; the file is truncated or damaged.
    """
    with open_series(path, name) as series:
        divisor = on_grid(field, series.image, name or path)
        write_volumes(series.image, (volume / divisor for volume in series.volumes()), output, storage, name or path)


def write_volumes(
    image: SpatialImage,
    volumes: Iterable[NDArray[np.float32]],
    path: str | os.PathLike[str],
    storage: Storage | None = None,
    name: str | os.PathLike[str] = "image",
) -> None:
    """Write volumes one after the other; the file has the same bytes as if `images.write` wrote all of them.

    Parameters
    ----------
    image : SpatialImage
        NIfTI image whose header is copied, with the same number of volumes.
    volumes : iterable of ndarray
        On its spatial axes.
    path : str or path
        ``.nii`` or ``.nii.gz``.
    storage : Storage, optional
        Default: float32.
    name : str or path
        Name of the source for messages.
    """
    storage = storage or Storage()
    numbers = storage.numbers(image, name)
    model: Any = like(image, np.broadcast_to(np.float32(0), image.shape))
    if not isinstance(model, nib.Nifti1Image):
        model = nib.Nifti1Image(model.dataobj, model.affine, nifti_header(model))
    model.update_header()
    model.header.set_slope_inter(1, 0)
    numbers.mark(model.header)
    start = io.BytesIO()
    model.header.write_to(start)
    dtype = model.header.get_data_dtype()
    with packing(path, storage.level) as file:
        file.write(start.getvalue().ljust(model.header.get_data_offset(), b"\0"))
        for volume in volumes:
            file.write(np.asarray(numbers.store(volume), dtype).tobytes("F"))


def read_bvals(path: str | os.PathLike[str]) -> list[float]:
    """Read a file of b-values, s/mm2: numbers separated by blanks or lines, as in FSL and BIDS.

    Raises
    ------
    GetNetError
        The file contains something else, or nothing.
    """
    words = Path(path).read_text(encoding="utf-8-sig", errors="replace").replace(",", " ").split()
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise GetNetError(f"not a file of b-values ({error}); give FSL's bvals", path) from None
    if not values or not all(0 <= value < math.inf for value in values):
        raise GetNetError("not a file of b-values: none, or one that is below 0 or not finite; give FSL's bvals", path)
    return values


def bvals_of(given: str | os.PathLike[str] | Iterable[float] | None) -> list[float] | None:
    """Return b-values, given as numbers or as a file."""
    if given is None:
        return None
    return read_bvals(given) if isinstance(given, str | os.PathLike) else [float(value) for value in given]


def b0_volumes(bvals: Iterable[float]) -> tuple[list[int], str]:
    """Choose the volumes of a diffusion series from which its field is estimated.

    Parameters
    ----------
    bvals : iterable of float
        The b-value of each volume, s/mm2.

    Returns
    -------
    indices : list of int
        The volumes with b up to `B0`; if there are none, those of the lowest shell.
    text : str
        Description of these volumes.

    Examples
    --------
    >>> b0_volumes([0, 1000, 5, 2000])
    ([0, 2], 'mean of the 2 volumes with b up to 50 s/mm2')
    >>> b0_volumes([700, 1000, 705])
    ([0, 2], 'mean of the 2 volumes of the lowest shell, b = 700 to 705 s/mm2: none has b up to 50')
    """
    values = list(bvals)
    indices = [i for i, value in enumerate(values) if value <= B0]
    if indices:
        return indices, f"{mean_of_the(len(indices))} with b up to {B0:g} s/mm2"
    lowest = min(values)
    indices = [i for i, value in enumerate(values) if value <= lowest + SHELL_WIDTH]
    highest = max(values[i] for i in indices)
    shell = f"{lowest:g}" + (f" to {highest:g}" if highest > lowest else "")
    text = f"{mean_of_the(len(indices))} of the lowest shell, b = {shell} s/mm2: none has b up to {B0:g}"
    return indices, text


def mean_of_the(number: int) -> str:
    """Return the description of the mean of a number of volumes.

    Examples
    --------
    >>> mean_of_the(1), mean_of_the(3)
    ('one volume', 'mean of the 3 volumes')
    """
    return counted(1) if number == 1 else f"mean of the {counted(number)}"


def counted(number: int) -> str:
    """Format a number of volumes, as in "1 volume"."""
    return "one volume" if number == 1 else f"{number} volumes"


def volumes_for_field(
    count: int, bvals: Iterable[float] | None, name: str | os.PathLike[str] | None
) -> tuple[list[int] | None, str]:
    """Choose the volumes of a series from which its field is estimated.

    Parameters
    ----------
    count : int
        Number of volumes.
    bvals : iterable of float, optional
        The b-values of a diffusion series.
    name : str or path, optional
        Name for messages.

    Returns
    -------
    indices : list of int or None
        The volumes, counted from 0; None for all.
    text : str
        Description of these volumes.

    Raises
    ------
    GetNetError
        There are more or fewer b-values than volumes.
    """
    if bvals is None:
        return None, "the image" if count == 1 else f"mean of all {count} volumes"
    values = list(bvals)
    if len(values) != count:
        text = f"it has {counted(count)} and {len(values)} b-values; give the .bval file that belongs to it"
        raise GetNetError(text, name)
    indices, text = b0_volumes(values)
    return (None, "the image") if count == 1 else (indices, text)
