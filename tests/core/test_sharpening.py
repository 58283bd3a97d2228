import numpy as np
import torch

from getnet_bids.core.sharpening import Sharpening

CPU = torch.device("cpu")


def change(values, weight, low, high, width):
    sharpening = Sharpening(low, high, width, CPU)
    return sharpening(sharpening.places(torch.from_numpy(values).float()), torch.from_numpy(weight).float()).numpy()


def sharpened(values, width):
    return values + change(values, np.ones_like(values), values.min() - 0.5, values.max() + 0.5, width)


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
    weight = np.repeat([1.0, 0.0], 5000)
    both, alone = (change(values[:n], weight[:n], -1.0, 1.0, 0.06) for n in (10000, 5000))
    np.testing.assert_allclose(both[:5000], alone, atol=1e-6)


def test_values_beyond_the_ends_count_as_these():
    beyond, at_ends = (change(np.array([-x, 0.0, x]), np.ones(3), -1.0, 1.0, 0.05) for x in (5.0, 1.0))
    np.testing.assert_array_equal(beyond, at_ends)


def test_values_between_bins_are_told_apart():
    """A Gaussian is drawn to its middle, wherever that lies between bins, and each value by its own distance."""
    noise = np.random.default_rng(3).normal(scale=0.02, size=100_000)
    left = []
    for middle in (0.2, 0.2025, 0.2075):
        moved = noise + change(middle + noise, np.ones_like(noise), -1.0, 1.0, 0.02 * 2.355)
        assert abs(moved.mean()) < 5e-4
        left.append(np.abs(moved).mean())
    assert max(left) < 0.4 * np.abs(noise).mean()
    assert max(left) < 1.1 * min(left)
