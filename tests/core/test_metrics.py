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


def waves(half: float) -> np.ndarray:
    """Cosines of a half wave in mm, on voxels of 4 x 2 x 5 mm that span 200 mm."""
    x, y, z = np.ix_(*[(np.arange(n) + 0.5) * v for n, v in ((50, 4), (100, 2), (40, 5))])
    return np.cos(np.pi * x / half) * np.cos(np.pi * y / 200) * np.ones_like(z)


def test_roughness_is_the_share_of_energy_above_the_limit():
    voxel = (4.0, 2.0, 5.0)
    smooth, rough = waves(200.0), waves(20.0)
    assert metrics.roughness(np.exp(smooth), voxel, 70.0) < 0.005
    assert metrics.roughness(np.exp(waves(100.0)), voxel, 70.0) < 0.03
    assert metrics.roughness(np.exp(waves(50.0)), voxel, 70.0) > 0.5
    assert metrics.roughness(np.exp(rough), voxel, 70.0) > 0.95
    # Both have mean 0 and the same energy, and are orthogonal.
    assert metrics.roughness(np.exp(0.3 * smooth + 0.1 * rough), voxel, 70.0) == pytest.approx(0.1, rel=0.05)
    ramp = np.exp(np.linspace(-1, 1, 50)[:, None, None] * np.ones((1, 100, 40)))
    assert metrics.roughness(ramp, voxel, 70.0) < 1e-3
    assert metrics.roughness(7 * np.ones((9, 9)), (30.0, 30.0), 70.0) == 0


def test_roughness_shows_organs_and_keeps_to_where():
    x, y = np.ix_(np.linspace(-1, 1, 200), np.linspace(-1, 1, 200))
    disc = x**2 + y**2 < 1
    field = np.where(disc, np.exp(0.2 * x), 1e9 * (1 + np.abs(y)))
    assert metrics.roughness(field, (1.0, 1.0), 70.0, disc) < 1e-3
    organ = np.where((x - 0.3) ** 2 + y**2 < 0.02, 1.2, 1.0)
    assert metrics.roughness(field * organ, (1.0, 1.0), 70.0, disc) > 0.03
