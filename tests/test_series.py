from __future__ import annotations

import tracemalloc

import nibabel as nib
import numpy as np
import pytest

from getnet_bids import images
from getnet_bids.bvals import b0_volumes, bvals_of, read_bvals, volumes_for_field
from getnet_bids.core.averages import mean_volume
from getnet_bids.errors import GetNetError
from getnet_bids.series import divide, mean_image, open_series

AFFINE = np.array([[-3.0, 0, 0, 9], [0, 0, 3.0, -8], [0, -3.0, 0, 7], [0, 0, 0, 1]])


@pytest.fixture
def voxels():
    return np.random.default_rng(3).integers(0, 3000, (7, 6, 5, 4)).astype(np.int16)


def saved(path, voxels, kind=nib.Nifti1Image, dtype=np.int16, slope=None, order="<"):
    image = kind(voxels.astype(np.float32), AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = 2.5
    image = kind(voxels, AFFINE, image.header.as_byteswapped(order))
    image.header.set_data_dtype(np.dtype(dtype).newbyteorder(order))
    if slope:
        image.header.set_slope_inter(slope, 3)
    image.to_filename(path)
    return images.read(path)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize(
    ("dtype", "slope", "order"), [(np.int16, None, "<"), (np.uint8, 0.5, ">"), (np.float64, None, "<")]
)
def test_volumes_are_those_of_the_whole_image(tmp_path, voxels, ending, kind, dtype, slope, order):
    path = tmp_path / f"a{ending}"
    whole = saved(path, voxels % 250, kind, dtype, slope, order)
    with open_series(path) as series:
        assert series.count == 4
        read = list(series.volumes())
    assert np.array_equal(np.stack(read, 3), images.magnitudes(whole))
    mean = mean_image(path, [1, 3])
    assert np.array_equal(mean.get_fdata(), mean_volume(images.magnitudes(whole)[..., [1, 3]]))
    assert np.array_equal(mean.affine, whole.affine)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_divided_series_is_byte_for_byte_the_divided_image(tmp_path, voxels, kind, order):
    image = saved(tmp_path / "a.nii.gz", voxels, kind, order=order)
    comment = nib.nifti1.Nifti1Extension("comment", b"said")
    image.header.extensions.append(comment)
    image.to_filename(tmp_path / "b.nii.gz")
    image = images.read(tmp_path / "b.nii.gz")
    field = np.random.default_rng(1).uniform(0.5, 2, voxels.shape[:3]).astype(np.float32)
    images.write(images.like(image, images.magnitudes(image) / field[..., None]), tmp_path / "whole.nii.gz")
    divide(tmp_path / "b.nii.gz", images.like(image, field), tmp_path / "streamed.nii.gz")
    assert (tmp_path / "streamed.nii.gz").read_bytes() == (tmp_path / "whole.nii.gz").read_bytes()


def test_a_field_that_lies_elsewhere_is_refused(tmp_path, voxels):
    saved(tmp_path / "a.nii.gz", voxels)
    field = nib.Nifti1Image(np.ones(voxels.shape[:3], np.float32), AFFINE + 100 * np.eye(4, k=3))
    with pytest.raises(GetNetError, match=r"a\.nii\.gz: only 0% of it lies within"):
        divide(tmp_path / "a.nii.gz", field, tmp_path / "b.nii.gz")
    assert not (tmp_path / "b.nii.gz").exists()
    finer = nib.Nifti1Image(np.full((14, 12, 10), 2, np.float32), AFFINE @ np.diag([0.5, 0.5, 0.5, 1]))
    divide(tmp_path / "a.nii.gz", finer, tmp_path / "b.nii.gz")
    np.testing.assert_allclose(nib.load(tmp_path / "b.nii.gz").get_fdata() * 2, voxels, rtol=1e-6)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_series_that_is_cut_leaves_nothing(tmp_path, voxels, ending):
    path = tmp_path / f"a{ending}"
    image = saved(path, voxels)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    with pytest.raises(GetNetError, match="truncated"):
        mean_image(path)
    with pytest.raises(GetNetError, match="truncated"):
        divide(path, images.like(image, np.ones(voxels.shape[:3], np.float32)), tmp_path / "b.nii.gz")
    assert not (tmp_path / "b.nii.gz").exists()


def test_memory_does_not_grow_with_the_number_of_volumes(tmp_path):
    def peak(count: int) -> int:
        shape = (24, 24, 16, count)
        image = nib.Nifti1Image(np.broadcast_to(np.int16(7), shape), AFFINE)
        image.to_filename(tmp_path / "long.nii.gz")
        field = nib.Nifti1Image(np.full(shape[:3], 2, np.float32), AFFINE)
        tracemalloc.start()
        mean = mean_image(tmp_path / "long.nii.gz")
        divide(tmp_path / "long.nii.gz", field, tmp_path / "out.nii.gz")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert mean.get_fdata().max() == pytest.approx(7, rel=1e-4)
        return most

    volume = 24 * 24 * 16 * 4
    assert peak(1000) < peak(10) + 4 * volume


@pytest.mark.parametrize("bad", [0, -1, np.nan, np.inf])
def test_a_field_by_which_nothing_can_be_divided_is_refused(tmp_path, voxels, bad):
    saved(tmp_path / "a.nii.gz", voxels)
    field = np.ones(voxels.shape[:3], np.float32)
    field[2, 3, 1] = bad
    with pytest.raises(GetNetError, match=r"a\.nii\.gz: the field is not finite and above 0 everywhere"):
        divide(tmp_path / "a.nii.gz", nib.Nifti1Image(field, AFFINE), tmp_path / "out.nii.gz")
    assert not (tmp_path / "out.nii.gz").exists()


def test_the_volumes_without_diffusion_weighting_are_chosen():
    assert b0_volumes([5, 1000, 50, 51])[0] == [0, 2]
    indices, text = b0_volumes([2000, 995, 1000, 1005, 1200])
    assert indices == [1, 2, 3]
    assert "lowest shell, b = 995 to 1005" in text
    assert volumes_for_field(3, None, "a") == (None, "mean of all 3 volumes")
    with pytest.raises(GetNetError, match="3 volumes and 2 b-values"):
        volumes_for_field(3, [0, 1], "a")


@pytest.mark.parametrize("text", ["", "0 a", "0 -5", "0 nan", "\x00\x01"])
def test_what_is_no_file_of_b_values_is_refused(tmp_path, text):
    (tmp_path / "a.bval").write_text(text)
    with pytest.raises(GetNetError, match="b-values"):
        read_bvals(tmp_path / "a.bval")


@pytest.mark.parametrize("given", [[0, -5], [0, float("nan")], ["0", "a"], [[0, 1000]]])
def test_numbers_that_are_no_b_values_are_refused(given):
    with pytest.raises(GetNetError, match="bvals"):
        bvals_of(given)


def test_b_values_are_read_in_rows_and_columns(tmp_path):
    for text in ("0 1000 2000\n", "0\n1000\n2000\n", "\ufeff0\t1e3 2000"):
        (tmp_path / "a.bval").write_text(text, encoding="utf-8")
        assert read_bvals(tmp_path / "a.bval") == [0, 1000, 2000]
