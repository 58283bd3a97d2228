from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from getnet_bids.reports.outliers import MIN_VALUES, OUTLIER_Z, robust_z


def test_as_scipy_has_it():
    values = np.random.default_rng(0).lognormal(0, 0.3, 501)
    logs = np.log(values)
    expected = (logs - np.median(logs)) / stats.median_abs_deviation(logs, scale=0.6745)
    np.testing.assert_allclose(robust_z(list(values)), expected, rtol=1e-9)


def test_half_of_wrong_values_cannot_hide_one_another():
    values = [1.0 + 0.01 * k for k in range(20)] + [5.0] * 9
    assert [abs(z) > OUTLIER_Z for z in robust_z(values)] == [False] * 20 + [True] * 9


@pytest.mark.parametrize("odd", [None, 0.0, -1.0])
def test_what_has_no_logarithm_has_no_z(odd):
    assert robust_z([1.0] * MIN_VALUES + [odd])[-1] is None


def test_few_values_and_values_that_hardly_differ():
    assert set(robust_z([1.0] * (MIN_VALUES - 2) + [100.0])) == {None}
    assert max(abs(z) for z in robust_z([1.0] * 50 + [1.04])) < OUTLIER_Z
