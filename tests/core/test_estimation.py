"""Strong fields, which are estimated again after the division by them."""

import numpy as np
import pytest

from getnet_bids.core import estimation
from getnet_bids.core.correction import correct_together, correct_volume
from getnet_bids.core.metrics import field_error
from tests.phantoms.realistic import SHAPE, VOXEL, head, labels

NOISE = 0.01
BODY = labels() > 0


def scan(log_gain, noise=NOISE):
    """Return the head with a field and as much noise everywhere, the field, and where the head is above the noise."""
    clean, brain = head(0.0)
    field = np.exp(log_gain - log_gain[brain].mean())
    shaded = np.where(BODY, clean, 0) * field
    real, imaginary = noise * np.random.default_rng(0).normal(size=(2, *SHAPE))
    return np.hypot(shaded + real, imaginary).astype(np.float32), field, BODY & (shaded > 4 * noise)


X, Y, Z = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
STEEP = {"ramp": 2 * Z, "coil at the top": -2.4 * np.sqrt(X**2 + Y**2 + (Z - 1.1) ** 2)}


@pytest.mark.parametrize(("name", "limit"), [("ramp", 0.028), ("coil at the top", 0.061)])
def test_a_strong_field_is_found_where_it_is_dark(network, name, limit, monkeypatch):
    image, field, seen = scan(STEEP[name])
    done = correct_volume(image, VOXEL, network)
    assert field_error(done.field, field, seen) < limit
    assert done.foreground[seen].mean() > 0.94
    assert (done.foreground & ~BODY).sum() < 0.001 * (~BODY).sum()  # the noise did not become foreground
    assert abs(np.log(done.field[done.foreground].astype(float)).mean()) < 1e-4
    np.testing.assert_allclose(done.corrected * done.field, image, rtol=1e-5)
    monkeypatch.setattr(estimation, "MAX_PASSES", 1)
    once = correct_volume(image, VOXEL, network)
    assert field_error(once.field, field, seen) > 1.5 * field_error(done.field, field, seen)


def test_what_was_foreground_stays_foreground(network, monkeypatch):
    image, _, _ = scan(STEEP["ramp"])
    done = correct_volume(image, VOXEL, network)
    monkeypatch.setattr(estimation, "MAX_PASSES", 1)
    once = correct_volume(image, VOXEL, network)
    assert not (once.foreground & ~done.foreground).any()
    assert once.foreground.sum() < done.foreground.sum()


def test_an_ordinary_field_is_estimated_once(network, monkeypatch):
    image, _ = head(0.15)
    done = correct_volume(image, VOXEL, network)
    monkeypatch.setattr(estimation, "quotient", None)
    np.testing.assert_array_equal(correct_volume(image, VOXEL, network).field, done.field)


def test_images_of_one_strong_field(network):
    image, field, seen = scan(STEEP["ramp"])
    inverse, _, _ = scan(STEEP["ramp"] + np.where(BODY, -np.log(np.maximum(head(0.0)[0], 0.2)), 0))
    one, other = correct_together([image, inverse], VOXEL, network)
    np.testing.assert_array_equal(one.field, other.field)
    assert field_error(one.field, field, seen) < 0.06


def test_the_largest_numbers_do_not_overflow(network):
    image, field, seen = scan(STEEP["ramp"])
    done = correct_volume(image * np.float32(1e37 / image.max()), VOXEL, network)
    assert field_error(done.field, field, seen) < 0.034


def test_a_mask_holds_in_every_pass(network):
    image, _, _ = scan(STEEP["ramp"])
    mask = BODY & (Z > -0.5)
    done = correct_volume(image, VOXEL, network, mask=mask)
    assert not (done.foreground & ~mask).any()
