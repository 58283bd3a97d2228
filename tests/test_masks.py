from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from getnet_bids.errors import GetNetError
from getnet_bids.masks import read_mask


def mask_file(folder, image, affine=None, data=None):
    data = np.ones(image.shape, np.uint8) if data is None else data
    nib.Nifti1Image(data, image.affine if affine is None else affine).to_filename(folder / "mask.nii.gz")
    return folder / "mask.nii.gz"


def moved(affine, mm):
    affine = affine.copy()
    affine[0, 3] += mm
    return affine


def test_above_zero_is_inside(tmp_path, image):
    data = np.random.default_rng(0).integers(0, 3, image.shape, dtype=np.uint8)
    np.testing.assert_array_equal(read_mask(mask_file(tmp_path, image, data=data), image), data > 0)


@pytest.mark.parametrize("mm", [1e-4, 0.5, 2.9])  # of 6
def test_a_small_mismatch_is_accepted(tmp_path, image, mm):
    assert read_mask(mask_file(tmp_path, image, moved(image.affine, mm)), image).all()


def test_a_small_rotation_counts_at_the_corners(tmp_path, image):
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    with pytest.raises(GetNetError, match="voxels off"):
        read_mask(mask_file(tmp_path, image, turn @ image.affine), image)


def test_another_space_is_refused(tmp_path, image):
    with pytest.raises(GetNetError, match=r"up to 0\.6 voxels off.*resample"):
        read_mask(mask_file(tmp_path, image, moved(image.affine, 3.5)), image)


def test_another_grid_is_refused(tmp_path, image):
    with pytest.raises(GetNetError, match="shape"):
        read_mask(mask_file(tmp_path, image, data=np.ones((5, 5, 5), np.uint8)), image)


def test_an_empty_mask_is_refused(tmp_path, image):
    with pytest.raises(GetNetError, match="0 everywhere"):
        read_mask(mask_file(tmp_path, image, data=np.zeros(image.shape, np.uint8)), image)


def test_masks_of_series_and_slices(tmp_path):
    series = nib.Nifti1Image(np.ones((4, 5, 6, 2), np.float32), np.eye(4))
    path = mask_file(tmp_path, series, data=np.ones((4, 5, 6, 1), np.uint8))
    assert read_mask(path, series).shape == (4, 5, 6)
    flat = nib.Nifti1Image(np.ones((4, 5), np.float32), np.eye(4))
    assert read_mask(mask_file(tmp_path, flat, data=np.ones((4, 5, 1), np.uint8)), flat).shape == (4, 5)
