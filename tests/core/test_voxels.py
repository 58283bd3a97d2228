"""What a correction takes of an image: against float64."""

import numpy as np
import pytest

from getnet_bids.core.averages import MAX_INTENSITY, finite, mean_volume
from getnet_bids.core.voxels import checked, scaled, usable_mask


@pytest.mark.parametrize("dtype", [bool, np.int16, ">i2", np.uint8, np.float64])
def test_numbers_of_any_kind_become_float32(dtype):
    image = np.arange(24).reshape(2, 3, 4).astype(dtype)
    made = checked(image)
    assert made.dtype == np.float32
    assert made.flags.f_contiguous
    np.testing.assert_array_equal(made, image)


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (np.ones((4, 4), complex), "real numbers"),
        (np.array([["a"]]), "real numbers"),
        (np.ones(9), "2, 3 or 4 dimensions"),
        (np.ones((0, 4, 4)), "some voxels"),
        (np.ones((1, 1, 9)), "along two axes"),
    ],
)
def test_what_is_no_image_is_refused(image, why):
    with pytest.raises(ValueError, match=why):
        checked(image)


def test_the_mean_of_a_series_leaves_out_what_is_not_finite():
    rng = np.random.default_rng(3)
    series = rng.normal(100, 20, (5, 6, 7, 4)).astype(np.float32)
    series[0, 0, 0] = [np.nan, 1, 2, np.inf]
    series[1, 1, 1] = np.nan
    truth = series.astype(np.float64)
    truth[~np.isfinite(truth)] = np.nan
    truth[1, 1, 1] = 0
    np.testing.assert_allclose(mean_volume(checked(series)), np.nanmean(truth, 3), rtol=1e-6)


def test_what_is_not_finite_is_0_and_told():
    volume = np.float32([[1, np.nan], [-np.inf, 4]])
    made, there = finite(volume)
    np.testing.assert_array_equal(made, [[1, 0], [0, 4]])
    np.testing.assert_array_equal(there, [[True, False], [False, True]])


@pytest.mark.parametrize("value", [2 * MAX_INTENSITY, -2 * MAX_INTENSITY])
def test_what_would_overflow_is_refused(value):
    with pytest.raises(ValueError, match="too large"):
        finite(np.float32([[1, value], [0, 0]]))


@pytest.mark.parametrize("peak", [1e-38, 1e-3, 1.0, 7e36])
def test_scaled_to_a_maximum_of_1(peak):
    volume = np.asfortranarray(np.float32([[0.25, 1.0], [0.5, -0.5]]) * np.float32(peak))
    made = scaled(volume)
    np.testing.assert_allclose(made, [[0.25, 1.0], [0.5, -0.5]], rtol=1e-6)
    assert made.flags.f_contiguous


def test_nothing_above_0_is_left_as_it_is_and_nothing_overflows():
    np.testing.assert_array_equal(scaled(np.float32([[0, -2], [-3, 0]])), [[0, -2], [-3, 0]])
    made = scaled(np.float32([[1e-30, -1e37], [0, 0]]))
    np.testing.assert_array_equal(made, [[1, 0], [0, 0]])


def test_masks_are_bool_on_the_image():
    np.testing.assert_array_equal(usable_mask([[0, 0.5], [-1, 2]], (2, 2)), [[False, True], [False, True]])
    with pytest.raises(ValueError, match=r"\(2, 2\) is not the image's \(2, 3\)"):
        usable_mask(np.ones((2, 2)), (2, 3))
