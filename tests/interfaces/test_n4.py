from __future__ import annotations

import os
import shutil
import sys

import nibabel as nib
import numpy as np
import pytest

from getnet_bids.interfaces import N4Correction
from tests.datasets import data

pytestmark = pytest.mark.usefixtures("antspyx")
QUICK = {"shrink_factor": 2, "n_iterations": [10, 5], "convergence_threshold": 1e-4}


def by_antspyx(path, **kwargs):
    """Return antspyx's own result, straight from the file."""
    import ants

    image = ants.image_read(str(path))
    return ants.n4_bias_field_correction(
        image, shrink_factor=2, convergence={"iters": [10, 5], "tol": 1e-4}, **kwargs
    ).numpy()


def test_same_as_antspyx(folder, scan):
    outputs = N4Correction(input_image=str(scan), save_bias=True, bspline_fitting_distance=100.0, **QUICK).run().outputs
    np.testing.assert_array_equal(data(outputs.output_image), by_antspyx(scan, spline_param=100))
    np.testing.assert_array_equal(data(outputs.bias_image), by_antspyx(scan, spline_param=100, return_bias_field=True))
    assert 0 < outputs.seconds < 60
    assert outputs.device == f"cpu ({os.environ['ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS']} threads)"
    assert outputs.output_image == str(folder / "sub-01_T1w_corrected.nii.gz")
    assert int(nib.load(outputs.output_image).header["sform_code"]) == 4


def test_mask_weight_and_rescaling_are_those_of_antspyx(folder, scan, mask):
    import ants

    outputs = (
        N4Correction(
            input_image=str(scan), mask_image=str(mask), weight_image=str(mask), rescale_intensities=True, **QUICK
        )
        .run()
        .outputs
    )
    inside = ants.image_read(str(mask))
    expected = by_antspyx(scan, mask=inside, weight_mask=inside, rescale_intensities=True)
    np.testing.assert_allclose(data(outputs.output_image), expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("ndim", [2, 3, 4])
def test_other_dimensions(folder, tmp_path, image, ndim):
    values = image.get_fdata().astype(np.float32)
    values = {2: values[:, :, 16], 3: values[:, :, 16:17], 4: np.stack([values, values], 3)}[ndim]
    nib.Nifti1Image(values, image.affine).to_filename(tmp_path / "a.nii.gz")
    outputs = N4Correction(input_image=str(tmp_path / "a.nii.gz"), save_bias=True, **QUICK).run().outputs
    corrected, field = data(outputs.output_image), data(outputs.bias_image)
    assert corrected.shape == values.shape
    assert field.shape == values.shape[:3]
    np.testing.assert_allclose(corrected * (field if ndim < 4 else field[..., None]), values, rtol=1e-5, atol=1e-3)


def test_settings_that_antspyx_has_not_are_refused(folder, scan):
    for setting in ({"bspline_fitting_distance": 20.5}, {"histogram_sharpening": (0.2, 0.01, 200)}):
        with pytest.raises(ValueError, match="backend to 'ants'"):
            N4Correction(input_image=str(scan), **setting).run()
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(shutil.which("N4BiasFieldCorrection") is not None, reason="ANTs is on the PATH")
def test_without_the_binary_the_error_says_what_to_do(folder, scan):
    with pytest.raises(FileNotFoundError, match="install ANTs"):
        N4Correction(input_image=str(scan), backend="ants").run()


@pytest.fixture
def binary(tmp_path, monkeypatch):
    """Put an N4BiasFieldCorrection on the PATH that runs the command line through ANTs' code in antspyx."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "N4BiasFieldCorrection"
    script.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        "from ants.internal import get_lib_fn\n"
        'sys.exit(get_lib_fn("N4BiasFieldCorrection")(sys.argv[1:]))\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_the_binary_agrees_with_antspyx(folder, scan, mask, binary):
    settings = {**QUICK, "bspline_fitting_distance": 100.0, "mask_image": str(mask)}
    fields = []
    for backend in ("antspyx", "ants"):
        outputs = N4Correction(input_image=str(scan), save_bias=True, backend=backend, **settings).run().outputs
        fields.append(np.log(data(outputs.bias_image)[10:20, 10:20, 10:20]))
    assert fields[0].std() > 0.01
    np.testing.assert_allclose(fields[0], fields[1], atol=1e-4)
