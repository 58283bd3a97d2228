from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager

import nibabel as nib
import numpy as np
import pytest
import torch

import getnet_bids
from getnet_bids.errors import GetNetError


def check(image, result):
    """Assert what holds for every correction."""
    given = np.asanyarray(image.dataobj, dtype=np.float64)
    corrected = np.asanyarray(result.image.dataobj, dtype=np.float64)
    field = np.asanyarray(result.field.dataobj, dtype=np.float64)
    assert corrected.shape == given.shape
    assert field.shape == result.foreground.shape == given.shape[:3]
    assert np.isfinite(field).all()
    assert (field > 0).all()
    assert np.log(field[result.foreground]).mean() == pytest.approx(0, abs=1e-4)
    spread = field if given.ndim < 4 else field[..., None]
    np.testing.assert_allclose(corrected * spread, given, rtol=1e-5, atol=1e-6)
    for made in (result.image, result.field):
        np.testing.assert_array_equal(made.affine, image.affine)
        assert made.header["qform_code"] == image.header["qform_code"]
        assert made.header["sform_code"] == image.header["sform_code"]
        assert made.get_data_dtype() == np.float32


def test_a_volume_in_memory(image):
    check(image, getnet_bids.correct(image, device="cpu"))


def test_paths_and_images_give_the_same(tmp_path, image):
    image.to_filename(tmp_path / "a.nii.gz")
    from_path = getnet_bids.correct(tmp_path / "a.nii.gz", device="cpu")
    from_image = getnet_bids.correct(image, device="cpu")
    np.testing.assert_array_equal(from_path.image.dataobj, from_image.image.dataobj)
    np.testing.assert_array_equal(from_path.field.dataobj, from_image.field.dataobj)


def test_a_series_has_one_field(image):
    data = np.stack([image.get_fdata(), 2 * image.get_fdata()], 3).astype(np.float32)
    series = nib.Nifti1Image(data, image.affine, image.header)
    result = getnet_bids.correct(series, device="cpu")
    check(series, result)
    np.testing.assert_allclose(result.image.dataobj[..., 1], 2 * result.image.dataobj[..., 0], rtol=1e-6)


@pytest.mark.parametrize("keep_axis", [True, False])
def test_a_slice(image, keep_axis):
    data = image.get_fdata()[:, :, 16:17] if keep_axis else image.get_fdata()[:, :, 16]
    flat = nib.Nifti1Image(data.astype(np.float32), image.affine)
    check(flat, getnet_bids.correct(flat, device="cpu"))


def test_negative_values_keep_their_sign(image):
    data = image.get_fdata().astype(np.float32) - 30
    negative = nib.Nifti1Image(data, image.affine)
    result = getnet_bids.correct(negative, device="cpu")
    check(negative, result)
    np.testing.assert_array_equal(np.sign(result.image.dataobj), np.sign(data))


def test_a_mask_bounds_the_foreground(image):
    inside = np.zeros(image.shape, np.uint8)
    inside[5:25, 5:25, 5:25] = 1
    mask = nib.Nifti1Image(inside, image.affine)
    result = getnet_bids.correct(image, mask=mask, device="cpu", options=getnet_bids.Options(refine=False))
    check(image, result)
    assert not result.foreground[inside == 0].any()


def test_a_mask_of_any_type_bounds_an_array(image):
    array, mask = image.get_fdata(dtype=np.float32), np.zeros(image.shape, np.int64)
    mask[8:24, 8:24, 8:24] = 1
    given = nib.Nifti1Image(mask, image.affine, dtype=np.int64)
    result, alone = (getnet_bids.correct(array, voxel_size=6, mask=of, device="cpu") for of in (given, mask))
    np.testing.assert_array_equal(result.field, alone.field)
    assert not result.foreground[:8].any()


