"""Stripes of spikes in k-space, and images that have none."""

import numpy as np
import pytest

from getnet_bids.core.correction import correct_volume
from getnet_bids.core.network import load_weights
from getnet_bids.core.spikes import stripes
from getnet_bids.weights import default_weights
from tests.phantoms.realistic import SHAPE, VOXEL, head, labels

BODY = labels() > 0
X, Y, Z = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
WAVES = {"oblique": 1.1 * X + 1.7 * Y + 0.6 * Z, "along one axis": 1.3 * Y, "steep": 2.8 * X - 2.5 * Y + 2 * Z}


def spiked(image, amplitude, wave):
    return np.abs(image + amplitude * np.median(image[BODY]) * np.exp(1j * wave)).astype(np.float32)


@pytest.mark.parametrize("wave", WAVES.values(), ids=list(WAVES))
def test_a_wave_is_measured(wave):
    image, _ = head()
    assert stripes(spiked(image, 0.08, wave), BODY) == pytest.approx(0.08, abs=0.035)


@pytest.mark.parametrize("stripped", [False, True])
@pytest.mark.parametrize("sd", [0.0, 0.25])
def test_an_ordinary_image_has_none(sd, stripped):
    image, brain = head(sd, stripped)
    assert stripes(image, brain if stripped else BODY) == 0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_unequal_odd_and_even_slices_are_no_stripes_of_a_spike(axis):
    """They have a reason of their own."""
    image, _ = head()
    alternating = np.moveaxis(image, axis, 0).copy()
    alternating[::2] *= 1.2
    assert stripes(np.moveaxis(alternating, 0, axis), BODY) == 0


def test_noise_slices_and_small_images_have_none():
    rng = np.random.default_rng(0)
    noise = np.abs(rng.normal(size=(64, 64, 64))).astype(np.float32)
    assert stripes(noise, np.ones(noise.shape, bool)) == 0
    assert stripes(noise[0], np.ones((64, 64), bool)) == 0
    assert stripes(noise[:20, :20, :20], np.ones((20, 20, 20), bool)) == 0
    assert stripes(noise, np.zeros(noise.shape, bool)) == 0
    assert stripes(np.ones_like(noise), np.ones(noise.shape, bool)) == 0


def test_a_single_slice_with_stripes():
    image, _ = head()
    middle = SHAPE[2] // 2
    assert stripes(spiked(image, 0.08, WAVES["along one axis"])[..., middle], BODY[..., middle]) > 0.04


def test_stripes_are_named():
    image, _ = head()
    done = correct_volume(spiked(image, 0.08, WAVES["oblique"]), VOXEL, load_weights(default_weights()))
    assert done.verdict == "doubtful"
    assert any("stripes" in reason for reason in done.reasons)
