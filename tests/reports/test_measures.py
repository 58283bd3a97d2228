from __future__ import annotations

import numpy as np
import pytest

from getnet_bids.columns import MEASURES
from getnet_bids.core import metrics
from getnet_bids.reports.measures import BINS, MAX_SAMPLE, MIN_SAMPLE, Sample, measure, remarks, sample


def image(shape, rng):
    field = np.exp(rng.normal(0, 0.2, shape)).astype(np.float32)
    after = rng.gamma(9, 50, shape).astype(np.float32)
    foreground = rng.random(shape) < 0.5
    return after * field, after, field, foreground


def test_a_small_image_is_measured_whole():
    before, after, field, foreground = image((30, 20, 10), np.random.default_rng(1))
    found = measure(sample(before, after, field, foreground), 12.0)
    inside = field[foreground]
    assert found["FieldMinimum"] == pytest.approx(inside.min(), rel=1e-5)
    assert found["FieldMaximum"] == pytest.approx(inside.max(), rel=1e-5)
    assert found["FieldP95"] / found["FieldP5"] == pytest.approx(metrics.field_range(field, foreground), rel=1e-4)
    assert found["FieldCV"] == pytest.approx(metrics.cv(field, foreground), rel=1e-5)
    assert found["CVBefore"] == pytest.approx(metrics.cv(before, foreground), rel=1e-5)
    assert found["CVAfter"] == pytest.approx(metrics.cv(after, foreground), rel=1e-5)
    assert found["MedianBefore"] == pytest.approx(np.median(before[foreground]), rel=1e-5)
    counts = found["Histogram"]
    assert len(counts["Before"]) == len(counts["After"]) == BINS
    inner = (before[foreground] >= counts["From"]) & (before[foreground] <= counts["To"])
    assert abs(sum(counts["Before"]) - inner.sum()) <= 2  # the ends are rounded


def test_a_large_image_is_sampled_evenly():
    rng = np.random.default_rng(2)
    before, after, field, foreground = image((120, 110, 100), rng)
    taken = sample(before, after, field, foreground)
    assert len(taken.field) <= MAX_SAMPLE
    found = measure(taken, 1.0)
    assert found["CVBefore"] == pytest.approx(metrics.cv(before, foreground), rel=0.02)
    assert found["FieldP99"] == pytest.approx(np.percentile(field[foreground], 99), rel=0.02)


def test_a_small_object_in_a_large_image_is_not_missed():
    shape = (200, 200, 200)
    foreground = np.zeros(shape, bool)
    foreground[101:115, 101:115, 101:115] = True
    ones = np.ones(shape, np.float32)
    assert len(sample(ones, ones, ones, foreground).field) == 14**3 < MIN_SAMPLE


def test_a_series_gives_its_mean():
    before, after, field, foreground = image((9, 8, 7), np.random.default_rng(3))
    series = np.stack([before, 3 * before], axis=-1)
    taken = sample(series, np.stack([after, 3 * after], axis=-1), field, foreground)
    np.testing.assert_allclose(taken.before, 2 * before[foreground], rtol=1e-6)


def test_every_measure_is_described():
    assert list(measure(Sample(*np.ones((3, 5))), 1.0)) == [column.name for column in MEASURES]


def test_a_constant_image():
    ones = np.ones(500)
    found = measure(Sample(700 * ones, 700 * ones, ones), 1.0)
    assert found["CVBefore"] == 0
    assert found["Histogram"]["From"] < found["Histogram"]["To"]
    assert remarks(found, {}) == []


def test_remarks():
    usual = {"FieldP1": 0.7, "FieldP99": 1.4, "CVBefore": 0.4, "CVAfter": 0.3}
    assert remarks(usual, {"ImageType": ["ORIGINAL", "NORMAL"]}) == []
    assert "normalised" in remarks(usual, {"ImageType": ["ORIGINAL", "NORM"]})[0]
    assert "extreme" in remarks({**usual, "FieldP1": 0.06}, {})[0]
    assert remarks({**usual, "FieldP1": 0.08}, {}) == []
    assert "more after" in remarks({**usual, "CVAfter": 0.6}, {})[0]