def test_options_reach_the_core(image):
    plain = getnet_bids.correct(image, device="cpu")
    smooth = getnet_bids.correct(image, device="cpu", options=getnet_bids.Options(smoothness=200.0))
    assert np.abs(np.asanyarray(plain.field.dataobj) - smooth.field.dataobj).max() > 1e-3


@contextmanager
def torch_told(tell, value, before):
    tell(value)
    try:
        yield
    finally:
        tell(before)


@pytest.mark.parametrize(
    "around",
    [
        lambda: torch_told(torch.set_default_dtype, torch.float64, torch.float32),
        lambda: torch_told(torch.set_default_device, "meta", None),
        lambda: torch.device("meta"),
        lambda: torch.autocast("cpu", torch.bfloat16),
        torch.inference_mode,
        lambda: np.errstate(all="raise"),
    ],
    ids=["default_dtype", "default_device", "device", "autocast", "inference_mode", "errstate"],
)
def test_what_the_program_around_has_told_torch_and_numpy_changes_nothing(image, around):
    options = getnet_bids.Options(precision="float32")
    plain = getnet_bids.correct(image, device="cpu", options=options)
    with around():
        told = getnet_bids.correct(image, device=torch.device("cpu"), options=options)
    np.testing.assert_array_equal(told.image.dataobj, plain.image.dataobj)
    np.testing.assert_array_equal(told.field.dataobj, plain.field.dataobj)


def test_results_are_shown_on_a_line_and_compared_as_objects(image):
    result = getnet_bids.correct(image, device="cpu", options=getnet_bids.Options(refine=False))
    assert result == result
    assert result in {result}
    shown = "field_sd_median", "field_sd_p95", "known_fields_found"
    numbers = ", ".join(rf"{name}=\S+" for name in shown)
    assert re.fullmatch(rf"Correction\(verdict='corrected', reasons=\(\), {numbers}\)", repr(result))


def test_all_public_names_are_listed_and_documented():
    assert set(getnet_bids.__all__) <= set(dir(getnet_bids))
    for name in getnet_bids.__all__:
        assert getattr(getnet_bids, name).__doc__


@pytest.mark.parametrize(
    "wrong",
    [{"smoothness": -3}, {"smoothness": "70"}, {"precision": "half"}, {"batch_size": 0}, {"batch_size": 8.5}],
)
def test_wrong_options_are_refused(wrong):
    with pytest.raises(GetNetError, match=next(iter(wrong))):
        getnet_bids.Options(**wrong)


def test_unusable_input_is_refused(tmp_path, image):
    with pytest.raises(ValueError, match="signal"):
        getnet_bids.correct(nib.Nifti1Image(np.zeros((20, 20, 20), np.float32), np.eye(4)))
    with pytest.raises(FileNotFoundError):
        getnet_bids.correct(tmp_path / "absent.nii.gz")
    with pytest.raises(ValueError, match="device"):
        getnet_bids.correct(image, device="abacus")
    (tmp_path / "w.safetensors").write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"w\.safetensors"):
        getnet_bids.correct(image, weights=tmp_path / "w.safetensors")
    with pytest.raises(GetNetError, match="is a folder"):
        getnet_bids.correct(image, weights=tmp_path)
    with pytest.raises(GetNetError, match=r"options must be getnet_bids\.Options"):
        getnet_bids.correct(image, options={"refine": False})
    with pytest.raises(GetNetError, match="complex"):
        getnet_bids.correct(nib.Nifti1Image(np.zeros((4, 4, 4), np.complex64), np.eye(4)))


@pytest.mark.parametrize(
    "code",
    [
        "import getnet_bids",
        "import getnet_bids.cli.app, getnet_bids.cli.one",
        "from getnet_bids.cli.parser import app_parser; app_parser().format_help()",
        "from getnet_bids.cli.parser import image_parser; image_parser().format_help()",
    ],
)
def test_importing_loads_nothing_heavy(code):
    heavy = {"torch", "nipype", "pandas", "ants", "nibabel", "scipy", "numpy"}
    script = f"import sys; {code}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
