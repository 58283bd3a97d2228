"""Average and divide series of volumes in one file, one volume at a time, so that memory stays small."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import nibabel as nib
import numpy as np
from isal import igzip
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from .bvals import bvals_of, volumes_for_field
from .core.averages import mean_of
from .errors import GetNetError, errors_about
from .files import GZIP_MAGIC, POINTER
from .formats import Storage, check_start, header_of, place_of_voxels, reading
from .grids import on_grid
from .images import as_float32, check_header, extension, like, nifti_header, packing, read, write

if TYPE_CHECKING:
    from . import Correction


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
        stream = cast(BinaryIO, igzip.IGzipFile(fileobj=file)) if start.startswith(GZIP_MAGIC) else file
        with reading(name):
            image = header_of(stream, name)
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
        The b-values of a diffusion series, s/mm2: the volumes with b up to 50 are averaged, or the lowest shell.
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
        mean = like(series.image, mean_of(volumes, len(taken), series.image.shape[:3], taken))
        mean.extra.update(series.image.extra)
        return mean


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
        As for `open_series`.
    field : SpatialImage
        On the same grid or on another one (`grids.on_grid`).
    output : str or path
        The new file, with the header of the old one; it gets its name only when it is complete. All volumes are in
        memory at once if it is MGH.
    name : str or path, optional
        Name of the file for messages; default: the path.
    storage : Storage, optional
        Default: float32.

    Raises
    ------
    GetNetError
        The field covers less than half of the image, or is not finite and above 0 everywhere; the file is truncated or
        damaged.
    """
    with open_series(path, name) as series:
        divisor = on_grid(field, series.image, name or path)
        if not (np.isfinite(divisor).all() and (divisor > 0).all()):
            raise GetNetError("the field is not finite and above 0 everywhere; give a bias field", name or path)
        volumes = (volume / divisor for volume in series.volumes())
        if extension(output).startswith(".mg"):
            storage, shape = storage or Storage(), series.image.shape
            whole = like(series.image, np.stack(list(volumes), -1).reshape(shape, order="F"))
            write(storage.numbers(series.image, name or path).image(whole), output, storage.level)
        else:
            write_volumes(series.image, volumes, output, storage, name or path)


def write_correction(
    source: str | os.PathLike[str],
    result: Correction,
    corrected: str | os.PathLike[str],
    field: str | os.PathLike[str] | None,
    uncertainty: str | os.PathLike[str] | None,
    storage: Storage,
) -> None:
    """Write the result for one file: the corrected image, and the field and its uncertainty if they have a path.

    Parameters
    ----------
    source : str or path
        The file that was corrected; a series is divided here, one volume at a time, if `is_streamed`.
    result : Correction
    corrected, field, uncertainty : str or path, or None
        The files to write.
    storage : Storage
        Data type of the corrected image, and compression.

    Raises
    ------
    GetNetError
        The data type cannot store the corrected values; then nothing is written.
    """
    streamed, image = is_streamed(source, corrected), result.image
    if streamed:
        divide(source, result.field, corrected, storage=storage)
    elif storage.dtype == "same":
        image = storage.numbers(read(source), source).image(image)
    if field is not None:
        write(result.field, field, storage.level)
    if uncertainty is not None:
        write(result.uncertainty, uncertainty, storage.level)
    if not streamed:
        write(image, corrected, storage.level)


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
