"""NIfTI and MGH images in and out: headers kept, gzip fast, files whole or not there."""

from __future__ import annotations

import io
import math
import os
from gzip import BadGzipFile
from pathlib import Path
from typing import Any, BinaryIO, cast

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, SpatialImage
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from .errors import ImageError, one_line
from .files import atomic

EXTENSIONS = (".nii.gz", ".nii", ".mgz", ".mgh")
"""What can be read and written."""
DEFLATE_RATIO = 1032
"""No gzip data are longer than this many times their packed size."""
DAMAGE: tuple[Any, ...] = (BadGzipFile, isal_zlib.IsalError)
"""What isal raises on gzip data that make no sense."""
NONSENSE = (HeaderDataError, ImageFileError, WrapStructError, KeyError, OverflowError, TypeError, ValueError)
"""What nibabel raises on one or another header that makes no sense."""
LEVEL = 2
"""Of igzip's gzip, 0 to 3: on corrected heads and fields 3 takes twice as long and saves nothing."""


def read(path: str | os.PathLike[str]) -> SpatialImage:
    """Read an image into memory.

    Parameters
    ----------
    path : str or path
        A ``.nii``, ``.nii.gz``, ``.mgh`` or ``.mgz`` file.

    Returns
    -------
    SpatialImage
        Its header as in the file; its data float32, the file's scale and intercept applied.

    Raises
    ------
    ImageError
        The file is truncated or damaged, or is not an image of real numbers in two to four dimensions.
    OSError
        There is no such file, or it cannot be read.
    """
    return decode(Path(path).read_bytes(), path)


def decode(data: bytes, name: str | os.PathLike[str]) -> SpatialImage:
    """Turn a file's bytes into an image in memory, as `read` does; the name is for messages."""
    if not data:
        raise ImageError(name, "the file is empty; copy or fetch it again")
    if data.startswith(b"/annex/objects/"):
        raise ImageError(name, "not fetched; run `datalad get` on it")
    stream: BinaryIO = io.BytesIO(data)
    most = len(data)
    if data.startswith(b"\x1f\x8b"):
        stream = cast(BinaryIO, igzip.IGzipFile(fileobj=stream))
        most *= DEFLATE_RATIO
    try:
        kind = image_class(stream.read(4), name)
        stream.seek(0)
        image = kind.from_stream(stream)
        if math.prod(image.shape) * image.get_data_dtype().itemsize > most:
            raise ImageError(name, f"truncated, or damaged: it cannot hold {image.shape} voxels; copy it again")
        voxels = magnitudes(image, name)
        while stream.read(1 << 20):
            pass  # to the gzip trailer, whose checksum is looked at only then
    except ImageError:
        raise
    except EOFError:
        raise ImageError(name, "truncated: its gzip data end early; copy or fetch it again") from None
    except DAMAGE as error:
        raise ImageError(name, f"damaged gzip data ({error}); copy or fetch it again") from None
    except OSError as error:
        raise ImageError(name, f"truncated: {one_line(error)}; copy or fetch it again") from None
    except NONSENSE as error:
        text = f"not a valid header ({type(error).__name__}: {one_line(error)}); repair or convert it"
        raise ImageError(name, text) from None
    if not np.isfinite(image.affine).all():
        raise ImageError(name, "its affine holds values that are not finite; repair the header")
    return kind(voxels, image.affine, image.header)


def image_class(start: bytes, name: str | os.PathLike[str]) -> Any:
    """Tell the format from a file's first four bytes."""
    sizes = {int.from_bytes(start, order) for order in ("little", "big")}
    if 348 in sizes:
        return nib.Nifti1Image
    if 540 in sizes:
        return nib.Nifti2Image
    if start == b"\x00\x00\x00\x01":
        return nib.MGHImage
    raise ImageError(name, "neither NIfTI nor MGH; convert it to NIfTI")


def magnitudes(image: SpatialImage, name: str | os.PathLike[str] | None = None) -> NDArray[np.float32]:
    """Give an image's data, scaled, as float32.

    Parameters
    ----------
    image : SpatialImage
        Any that nibabel has.
    name : str or path, optional
        For messages; default the image's own.

    Returns
    -------
    ndarray, shape of the image, float32

    Raises
    ------
    ImageError
        Complex or colour data, or not two to four dimensions; further ones of size 1 do not count.
    """
    name = name or image.get_filename() or "image"
    dtype = image.get_data_dtype()
    if dtype.kind not in "biuf":
        kind = {"c": "complex", "V": "colour"}.get(dtype.kind, str(dtype))
        raise ImageError(name, f"holds {kind} numbers; give the magnitude image")
    shape = image.shape
    if len(shape) < 2 or any(n != 1 for n in shape[4:]) or min(shape) < 1:
        raise ImageError(name, f"has shape {shape}; two, three or four dimensions with voxels are needed")
    proxy = image.dataobj
    scaled = proxy.get_scaled(np.float32) if hasattr(proxy, "get_scaled") else np.asanyarray(proxy)
    return np.asarray(scaled, dtype=np.float32)


