"""Read and write NIfTI and MGH images: headers are kept, gzip is fast, and files are written atomically."""

from __future__ import annotations

import io
import logging
import math
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from gzip import GzipFile
from pathlib import Path
from typing import Any, BinaryIO, cast

import nibabel as nib
import numpy as np
from isal import igzip
from nibabel.arrayproxy import ArrayProxy
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from .errors import GetNetError
from .files import GZIP_MAGIC, atomic, read_bytes
from .formats import DEFAULT_GZIP_LEVEL, SCALING, check_mgh, check_start, header_of, holds, place_of_voxels, reading

EXTENSIONS = (".nii.gz", ".nii", ".mgz", ".mgh")
"""Extensions of the files that can be read and written."""
DEFLATE_RATIO = 1032
"""Largest possible ratio of the size of gzip data to their compressed size."""
USUAL, USUAL_RATIO = 2**28, 20
"""Bytes, and multiple of a compressed file's size, that are allocated on the basis of the header alone."""
MAX_EXACT_INTEGER = 2**24
"""Largest number up to which float32 represents every whole number."""
MAX_COORDINATE = 1e9
"""Largest plausible number in an affine, mm: a thousand kilometres."""
VOXEL_SIZE_RANGE = 1e-7, 1e5
"""Smallest and largest plausible voxel size, mm."""
MAX_SIZE_IN_METRES = 0.1
"""Voxel sizes in a header in metres; from this value on they must be in mm."""
IGZIP_LEVELS = 3
"""Highest gzip level for isal; higher levels use zlib."""
WRITE_CHUNK = 2**20
"""Number of bytes that are compressed at a time."""


def read(path: str | os.PathLike[str]) -> SpatialImage:
    """Read an image into memory.

    Parameters
    ----------
    path : str or path
        A ``.nii``, ``.nii.gz``, ``.mgh`` or ``.mgz`` file.

    Returns
    -------
    SpatialImage
        With the header of the file, and float32 data to which the file's scale and intercept have been applied.

    Raises
    ------
    GetNetError
        The file is truncated or damaged, or is not an image of real numbers in two to four dimensions.
    OSError
        The file does not exist or cannot be read.
    """
    return decode(read_bytes(path), path)


def decode(data: bytes, name: str | os.PathLike[str]) -> SpatialImage:
    """Decode the bytes of a file into an image in memory, as `read` does.

    Parameters
    ----------
    data : bytes
        The content of the file.
    name : str or path
        For messages.

    Returns
    -------
    SpatialImage

    Raises
    ------
    GetNetError
        As for `read`.
    """
    check_start(data, name)
    stream: BinaryIO = io.BytesIO(data)
    most = len(data)
    if data.startswith(GZIP_MAGIC):
        stream = cast(BinaryIO, igzip.IGzipFile(fileobj=stream))
        most *= DEFLATE_RATIO
    with reading(name):
        image = header_of(stream, name)
        count = math.prod(int(n) for n in image.shape)  # MGH dimensions are int32, whose product may overflow
        end = place_of_voxels(image, name) + count * image.get_data_dtype().itemsize
        if end > most or (end > max(USUAL, USUAL_RATIO * len(data)) and not holds(stream, end)):
            raise GetNetError(f"truncated, or damaged: it cannot hold {image.shape} voxels; copy it again", name)
        voxels = magnitudes(image, name)
        while stream.read(1 << 20):
            pass  # up to the gzip trailer, so that its checksum is verified
    proxy = cast(Any, image.dataobj)
    scaling = float(proxy.slope), float(proxy.inter)
    return type(image)(voxels, image.affine, image.header, {**image.extra, SCALING: scaling})


def magnitudes(image: SpatialImage, name: str | os.PathLike[str] | None = None) -> NDArray[np.float32]:
    """Return an image's scaled data as float32.

    Parameters
    ----------
    image : SpatialImage
        Any nibabel image.
    name : str or path, optional
        Name for messages; default: that of the image.

    Returns
    -------
    ndarray, shape of the image, float32

    Raises
    ------
    GetNetError
        The data are complex or colours, or do not have two to four dimensions (further dimensions of size 1 are
        ignored); the affine is not finite; or float32 cannot represent or distinguish the values.
    """
    name = name or image.get_filename() or "image"
    slope, inter = check_header(image, name)
    proxy = image.dataobj
    stored = proxy.get_unscaled() if isinstance(proxy, ArrayProxy) else np.asanyarray(proxy)
    return as_float32(stored, name, slope, inter)


