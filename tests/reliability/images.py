"""Images for these tests: an object under a known gain, in any shape, and how headers are spoiled."""

from __future__ import annotations

import struct
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from getnet_bids import Correction

SIDE = 150.0
"""Of the object, mm."""


def grid(shape: tuple[int, ...]) -> list[NDArray[np.float64]]:
    """Give the coordinates of voxels along each axis, from -1 to 1 over the volume."""
    return list(np.ix_(*[(np.arange(n) + 0.5) / n * 2 - 1 for n in shape]))


def gain(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Give a smooth field along all axes."""
    x, y, z = grid((*shape, 1, 1)[:3])
    return np.exp(0.3 * x - 0.25 * y + 0.2 * x * z + 0.2 * z).reshape(shape)


def scan(shape: tuple[int, ...], noise: float = 8.0) -> NDArray[np.float32]:
    """Give an ellipsoid of two tissues under `gain`, in weak noise; an axis of one voxel goes through its middle."""
    radius = np.sqrt(sum(x**2 for x in grid((*shape, 1, 1)[:3]))).reshape(shape)
    signal = np.where(radius < 0.9, np.where(radius < 0.5, 900, 600), 0) * gain(shape)
    rng = np.random.default_rng(3)
    return np.hypot(signal + rng.normal(0, noise, shape), rng.normal(0, noise, shape)).astype(np.float32)


def affine(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Give an affine of equal voxels with which the longest side is `SIDE`."""
    return np.diag([*[SIDE / max(shape[:3])] * 3, 1.0])


def nifti(data: NDArray, matrix: NDArray | None = None, **header: object) -> nib.Nifti1Image:
    """Make an image, of any type that NIfTI has."""
    return nib.Nifti1Image(data, affine(data.shape) if matrix is None else matrix, dtype=data.dtype, **header)


def edited(image: nib.Nifti1Image, *edits: tuple[int, str, float]) -> bytes:
    """Give an image's bytes with numbers put into its header: offset, type, value."""
    data = bytearray(image.to_bytes())
    for offset, kind, value in edits:
        struct.pack_into(f"<{kind}", data, offset, value)
    return bytes(data)


def error_of(field: NDArray, truth: NDArray, where: NDArray[np.bool_]) -> float:
    """Standard deviation of the logarithm of a field over the truth."""
    return float(np.log(field[where] / truth[where]).std())


def check(path: Path, result: Correction) -> None:
    """Assert what holds for every correction, against the file as nibabel reads it."""
    source = nib.load(path)
    given = source.get_fdata().reshape(source.shape[:4])
    field = np.asarray(result.field.dataobj, np.float64)
    corrected = np.asarray(result.image.dataobj, np.float64).reshape(given.shape)
    assert result.image.shape == source.shape
    assert field.shape == result.foreground.shape == given.shape[:3]
    assert np.isfinite(field).all()
    assert (field > 0).all()
    assert abs(np.log(field[result.foreground]).mean()) < 1e-4
    product = corrected * (field if given.ndim < 4 else field[..., None])
    np.testing.assert_allclose(product, given, rtol=2e-6, atol=1e-40)
    np.testing.assert_array_equal(np.signbit(corrected)[given != 0], np.signbit(given)[given != 0])
    np.testing.assert_array_equal(result.image.affine, source.affine)
