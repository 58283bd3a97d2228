"""What must hold of an image that is read, and of one that is corrected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from nibabel.spatialimages import SpatialImage

from getnet_bids import Correction
from getnet_bids.core.correction import correct_volume
from getnet_bids.core.network import GetNet
from getnet_bids.images import decode, like, magnitudes, read, voxel_size, write

LARGEST = float(np.finfo(np.float32).max)


def read_and_check(data: bytes) -> SpatialImage:
    """Read a file; what is written of it must be read as the same again."""
    image = decode(data, "fuzz")
    voxels = magnitudes(image)
    try:
        again = decode(like(image, voxels).to_bytes(), "fuzz, written")
    except ValueError as error:
        raise AssertionError(f"what was written cannot be read: {error}") from error
    np.testing.assert_array_equal(magnitudes(again), voxels)
    np.testing.assert_array_equal(again.affine, image.affine)
    return image


def correct_and_check(image: SpatialImage, network: GetNet, folder: Path) -> None:
    """Correct an image and write it in both formats."""
    voxels = magnitudes(image)
    volume = correct_volume(voxels.reshape(voxels.shape[:4]), voxel_size(image, "fuzz"), network)
    corrected = like(image, volume.corrected.reshape(image.shape))
    check(image, Correction(corrected, like(image, volume.field), volume.foreground))
    for name in ("out.nii.gz", "out.mgz"):
        try:
            write(corrected, folder / name)
            written = read(folder / name)
        except ValueError as error:
            raise AssertionError(f"{name} cannot be written or read: {error}") from error
        np.testing.assert_array_equal(magnitudes(written).ravel(), magnitudes(corrected).ravel())
        same = np.allclose(written.affine, image.affine, rtol=1e-3, atol=1e-3 * max(1, np.abs(image.affine).max()))
        assert same, f"{name} has another affine"


def check(image: SpatialImage, result: Correction) -> None:
    """Assert what holds for every correction: the field is sane, and corrected times field is the image."""
    given = np.asarray(image.dataobj, np.float64).reshape(image.shape[:4])
    field = np.asarray(result.field.dataobj, np.float64)
    corrected = np.asarray(result.image.dataobj, np.float64).reshape(given.shape)
    assert np.isfinite(field).all(), "the field is not finite"
    assert (field > 0).all(), "the field is not positive"
    assert abs(np.log(field[result.foreground]).mean()) < 1e-4, "its geometric mean is not 1"
    product = corrected * (field if given.ndim < 4 else field[..., None])
    np.testing.assert_allclose(product, given, rtol=1e-5, atol=1e-37)
