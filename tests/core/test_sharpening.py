import numpy as np
import torch

from getnet_bids.core.sharpening import Sharpening

CPU = torch.device("cpu")


def sharpened(values, width):
    low, high = values.min() - 0.5, values.max() + 0.5
    observed = torch.from_numpy(values)
    return values + Sharpening(low, high, width, CPU)(observed, torch.ones_like(observed)).numpy()


def test_separates_two_classes():
    truth = np.repeat([0.0, 0.5], 20000)
    observed = truth + np.random.default_rng(0).normal(scale=0.05, size=truth.size)
    assert np.abs(sharpened(observed, 0.05 * 2.355) - truth).mean() < 0.4 * np.abs(observed - truth).mean()


def test_gives_the_expectation_of_a_gaussian_s_true_value():
    """Of a Gaussian of variance t blurred by one of variance b, the expected true value is m + t / (t + b) (v - m)."""
    rng, width = np.random.default_rng(1), 0.1
    blur = (width / 2.3548) ** 2
    observed = 1.0 + rng.normal(scale=np.sqrt(0.2**2 + blur), size=200_000)
    expected = 1.0 + 0.2**2 / (0.2**2 + blur) * (observed - 1.0)
    near = np.abs(observed - 1.0) < 0.3
    np.testing.assert_allclose(sharpened(observed, width)[near], expected[near], atol=0.02)
    moved = np.polyfit(observed[near], sharpened(observed, width)[near], 1)[0]
    assert abs(moved - 0.2**2 / (0.2**2 + blur)) < 0.02


def test_weights_count():
    """Values of no weight are moved, but move no others."""
    rng = np.random.default_rng(2)
    values = np.concatenate([rng.normal(0.0, 0.03, 5000), rng.normal(0.1, 0.03, 5000)])
    weight = torch.from_numpy(np.repeat([1.0, 0.0], 5000))
    both = Sharpening(-1.0, 1.0, 0.06, CPU)(torch.from_numpy(values), weight).numpy()
    alone = Sharpening(-1.0, 1.0, 0.06, CPU)(torch.from_numpy(values[:5000]), weight[:5000]).numpy()
    np.testing.assert_allclose(both[:5000], alone, atol=1e-6)


def test_values_beyond_the_ends_count_as_these():
    values = torch.tensor([-5.0, 0.0, 5.0], dtype=torch.float64)
    assert Sharpening(-1.0, 1.0, 0.05, CPU)(values, torch.ones(3)).isfinite().all()
