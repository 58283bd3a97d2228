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


def test_a_mask_of_several_volumes_is_refused(tmp_path, image):
    with pytest.raises(GetNetError, match="has 3 volumes; give a mask of one"):
        read_mask(mask_file(tmp_path, image, data=np.ones((*image.shape, 3), np.uint8)), image)


def test_an_empty_mask_is_refused(tmp_path, image):
    with pytest.raises(GetNetError, match="0 everywhere"):
        read_mask(mask_file(tmp_path, image, data=np.zeros(image.shape, np.uint8)), image)


def test_masks_of_series_and_slices(tmp_path):
    series = nib.Nifti1Image(np.ones((4, 5, 6, 2), np.float32), np.eye(4))
    path = mask_file(tmp_path, series, data=np.ones((4, 5, 6, 1), np.uint8))
    assert read_mask(path, series).shape == (4, 5, 6)
    flat = nib.Nifti1Image(np.ones((4, 5), np.float32), np.eye(4))
    assert read_mask(mask_file(tmp_path, flat, data=np.ones((4, 5, 1), np.uint8)), flat).shape == (4, 5)


def two_spaces(data, sform, qform):
    """Make an image whose headers disagree, as one that was registered to a template has them."""
    image = nib.Nifti1Image(data, sform)
    image.header.set_sform(sform, code="mni")
    image.header.set_qform(qform, code="scanner")
    return image


@pytest.mark.parametrize("of", ["sform", "qform"])
@pytest.mark.parametrize("form", ["sform", "qform", "both"])
def test_a_mask_may_lie_on_either_form_of_an_image(tmp_path, image, of, form):
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
    spaces = {"sform": moved(image.affine, 30), "qform": turn @ image.affine}
    scan = two_spaces(image.get_fdata(dtype=np.float32), spaces["sform"], spaces["qform"])
    mask = nib.Nifti1Image(np.ones(image.shape, np.uint8), spaces[of])
    mask.header.set_sform(spaces[of], code=0 if form == "qform" else "aligned")
    mask.header.set_qform(spaces[of], code=0 if form == "sform" else "aligned")
    mask.to_filename(tmp_path / "mask.nii.gz")
    assert read_mask(tmp_path / "mask.nii.gz", scan).all()
    with pytest.raises(GetNetError, match="voxels off"):
        read_mask(mask_file(tmp_path, image, moved(image.affine, -60)), scan)


@pytest.mark.parametrize("affine", [np.eye(4), np.diag([6.0, 6, 6, 1]), np.diag([-1.0, -1, 1, 1])])
def test_a_mask_that_lost_its_header_is_not_to_be_resampled(tmp_path, image, affine):
    turned = moved(image.affine, 40)
    scan = nib.Nifti1Image(image.get_fdata(dtype=np.float32), turned)
    with pytest.raises(GetNetError, match=r"lost its header, copy the image's.*fslcpgeom.*else resample"):
        read_mask(mask_file(tmp_path, image, affine), scan)
