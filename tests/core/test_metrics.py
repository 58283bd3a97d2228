import numpy as np
import pytest

from getnet_bids.core import metrics


def test_relative_mae_by_hand():
    original = np.array([1.0, 2.0, 3.0, 100.0])
    corrected = np.array([1.5, 2.0, 2.5, 0.0])
    where = np.array([1, 1, 1, 0])
    assert metrics.relative_mae(corrected, original, where, scale="none") == pytest.approx(1 / 6)
    scale = (1.5 + 4 + 7.5) / (1.5**2 + 4 + 2.5**2)
    by_hand = (abs(1.5 * scale - 1) + abs(2 * scale - 2) + abs(2.5 * scale - 3)) / 6
    assert metrics.relative_mae(corrected, original, where) == pytest.approx(by_hand)


def test_cv_and_cjv_by_hand():
    image = np.array([1.0, 3.0, 10.0, 14.0])
    gray, white = np.array([1, 1, 0, 0]), np.array([0, 0, 1, 1])
    assert metrics.cv(image, white) == pytest.approx(2 / 12)
    assert metrics.cjv(image, gray, white) == pytest.approx((1 + 2) / 10)


def test_float32_input_is_summed_in_float64():
    image = np.full(20_000_000, 16777.217, np.float32)
    assert metrics.cv(image) < 1e-9


def test_field_error_is_free_of_scale_and_slope_shows_shrinkage():
    truth = np.exp(np.random.default_rng(0).normal(size=1000))
    assert metrics.field_error(7 * truth, truth) == pytest.approx(0, abs=1e-12)
    assert metrics.slope(truth**0.8, truth) == pytest.approx(0.8)


def test_empty_region_and_unknown_scale_are_refused():
    with pytest.raises(ValueError, match="empty"):
        metrics.cv(np.ones(3), np.zeros(3))
    with pytest.raises(ValueError, match="'best' or 'none'"):
        metrics.relative_mae(np.ones(3), np.ones(3), scale="median")
