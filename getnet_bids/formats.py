"""Recognise file formats (NIfTI, MGH or others), and how an image is stored: data type, scale, gzip level."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from gzip import BadGzipFile
from typing import Any, BinaryIO, cast

import nibabel as nib
import numpy as np
from isal import isal_zlib
from nibabel.arrayproxy import ArrayProxy
from nibabel.filebasedimages import ImageFileError
from nibabel.freesurfer.mghformat import MGHError
from nibabel.spatialimages import HeaderDataError, SpatialImage
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from .errors import GetNetError, one_line
from .files import GZIP_MAGIC, pointer_remedy

CONVERT = "convert it to NIfTI"
SIGNATURES = (
    (b"PK\x03\x04", 0, "a zip archive; unpack it"),
    (b"BZh", 0, "compressed by bzip2; unpack it, or compress it with gzip"),
    (b"\xfd7zXZ\x00", 0, "compressed by xz; unpack it, or compress it with gzip"),
    (b"\x28\xb5\x2f\xfd", 0, "compressed by zstd; unpack it, or compress it with gzip"),
    (b"7z\xbc\xaf\x27\x1c", 0, "a 7z archive; unpack it"),
    (b"ustar", 257, "a tar archive; unpack it"),
    (b"DICM", 128, f"a DICOM file; {CONVERT} with dcm2niix"),
    (b"NRRD0", 0, f"an NRRD image; {CONVERT}, with Slicer or SimpleITK"),
    (b"ObjectType", 0, f"a MetaImage; {CONVERT}, with Slicer or SimpleITK"),
    (b"NDims", 0, f"a MetaImage; {CONVERT}, with Slicer or SimpleITK"),
    (b"\x89HDF\r\n\x1a\n", 0, f"an HDF5 file, such as MINC 2; {CONVERT}, with mnc2nii if it is MINC"),
    (b"CDF", 0, f"a NetCDF file, such as MINC 1; {CONVERT}, with mnc2nii if it is MINC"),
    (b"mrtrix image", 0, f"an MRtrix image; {CONVERT} with mrconvert"),
    (b"MATLAB 5.0", 0, f"a MATLAB file; {CONVERT}"),
    (b"\x93NUMPY", 0, "a NumPy array; give it to getnet_bids.correct in Python, with its voxel_size"),
    (b"\x89PNG", 0, f"a picture; {CONVERT}, or give it to getnet_bids.correct in Python, with its voxel_size"),
    (b"\xff\xd8\xff", 0, f"a picture; {CONVERT}, or give it to getnet_bids.correct in Python, with its voxel_size"),
    (b"II*\x00", 0, f"a TIFF picture; {CONVERT}, or give it to getnet_bids.correct in Python, with its voxel_size"),
    (b"MM\x00*", 0, f"a TIFF picture; {CONVERT}, or give it to getnet_bids.correct in Python, with its voxel_size"),
    (b"%PDF", 0, "a PDF document; give the image"),
)
"""Bytes by which a format is recognised, their position, and the message."""
TEXT = frozenset(b"\t\n\r") | frozenset(range(32, 127))
"""Bytes of plain text."""
PAIR = "convert the pair to one .nii.gz file, as with `nib-convert x.hdr x.nii.gz`"
SIDES = "and check left and right, which Analyze does not store"
HEADER, MAGIC = 348, 344
"""Size in bytes of a header of NIfTI-1 and Analyze 7.5, and the position of NIfTI-1's magic number."""
MAX_HEADER_FILE = 1024
"""Largest size of a header with extensions; a longer file without a magic number is a damaged NIfTI image."""
GZIP_ERRORS: tuple[Any, ...] = (BadGzipFile, isal_zlib.IsalError)
"""The error that isal raises for invalid gzip data."""
HEADER_ERRORS = (
    *(HeaderDataError, ImageFileError, MGHError, WrapStructError),
    *(KeyError, OverflowError, TypeError, ValueError),
)
"""Errors that nibabel raises for invalid headers."""