def check_header(image: SpatialImage, name: str | os.PathLike[str]) -> tuple[float, float]:
    """Raise an error if the header shows that the values cannot be used; return their scale and intercept."""
    dtype = image.get_data_dtype()
    if dtype.kind not in "biuf":
        kind = {"c": "complex", "V": "colour"}.get(dtype.kind, str(dtype))
        raise GetNetError(f"holds {kind} numbers; give the magnitude image", name)
    shape = image.shape
    if len(shape) < 2 or any(n != 1 for n in shape[4:]) or min(shape) < 1:
        raise GetNetError(f"has shape {shape}; two, three or four dimensions with voxels are needed", name)
    if image.affine is not None and not (np.abs(image.affine) < MAX_COORDINATE).all():
        raise GetNetError(
            f"its affine holds values that are not finite, or above {MAX_COORDINATE:g}; repair the header", name
        )
    proxy = image.dataobj
    if not isinstance(proxy, ArrayProxy):
        return 1.0, 0.0
    slope, inter = float(proxy.slope), float(proxy.inter)
    if dtype.kind in "iu" and abs(inter) > MAX_EXACT_INTEGER * abs(slope):
        text = f"its scl_inter, {inter:g}, leaves nothing of the values in float32; take the offset out of the header"
        raise GetNetError(text, name)
    return slope, inter


def as_float32(
    stored: NDArray[Any], name: str | os.PathLike[str], slope: float = 1.0, inter: float = 0.0
) -> NDArray[np.float32]:
    """Scale values in float64 and convert them to float32; raise an error if finite values overflow."""
    scaled = (slope, inter) != (1.0, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.asarray(stored * np.float64(slope) + inter if scaled else stored, np.float32)
    if scaled or (stored.dtype.kind == "f" and stored.dtype.itemsize > values.dtype.itemsize):
        infinite = np.isinf(values)
        if infinite.any() and np.isfinite(stored[infinite]).any():
            raise GetNetError("holds values above 3.4e38, which float32 cannot hold; scale it down", name)
    return values


def voxel_size(image: SpatialImage, name: str | os.PathLike[str] | None = None) -> tuple[float, ...]:
    """Return the size of a voxel in mm, whatever unit the header has.

    The sizes in the header are used if they are usable, otherwise those of the affine, whose scale may be that of
    another space.

    Parameters
    ----------
    image : SpatialImage
    name : str or path, optional
        Name for messages; default: that of the image.

    Returns
    -------
    tuple of float
        Two values for a 2-D image, otherwise three.

    Examples
    --------
    >>> image = nib.Nifti1Image(np.zeros((4, 4, 4, 2), np.float32), np.diag([150.0, 150.0, 200.0, 1.0]))
    >>> image.header.set_xyzt_units("micron", "sec")
    >>> voxel_size(image)
    (0.15, 0.15, 0.2)
    """
    count = min(len(image.shape), 3)
    with np.errstate(invalid="ignore"):
        sizes = np.array(image.header.get_zooms()[:count], dtype=float)
    if isinstance(image.header, nib.Nifti1Header):
        in_metres = (
            sizes < MAX_SIZE_IN_METRES
        ).all()  # otherwise they are mm, whatever the header says, since no scanner makes such voxels
        sizes *= {1: 1e3 if in_metres else 1.0, 3: 1e-3}.get(int(image.header["xyzt_units"]) & 7, 1.0)
    usable = (sizes >= VOXEL_SIZE_RANGE[0]) & (sizes <= VOXEL_SIZE_RANGE[1])
    if not usable.all() and image.affine is not None:
        with np.errstate(over="ignore"):
            sizes = np.where(usable, sizes, nib.affines.voxel_sizes(image.affine)[:count])
        usable = (sizes >= VOXEL_SIZE_RANGE[0]) & (sizes <= VOXEL_SIZE_RANGE[1])
    # A single slice often has no thickness.
    alone = np.array([n == 1 for n in image.shape[:count]])
    if not (usable | alone).all():
        name = name or image.get_filename() or "image"
        text = " x ".join(f"{size:.3g}" for size in sizes)
        raise GetNetError(f"its voxel size, {text} mm, is not usable; repair the header", name)
    if usable.any():
        sizes = np.where(usable, sizes, sizes[usable].max())
    return tuple(np.round(np.where(usable.any(), sizes, 1.0), 9).tolist())


def silence_nibabel() -> None:
    """Silence nibabel's log messages about headers; a `GetNetError` says in one line what is wrong."""
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="nibabel")


def like(image: SpatialImage, data: NDArray[np.floating]) -> SpatialImage:
    """Make a float32 image with another's header.

    Affine, qform, sform and their codes, units, description and extensions are kept; an unknown unit of length becomes
    mm, as which it was read. Entries about the old values are reset: scale and intercept, display range, intent.

    Parameters
    ----------
    image : SpatialImage
        The image whose header is copied.
    data : ndarray
        On the grid of `image`, or on its spatial axes.

    Returns
    -------
    SpatialImage
        Of the same class as `image`.
    """
    header = image.header.copy()
    header.set_data_dtype(np.float32)
    if isinstance(header, nib.Nifti1Header):
        header.set_intent("none")
        header.set_slope_inter(None, None)
        header["cal_min"] = header["cal_max"] = 0
        if not int(header["xyzt_units"]) & 7:
            header["xyzt_units"] = int(header["xyzt_units"]) | 2  # mm
    return type(image)(data.astype(np.float32, copy=False), image.affine, header)


