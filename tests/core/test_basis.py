import numpy as np

from getnet_bids.core.basis import cosines


def test_orthogonal_over_the_domain():
    middles = (np.arange(1000) + 0.5) / 100
    gram = cosines(middles, 0, 10, 8).T @ cosines(middles, 0, 10, 8) / 1000
    np.testing.assert_allclose(gram, np.diag([1] + [0.5] * 7), atol=1e-12)


def test_constant_and_without_kink_beyond_the_ends():
    near = cosines([10 - 1e-4, 10, 10 + 1e-4, 50], 0, 10, 8)
    np.testing.assert_array_equal(near[1], near[3])
    np.testing.assert_allclose(near[0], near[2], atol=1e-7)
