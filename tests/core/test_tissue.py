import numpy as np

from getnet_bids.core.tissue import BIN, nearest_peaks


def test_two_classes_are_told_apart():
    truth = np.repeat([0.0, 0.5], 20000)
    observed = truth + np.random.default_rng(0).normal(scale=0.05, size=truth.size)
    peaks = nearest_peaks(observed, np.ones_like(observed))
    assert np.abs(peaks - truth).max() < 0.06
    for level in (0.0, 0.5):
        found = peaks[truth == level]
        assert np.ptp(found) < 2 * BIN


def test_values_without_weight_find_a_peak_but_make_none():
    rng = np.random.default_rng(2)
    values = np.concatenate([rng.normal(0.0, 0.02, 5000), rng.normal(0.05, 0.004, 5000)])
    weights = np.repeat([1.0, 0.0], 5000)
    peaks = nearest_peaks(values, weights)
    assert np.abs(peaks).max() < 0.02


def test_a_peak_lies_where_it_is_between_bins():
    noise = np.random.default_rng(3).normal(scale=0.02, size=100_000)
    for middle in (0.2, 0.2013, 0.2025, 0.2044):
        peaks = nearest_peaks(middle + noise, np.ones_like(noise))
        assert abs(np.median(peaks) - middle) < BIN / 2


def test_wider_smoothing_merges_near_classes():
    values = np.repeat([0.0, 0.08], 5000) + np.random.default_rng(4).normal(scale=0.005, size=10_000)
    apart, merged = (nearest_peaks(values, np.ones_like(values), width) for width in (0.015, 0.06))
    assert np.ptp(apart) > 0.07
    assert np.ptp(merged) < 0.01