def extension(path: str | os.PathLike[str]) -> str:
    """Return a file's extension.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    str
        One of `EXTENSIONS`.

    Raises
    ------
    ValueError
        The name has none of them.

    Examples
    --------
    >>> extension("sub-01_T1w.nii.gz")
    '.nii.gz'
    """
    for known in EXTENSIONS:
        if os.fspath(path).endswith(known):
            return known
    raise GetNetError(f"the name must end in {', '.join(EXTENSIONS)}", path)


def check_outputs(outputs: Iterable[str | os.PathLike[str]], inputs: Iterable[str | os.PathLike[str]]) -> None:
    """Raise an error if an output has an unknown extension, or would replace a file that is read or another output.

    Parameters
    ----------
    outputs, inputs : iterable of str or path

    Raises
    ------
    GetNetError
    """
    taken = list(inputs)
    for path in outputs:
        extension(path)
        if any(is_same_file(path, other) for other in taken):
            raise GetNetError("would overwrite another input or output; give another name", path)
        taken.append(path)


def is_same_file(path: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Return whether two paths lead to the same file, following links."""
    if os.path.realpath(path) == os.path.realpath(other):
        return True
    return os.path.exists(path) and os.path.exists(other) and os.path.samefile(path, other)


def write(image: SpatialImage, path: str | os.PathLike[str], level: int = DEFAULT_GZIP_LEVEL) -> None:
    """Write an image; the file gets its name only when it is complete.

    The same image always gives the same bytes, since the gzip header contains neither time nor name.

    Parameters
    ----------
    image : SpatialImage
    path : str or path
        A name that ends in one of `EXTENSIONS`; an existing file is replaced.
    level : int
        gzip level, 1 to 9.

    Raises
    ------
    GetNetError
        The extension is unknown, or MGH cannot store the image's data type.
    """
    kind = nib.MGHImage if extension(path).startswith(".mg") else nib.Nifti1Image
    if kind is nib.MGHImage:
        check_mgh(image, path)
    whole = as_format(image, kind)
    with packing(path, level) as pieces:
        whole.to_stream(pieces)


@contextmanager
def packing(path: str | os.PathLike[str], level: int = DEFAULT_GZIP_LEVEL) -> Iterator[BinaryIO]:
    """Open a file that is renamed when it is complete; it is compressed if its extension says so."""
    ending = extension(path)
    with atomic(Path(path)) as file:
        if ending in (".nii.gz", ".mgz"):
            gzip_file: Any = igzip.IGzipFile if level <= IGZIP_LEVELS else GzipFile
            packed = cast(io.RawIOBase, gzip_file("", "wb", level, file, mtime=0))
            with io.BufferedWriter(packed, WRITE_CHUNK) as pieces:
                yield cast(BinaryIO, pieces)
        else:
            yield file


def as_format(image: SpatialImage, kind: Any) -> Any:
    """Convert an image to MGH or NIfTI, unless it has that format already."""
    if isinstance(image, kind):
        return image
    if kind is nib.MGHImage:
        return mgh_image(image)
    if not isinstance(image, nib.Nifti1Pair):
        return kind(np.asanyarray(image.dataobj), None, nifti_header(image))
    return kind.from_image(image)


def mgh_image(image: SpatialImage) -> nib.MGHImage:
    """Convert an image to MGH, which has three dimensions, or four if there is more than one volume."""
    data = np.asanyarray(image.dataobj)
    space, volumes = (*data.shape, 1)[:3], math.prod(data.shape[3:])
    with np.errstate(divide="ignore", invalid="ignore"):
        turned = nib.MGHImage(data.reshape(space if volumes == 1 else (*space, volumes)), image.affine)
    turned.header["Mdc"] = np.nan_to_num(turned.header["Mdc"])  # an axis of length 0 has no direction
    return turned


def nifti_header(image: SpatialImage) -> nib.Nifti1Header:
    """Make a NIfTI header for an image of another format."""
    header = nib.Nifti1Header()
    header.set_data_dtype(image.get_data_dtype())
    header.set_data_shape(image.shape)
    header.set_xyzt_units("mm")
    header.set_sform(image.affine, code="scanner")
    if np.linalg.matrix_rank(image.affine[:3, :3]) == 3:
        header.set_qform(image.affine, code="scanner")
    return header