def voxel_size(image: SpatialImage, name: str | os.PathLike[str] | None = None) -> tuple[float, ...]:
    """Give the size of a voxel in mm, whatever unit the header has.

    The header's sizes count, as long as they are usable, then the affine's, whose scale may be another space's.

    Parameters
    ----------
    image : SpatialImage
    name : str or path, optional
        For messages; default the image's own.

    Returns
    -------
    tuple of float
        Two for a 2-D image, else three.

    Examples
    --------
    >>> image = nib.Nifti1Image(np.zeros((4, 4, 4, 2), np.float32), np.diag([150.0, 150.0, 200.0, 1.0]))
    >>> image.header.set_xyzt_units("micron", "sec")
    >>> voxel_size(image)
    (0.15, 0.15, 0.2)
    """
    count = min(len(image.shape), 3)
    sizes = np.array(image.header.get_zooms()[:count], dtype=float)
    if isinstance(image.header, nib.Nifti1Header):
        sizes *= {1: 1e3, 3: 1e-3}.get(int(image.header["xyzt_units"]) & 7, 1.0)
    usable = np.isfinite(sizes) & (sizes > 0)
    if not usable.all() and image.affine is not None:
        sizes = np.where(usable, sizes, nib.affines.voxel_sizes(image.affine)[:count])
        usable = np.isfinite(sizes) & (sizes > 0)
    # A single slice often comes without a thickness.
    alone = np.array([n == 1 for n in image.shape[:count]])
    if not (usable | alone).all():
        name = name or image.get_filename() or "image"
        raise ImageError(name, f"its voxel size {tuple(sizes.tolist())} mm is not usable; repair the header")
    if usable.any():
        sizes = np.where(usable, sizes, sizes[usable].max())
    return tuple(np.round(np.where(usable.any(), sizes, 1.0), 9).tolist())


def like(image: SpatialImage, data: NDArray[np.floating]) -> SpatialImage:
    """Make a float32 image with another's header.

    Affine, qform, sform and their codes, units, description and extensions stay; an unknown unit of length becomes
    mm, as which it was taken. What told about the other's values goes: scale and intercept, display range, intent.

    Parameters
    ----------
    image : SpatialImage
        The model.
    data : ndarray
        On the model's grid, or on its spatial axes alone.

    Returns
    -------
    SpatialImage
        Of the model's class.
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
    """Tell a file's extension, one of `EXTENSIONS`; raises ValueError if it has none of them."""
    for known in EXTENSIONS:
        if os.fspath(path).endswith(known):
            return known
    raise ValueError(f"{os.fspath(path)}: the name must end in {', '.join(EXTENSIONS)}")


def write(image: SpatialImage, path: str | os.PathLike[str]) -> None:
    """Write an image; the file has its name only once it is complete.

    The same image gives the same bytes: the gzip header holds neither time nor name.

    Parameters
    ----------
    image : SpatialImage
    path : str or path
        A name ending in one of `EXTENSIONS`; what it holds already is replaced.
    """
    ending = extension(path)
    whole = as_format(image, nib.MGHImage if ending.startswith(".mg") else nib.Nifti1Image)
    with atomic(Path(path)) as file:
        if ending in (".nii.gz", ".mgz"):
            with igzip.IGzipFile("", "wb", LEVEL, file, mtime=0) as packed:
                whole.to_stream(packed)
        else:
            whole.to_stream(file)


def as_format(image: SpatialImage, kind: Any) -> Any:
    """Turn an image into MGH or NIfTI, unless it is that already."""
    if isinstance(image, kind):
        return image
    turned = kind.from_image(image)
    if kind is nib.Nifti1Image and not isinstance(image, nib.Nifti1Pair):
        turned.set_qform(image.affine, code="scanner")
        turned.set_sform(image.affine, code="scanner")
        turned.header.set_xyzt_units("mm")
    return turned
