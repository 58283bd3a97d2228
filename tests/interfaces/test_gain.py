from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from getnet_bids.interfaces import SimulateGain
from getnet_bids.interfaces.fields import gain_field
from tests.datasets import data


def test_image_times_known_field_that_spans_the_range(folder, scan, mask):
    outputs = SimulateGain(input_image=str(scan), mask_image=str(mask), percent=30.0, seed=3).run().outputs
    assert outputs.output_image == str(folder / "sub-01_T1w_gain30.nii.gz")
    field = data(outputs.bias_image)
    np.testing.assert_allclose(data(outputs.output_image), data(scan) * field, rtol=1e-5)
    inside = data(mask) > 0
    assert field[inside].min() == pytest.approx(0.7)
    assert field[inside].max() == pytest.approx(1.3)
    assert field.min() >= 0.7 - 1e-6
    assert field.max() <= 1.3 + 1e-6


def test_the_seed_decides(folder, scan):
    fields = []
    for seed in (1, 1, 2):
        outputs = SimulateGain(input_image=str(scan), seed=seed).run().outputs
        fields.append(data(outputs.bias_image))
    np.testing.assert_array_equal(fields[0], fields[1])
    assert np.abs(fields[0] - fields[2]).max() > 0.05


def test_a_length_in_mm_means_the_same_on_any_grid():
    fine = gain_field(np.ones((60, 60, 60), bool), (2.0, 2.0, 2.0), 30, 5, 40.0)
    coarse = gain_field(np.ones((60, 60, 20), bool), (2.0, 2.0, 6.0), 30, 5, 40.0)
    np.testing.assert_allclose(fine[:, :, 1::3], coarse, atol=0.02)


def test_shorter_is_rougher_and_nothing_percent_is_flat():
    inside = np.ones((40, 40), bool)
    steps = [np.abs(np.diff(gain_field(inside, (5.0, 5.0), 30, 0, length))).mean() for length in (20.0, 80.0)]
    assert steps[0] > 1.5 * steps[1]
    np.testing.assert_array_equal(gain_field(inside, (5.0, 5.0), 0, 0), 1)


@pytest.mark.parametrize("ndim", [2, 4])
def test_slices_and_series(folder, tmp_path, image, ndim):
    values = image.get_fdata().astype(np.float32)
    values = values[:, :, 16] if ndim == 2 else np.stack([values, values], 3)
    nib.Nifti1Image(values, image.affine).to_filename(tmp_path / "a.nii")
    outputs = SimulateGain(input_image=str(tmp_path / "a.nii")).run().outputs
    assert data(outputs.output_image).shape == values.shape
    assert data(outputs.bias_image).shape == values.shape[:3]
