"""Images for these tests, how headers are spoiled, and what holds for every correction."""

from __future__ import annotations

import struct
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from getnet_bids import Correction
from tests.phantoms.ellipsoid import scan

SIDE = 150.0
"""Of the object, mm."""

FLAT = (40, 36, 1)
SOLID, WIDE = (28, 24, 26), (40, 48, 44)
DIM, TYPE, BITS, PIXDIM, OFFSET, SLOPE, INTER = 40, 70, 72, 76, 108, 112, 116
QFORM, SFORM, QUATERN, QOFFSET, SROW, MAGIC = 252, 254, 256, 268, 280, 344
BIG = 2**15 - 1


def stored() -> nib.Nifti1Image:
    """Return a slice as int16."""
    return nifti(scan(FLAT).astype(np.int16))


def affine(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return an affine of equal voxels with which the longest side is `SIDE`."""
    return np.diag([*[SIDE / max(shape[:3])] * 3, 1.0])


def nifti(data: NDArray, matrix: NDArray | None = None, **header: object) -> nib.Nifti1Image:
    """Make an image, of any type that NIfTI has."""
    return nib.Nifti1Image(data, affine(data.shape) if matrix is None else matrix, dtype=data.dtype, **header)


def edited(image: nib.Nifti1Image, *edits: tuple[int, str, float]) -> bytes:
    """Return an image's bytes with numbers put into its header: offset, type, value."""
    data = bytearray(image.to_bytes())
    for offset, kind, value in edits:
        struct.pack_into(f"<{kind}", data, offset, value)
    return bytes(data)


def error_of(field: NDArray, truth: NDArray, where: NDArray[np.bool_]) -> float:
    """Standard deviation of the logarithm of a field over the truth."""
    return float(np.log(field[where] / truth[where]).std())


def check(source: Path | SpatialImage, result: Correction, rtol: float = 2e-6, atol: float = 1e-40) -> None:
    """Assert what holds for every correction, against the image, or its file as nibabel reads it."""
    source = nib.load(source) if isinstance(source, Path) else source
    given = source.get_fdata().reshape(source.shape[:4])
    field = np.asarray(result.field.dataobj, np.float64)
    corrected = np.asarray(result.image.dataobj, np.float64).reshape(given.shape)
    assert result.image.shape == source.shape
    assert field.shape == result.foreground.shape == given.shape[:3]
    assert np.isfinite(field).all()
    assert (field > 0).all()
    assert abs(np.log(field[result.foreground]).mean()) < 1e-4
    product = corrected * (field if given.ndim < 4 else field[..., None])
    np.testing.assert_allclose(product, given, rtol=rtol, atol=atol)
    np.testing.assert_array_equal(np.signbit(corrected)[given != 0], np.signbit(given)[given != 0])
    np.testing.assert_array_equal(result.image.affine, source.affine)
