"""Ghosts at simple fractions of the field of view, and images that have none."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, zoom

from getnet_bids.core.correction import correct_volume
from getnet_bids.core.foreground import find_foreground
from getnet_bids.core.ghosts import find_ghost
from getnet_bids.core.network import load_weights
from getnet_bids.core.verdict import MAX_GHOST
from getnet_bids.weights import default_weights
from tests.phantoms import realistic
from tests.phantoms.flat import SHAPE, VOXEL, ellipsoid, head


def strength(volume, chosen, voxel):
    return find_ghost(volume, chosen, voxel).strength


def ghost_in(volume, millimetres):
    volume, voxel = np.asfortranarray(volume), (millimetres,) * 3
    return find_ghost(volume, find_foreground(torch.from_numpy(volume), voxel).numpy(), voxel)


def test_a_ghost_is_measured_along_its_axis_and_nothing_else_is_one():
    signal, inside = head(0.0, 0.2), ellipsoid(1.0) < 0
    noise = 0.02 * np.random.default_rng(4).normal(size=(2, *SHAPE))
    assert strength(np.hypot(signal + noise[0], noise[1]).astype(np.float32), inside, VOXEL) < 0.012
    for axis in range(3):
        ghost = np.hypot(signal + 0.06 * np.roll(signal, SHAPE[axis] // 2, axis) + noise[0], noise[1])
        assert abs(strength(ghost.astype(np.float32), inside, VOXEL) - 0.06) < 0.01
    strong = np.hypot(signal + 0.2 * np.roll(signal, SHAPE[1] // 2, 1) + noise[0], noise[1]).astype(np.float32)
    assert abs(strength(strong, strong > 0.1, VOXEL) - 0.2) < 0.02  # it is taken for foreground
    beside = np.hypot(
        signal + np.where(ellipsoid(1.15) > 0, 0.1, 0) + noise[0], noise[1]
    )  # of another part of the body
    assert strength(beside.astype(np.float32), inside, VOXEL) < 0.02


@pytest.mark.filterwarnings("error")
def test_a_constant_object_has_no_ghost():
    inside = np.zeros((64, 64, 64), bool)
    inside[20:44, 20:44, 20:44] = True
    noise = np.random.default_rng(1).random(inside.shape)
    assert strength((1000 * inside + noise * ~inside).astype(np.float32), inside, (1.0, 1.0, 1.0)) == 0


def test_dim_tissue_beside_the_object_is_no_ghost():
    """Neither is it if it gets dimmer as the bright tissue half a field of view away does."""
    shape = (64, 64, 40)
    rng = np.random.default_rng(5)
    bright_texture, dim_texture = (np.kron(rng.uniform(0.5, 1.5, (16, 16, 10)), np.ones((4, 4, 4))) for _ in range(2))
    depth = np.broadcast_to(np.arange(shape[1])[:, None] / shape[1], shape)
    bright = (depth > 0.25) & (depth < 0.6)
    tissue = bright * bright_texture * np.exp(-4 * (depth - 0.25))  # as a surface coil sees it
    dim = (depth > 0.78) * 0.1 * dim_texture * np.exp(-4 * (depth - 0.78))
    noise = 0.05 * rng.normal(size=(2, *shape))

    def ghost(beside):
        volume = np.hypot(tissue + beside + noise[0], noise[1]).astype(np.float32)
        return strength(volume, bright, (1.0, 1.0, 1.0))

    assert ghost(dim) == 0  # 0.097 without a look at details
    assert abs(ghost(0.08 * np.roll(tissue, shape[1] // 2, 1)) - 0.08) < 0.01


def echo_planar(millimetres, margin=0):
    """Return the tests' head as an echo-planar image without noise, and its voxels above a tenth of it."""
    levels = {**realistic.LEVELS, "skin": 0.15, "skull": 0.02, "muscle": 0.1, "csf": 1.0, "gray": 0.75, "white": 0.6}
    signal = gaussian_filter(np.array([levels[name] for name in realistic.NAMES])[realistic.labels()], 0.6)
    scales = [size / millimetres for size in realistic.VOXEL]
    return np.pad(zoom(signal * realistic.field(0.15), scales, order=1), ((0, 0), (margin, margin), (0, 0)))


def rice(signal, noise, seed):
    rng = np.random.default_rng(seed)
    return np.hypot(signal + noise * rng.normal(size=signal.shape), noise * rng.normal(size=signal.shape)).astype("f4")


@pytest.mark.parametrize("millimetres", [3.0, 4.0])
@pytest.mark.parametrize("noise", [0.04, 0.05, 0.06])
def test_noise_and_dim_skin_are_no_ghost(millimetres, noise):
    signal = echo_planar(millimetres)
    for seed in range(4):
        assert ghost_in(rice(signal, noise, seed), millimetres).strength == 0


@pytest.mark.parametrize("shift", [Fraction(1, 2), Fraction(1, 3), Fraction(-1, 3), Fraction(1, 4), Fraction(-1, 4)])
@pytest.mark.parametrize("margin", [0, 8])
def test_a_ghost_has_its_strength_and_its_distance(shift, margin):
    signal = echo_planar(3.0, margin)
    ghost = np.roll(signal, round(shift * signal.shape[1]), 1)
    found = ghost_in(rice(signal + 0.07 * ghost, 0.03, 0), 3.0)
    assert found.strength == pytest.approx(0.07, abs=0.035)
    assert found.shift == abs(shift)


@pytest.mark.parametrize("width", [4, 8])
def test_a_blurred_face_is_no_ghost(width):
    image, brain = realistic.head()
    _, y, z = np.indices(image.shape)
    face = (y > image.shape[1] * 2 / 3) & (z < image.shape[2] / 2) & ~brain
    blurred = np.where(face, gaussian_filter(image, width), image).astype(np.float32)
    assert find_ghost(blurred, (realistic.labels() > 0) & ~face, realistic.VOXEL).strength < MAX_GHOST


@pytest.mark.parametrize(("fraction", "words"), [(2, "half of"), (3, "a third of"), (4, "a quarter of")])
def test_a_ghost_is_named(fraction, words):
    image = np.pad(head(0.02, 0.1), ((0, 0), (12, 12), (0, 0)))
    image = rice(image, 0.02, 1)
    volume = image + 0.06 * np.roll(image, image.shape[1] // fraction, 1)
    done = correct_volume(volume, VOXEL, load_weights(default_weights()))
    assert done.verdict == "doubtful"
    assert any("ghost" in reason and f"lies {words} the field of view" in reason for reason in done.reasons)