def foreign(data: bytes, name: str | os.PathLike[str] = "") -> str | None:
    """Return the name of a file format that is not read, and what to do; None if the file may be NIfTI or MGH.

    Parameters
    ----------
    data : bytes
        The content of the file.
    name : str or path
        File name, whose extension identifies the data file of a pair.

    Returns
    -------
    str or None

    Examples
    --------
    >>> foreign(b"NRRD0004")
    'an NRRD image; convert it to NIfTI, with Slicer or SimpleITK'
    >>> foreign(b"<!DOCTYPE html><html>")
    'a web page, not an image; fetch the file itself'
    >>> foreign(b'{"message": "Not Found"}')
    'text, neither NIfTI nor MGH, such as an error message, a link or a header; give the image, in NIfTI'
    """
    for signature, place, text in SIGNATURES:
        if data[place : place + len(signature)] == signature:
            return text
    if data[:512].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "a web page, not an image; fetch the file itself"
    if data and TEXT.issuperset(data[:512]):
        return "text, neither NIfTI nor MGH, such as an error message, a link or a header; give the image, in NIfTI"
    if any(int.from_bytes(data[:4], order) == HEADER for order in ("little", "big")):
        magic = data[MAGIC:HEADER]
        if not HEADER <= len(data) <= MAX_HEADER_FILE:
            return None
        if magic == b"ni1\x00":
            return f"the header of a NIfTI pair (.hdr and .img); {PAIR}"
        if magic != b"n+1\x00" and (len(data) == HEADER or not any(magic)):
            return f"the header of an Analyze pair (.hdr and .img); {PAIR}, {SIDES}"
        return None
    if os.fspath(name).lower().endswith((".img", ".img.gz")):
        return f"the voxels of an Analyze or NIfTI pair (.hdr and .img); {PAIR}, {SIDES}"
    return None


def check_start(data: bytes, name: str | os.PathLike[str]) -> None:
    """Raise an error if the first bytes show that a file is empty, only points to its data, or has another format."""
    if not data:
        raise GetNetError("the file is empty; copy or fetch it again", name)
    if remedy := pointer_remedy(data) or foreign(data, name):
        raise GetNetError(remedy, name)


@contextmanager
def reading(name: str | os.PathLike[str]) -> Iterator[None]:
    """Convert errors of nibabel and the decompressor on truncated or damaged files into `GetNetError`."""
    try:
        yield
    except GetNetError:
        raise
    except EOFError:
        raise GetNetError("truncated: its gzip data end early; copy or fetch it again", name) from None
    except GZIP_ERRORS as error:
        raise GetNetError(f"damaged gzip data ({error}); copy or fetch it again", name) from None
    except OSError as error:
        raise GetNetError(f"truncated: {one_line(error)}; copy or fetch it again", name) from None
    except HEADER_ERRORS as error:
        text = f"not a valid header ({type(error).__name__}: {one_line(error)}); repair or convert it"
        raise GetNetError(text, name) from None


def header_of(stream: BinaryIO, name: str | os.PathLike[str]) -> SpatialImage:
    """Read an image's header, leaving its voxels in the stream.

    If the scale factor is not a number, nibabel reads the values without a scale, and the image's ``extra`` has the
    entry `UNSCALED`.

    Parameters
    ----------
    stream : BinaryIO
        At its beginning.
    name : str or path
        For messages.

    Raises
    ------
    GetNetError
        The file is neither NIfTI nor MGH, or the scale factor is infinite.
    """
    kind, slope = image_class(stream, name), 1.0
    try:
        with np.errstate(all="ignore"):
            if issubclass(kind, nib.Nifti1Image):
                slope = float(kind.header_class.from_fileobj(stream, check=False)["scl_slope"])
                stream.seek(0)
            image = kind.from_stream(stream)
    except MemoryError:
        raise ValueError("its extension is larger than the memory") from None
    if np.isinf(slope):
        raise GetNetError("its scl_slope is infinite; set it to 1, or to the right factor", name)
    if np.isnan(slope):
        image.extra[UNSCALED] = "not a number"
    return image


def place_of_voxels(image: SpatialImage, name: str | os.PathLike[str]) -> int:
    """Return the offset of an image's voxels; raise an error if it is inside the header, which nibabel would accept."""
    place = int(cast(Any, image.dataobj).offset)
    least = getattr(image.header, "single_vox_offset", place)
    if place < least:
        raise GetNetError(
            f"its vox_offset is {place}, inside the header; set it to {least} or where the data are", name
        )
    return place


def holds(stream: BinaryIO, size: int) -> bool:
    """Return whether a stream has a number of bytes, without allocating memory for them."""
    stream.seek(0)
    while size > 0 and (block := stream.read(min(size, 1 << 20))):
        size -= len(block)
    return size <= 0


def image_class(stream: BinaryIO, name: str | os.PathLike[str]) -> Any:
    """Determine the image class from the first bytes of a stream, which may be those of a file in gzip."""
    start = stream.read(MAX_HEADER_FILE + 1)
    stream.seek(0)
    check_start(start, name)
    start = start[:4]
    sizes = {int.from_bytes(start, order) for order in ("little", "big")}
    if HEADER in sizes:
        return nib.Nifti1Image
    if 540 in sizes:
        return nib.Nifti2Image
    if start == b"\x00\x00\x00\x01":
        return nib.MGHImage
    if start.startswith(GZIP_MAGIC):
        raise GetNetError("compressed twice; unpack it once, as with `gunzip`, and name the result .nii.gz", name)
    if not any(start):
        raise GetNetError(
            "it holds nothing, or begins with zeros, as after a failed copy; copy or fetch it again", name
        )
    raise GetNetError("neither NIfTI nor MGH; convert it to NIfTI", name)


