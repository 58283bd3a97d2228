"""What a file that is neither NIfTI nor MGH is, and what to do with it."""

from __future__ import annotations

import os

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
"""Bytes that tell a format, where they stand, and what is said."""
PAIR = "convert the pair to one .nii.gz file, as with `nib-convert x.hdr x.nii.gz`"
SIDES = "and look at left and right, which Analyze does not tell"
HEADER, MAGIC = 348, 344
"""Bytes of a header of NIfTI-1 and Analyze 7.5, and where NIfTI-1 has its magic."""
LONGEST = 1024
"""A header with its extensions; a longer file without a magic is a NIfTI image that is damaged."""


def foreign(data: bytes, name: str | os.PathLike[str] = "") -> str | None:
    """Return what a file is that this package does not read, and what to do; None if it may be NIfTI or MGH.

    Parameters
    ----------
    data : bytes
        All of the file.
    name : str or path
        Its extension tells the voxels of a pair.

    Returns
    -------
    str or None

    Examples
    --------
    >>> foreign(b"NRRD0004")
    'an NRRD image; convert it to NIfTI, with Slicer or SimpleITK'
    >>> foreign(b"<!DOCTYPE html><html>")
    'a web page, not an image; fetch the file itself'
    """
    for signature, place, text in SIGNATURES:
        if data[place : place + len(signature)] == signature:
            return text
    if data[:512].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "a web page, not an image; fetch the file itself"
    if any(int.from_bytes(data[:4], order) == HEADER for order in ("little", "big")):
        magic = data[MAGIC:HEADER]
        if not HEADER <= len(data) <= LONGEST:
            return None
        if magic == b"ni1\x00":
            return f"the header of a NIfTI pair (.hdr and .img); {PAIR}"
        if magic != b"n+1\x00" and (len(data) == HEADER or not any(magic)):
            return f"the header of an Analyze pair (.hdr and .img); {PAIR}, {SIDES}"
        return None
    if os.fspath(name).lower().endswith((".img", ".img.gz")):
        return f"the voxels of an Analyze or NIfTI pair (.hdr and .img); {PAIR}, {SIDES}"
    return None