SCALING, UNSCALED = "scaling", "unscaled"
"""Keys in an image's ``extra`` for the slope and intercept of its file, and for a slope that is not a number."""
DEFAULT_GZIP_LEVEL = 1
"""Default gzip level. On corrected heads and fields, levels 2 and 3 save less than 3 %; level 9 saves 1 to 6 % and
takes ten times as long."""


FLOAT32: Any = np.dtype(np.float32)


@dataclass(frozen=True)
class Storage:
    """Data type and compression of the results.

    Parameters
    ----------
    dtype : {"float32", "same"}
        Data type of corrected images; ``same`` is that of the source. Fields are always float32.
    level : int
        gzip level, 1 to 9.
    """

    dtype: str = "float32"
    level: int = DEFAULT_GZIP_LEVEL

    def numbers(self, source: SpatialImage, name: str | os.PathLike[str]) -> Numbers:
        """Return the data type and scale in which the corrected image of a source is stored."""
        return Numbers.of(source, name) if self.dtype == "same" else Numbers(name)


@dataclass(frozen=True)
class Numbers:
    """Data type, slope and intercept of the numbers in a file.

    Parameters
    ----------
    name : str or path
        Name of the source, for messages.
    dtype : dtype
    slope, inter : float
        The image's values are slope * number + inter.
    """

    name: str | os.PathLike[str]
    dtype: Any = FLOAT32
    slope: float = 1.0
    inter: float = 0.0

    @classmethod
    def of(cls, image: SpatialImage, name: str | os.PathLike[str]) -> Numbers:
        """Return the numbers of an image that `images.read` returned, or that is not loaded yet."""
        dtype, proxy = image.get_data_dtype().newbyteorder("="), image.dataobj
        if dtype.kind not in "iu":
            return cls(name, dtype)
        scaling = (proxy.slope, proxy.inter) if isinstance(proxy, ArrayProxy) else image.extra.get(SCALING, (1, 0))
        return cls(name, dtype, *map(float, scaling))

    def store(self, values: NDArray[np.floating]) -> NDArray[Any]:
        """Convert values to the stored numbers.

        Parameters
        ----------
        values : ndarray

        Returns
        -------
        ndarray of `dtype`

        Raises
        ------
        GetNetError
            Values exceed the range of the data type.

        Examples
        --------
        >>> Numbers("T1w.nii", np.dtype(np.uint8), slope=0.5).store(np.float32([3.3, 100]))
        array([  7, 200], dtype=uint8)
        """
        if self.dtype.kind not in "iu":
            return values.astype(self.dtype, copy=False)
        whole = np.rint((values.astype(np.float64) - self.inter) / self.slope)
        limits = np.iinfo(self.dtype)
        if not (np.isfinite(whole).all() and whole.min() >= limits.min and whole.max() <= limits.max):
            low, high = sorted(bound * self.slope + self.inter for bound in (limits.min, limits.max))
            text = (
                f"its corrected values reach from {np.nanmin(values):g} to {np.nanmax(values):g}, and {self.dtype} in "
                f"its file from {low:g} to {high:g}; store it in float32, without --output-dtype same"
            )
            raise GetNetError(text, self.name)
        return whole.astype(self.dtype)

    def mark(self, header: Any) -> None:
        """Set data type, slope and intercept of a header; raise an error if the format cannot store them."""
        try:
            header.set_data_dtype(self.dtype)
        except (HeaderDataError, MGHError):
            text = f"{type(header).__name__} cannot hold its {self.dtype}; store it in float32"
            raise GetNetError(text, self.name) from None
        if (self.slope, self.inter) != (1.0, 0.0):
            header.set_slope_inter(self.slope, self.inter)

    def image(self, corrected: SpatialImage) -> SpatialImage:
        """Turn a float32 image into the one to write, whose data are the stored numbers."""
        stored = type(corrected)(self.store(np.asanyarray(corrected.dataobj)), corrected.affine, corrected.header)
        self.mark(
            stored.header
        )  # after the image is made, since nibabel drops the scale of the header that it is given
        return stored


def check_mgh(image: SpatialImage, path: str | os.PathLike[str]) -> None:
    """Raise an error if MGH cannot store an image, before it is converted."""
    if isinstance(image, nib.MGHImage):
        return
    scale = image.header.get_slope_inter() if isinstance(image.header, nib.Nifti1Header) else (None, None)
    if scale not in ((None, None), (1.0, 0.0)):
        raise GetNetError("MGH cannot store the scale and intercept of the source; write NIfTI, or float32", path)
    try:
        nib.MGHImage.header_class().set_data_dtype(image.get_data_dtype())
    except (HeaderDataError, MGHError):
        raise GetNetError(f"MGH cannot hold {image.get_data_dtype()}; write NIfTI, or float32", path) from None
