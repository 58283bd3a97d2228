import numpy as np
import pytest
import torch

from getnet_bids.core import refinement
from getnet_bids.core.blocks import Blocks
from getnet_bids.core.evidence import MODEL_ERROR, SD_INFLATION, most_probable
from getnet_bids.core.fusion import Basis
from getnet_bids.core.geometry import Box
from getnet_bids.core.refinement import Posterior, refine_field
from getnet_bids.core.sampling import SampledLogImage
from getnet_bids.core.tissue import inner_share
from tests.phantoms.flat import SHAPE, VOXEL, ellipsoid, field, head, log_field


def error(log_field, truth, where):
    return float((log_field - np.log(truth))[where].std())


def prepared(image, length=100.0):
    volume = torch.from_numpy(image * (image > 0.1))
    box = Box.around(volume > 0, VOXEL)
    return SampledLogImage.of(volume, VOXEL, box), box, Basis.over(box, length)


def no_field(basis, error_sd):
    return Posterior.before_refinement(basis, torch.zeros(basis.count, dtype=torch.float64), error_sd)


def on_grid(posterior, shape):
    position = [(np.arange(n) + 0.5) * v for n, v in zip(shape, VOXEL, strict=True)]
    return log_field(posterior.basis, posterior.theta, position)


def test_brings_a_field_nearer_to_the_truth_where_tissues_are_flat():
    image, truth = head(0.02, 0.05), field(0.05)
    points, box, basis = prepared(image)
    done = refine_field([points], box, no_field(basis, 0.05), 0.05)
    found = on_grid(done, image.shape)
    brain = (ellipsoid(0.8) < 0) & (image > 0.1)
    assert error(found, truth, brain) < 0.3 * error(np.zeros_like(found), truth, brain)


def test_finds_waves_that_the_network_does_not_resolve_where_tissues_are_flat():
    image = head(0.02)
    place = np.arange(SHAPE[0]) * VOXEL[0]
    truth = np.exp(0.05 * np.cos(np.pi * place / 35))[:, None, None] * np.ones(SHAPE)  # half waves of 35 mm
    points, box, basis = prepared((image * truth).astype(np.float32))
    brain = (ellipsoid(0.8) < 0) & (image > 0.1)
    before = error(np.zeros(SHAPE), truth, brain)
    done = refine_field([points], box, no_field(basis, 0.05), 0.05)
    assert error(on_grid(done, SHAPE), truth, brain) < 0.5 * before
    assert all(fine >= coarse for fine, coarse in zip(done.basis.count, basis.count, strict=True))


def test_leaves_an_even_image_alone():
    image = head(0.02)
    points, box, basis = prepared(image)
    found = on_grid(refine_field([points], box, no_field(basis, 0.05), 0.05), image.shape)
    assert found[ellipsoid(0.8) < 0].std() < 0.01
    assert found[image > 0.1].std() < 0.02


def test_where_tissues_vary_the_network_is_believed():
    """The same variation of 3 % over two centimetres moves the estimate less than a field of that strength would."""
    image = head(0.02)
    _, box, basis = prepared(image)
    rng = np.random.default_rng(5)
    waves = sum(
        np.cos(2 * np.pi * (np.tensordot(k, np.indices(SHAPE), 1) * VOXEL[0]) / 60 + rng.uniform(0, 6.28))
        for k in rng.normal(size=(12, 3))
        for k in (k / np.linalg.norm(k),)
    )
    varied = (image * np.exp(0.03 * waves / waves.std())).astype(np.float32)
    flat, uneven = (refine_field([prepared(i)[0]], box, no_field(basis, 0.02), 0.02) for i in (image, varied))
    assert uneven.tissue_sd > 2 * flat.tissue_sd
    assert on_grid(uneven, SHAPE)[ellipsoid(0.8) < 0].std() < 0.015


def test_tissues_that_are_alike_are_not_taken_for_one():
    inside, brain, white = (ellipsoid(radius) < 0 for radius in (1.0, 0.8, 0.6))
    image = np.select([white, brain, inside], [1.0, 0.6, 0.66], 0.0)  # muscle around gray matter
    image = image * (1 + 0.02 * np.random.default_rng(1).normal(size=image.shape))
    points, box, basis = prepared(image.astype(np.float32))
    found = on_grid(refine_field([points], box, no_field(basis, 0.03), 0.03), image.shape)
    assert found[inside].std() < 0.02


def test_the_estimate_is_that_of_the_equations():
    """Against dense normal distributions: mean and covariance of the coefficients, given the blocks."""
    points, box, basis = prepared(head(0.02, 0.1))
    blocks = Blocks.of(points, box, basis)
    rng = np.random.default_rng(6)
    count = len(blocks.correlation)
    mean, total = torch.from_numpy(rng.normal(0, 0.05, count)), torch.from_numpy(rng.uniform(1, 9, count))
    found = most_probable(blocks, mean, total, 0.05, 0.04)
    used = torch.nonzero(blocks.root_spectrum)[:, 0]
    c = found.error_sd * blocks.cosines
    v = SD_INFLATION**2 * (found.tissue_sd**2 * blocks.correlation + torch.diag(0.05**2 / total + 1e-8)) + 2.0**2
    inverse = torch.linalg.inv(v)
    covariance = torch.linalg.inv(c.T @ inverse @ c + torch.eye(c.shape[1], dtype=c.dtype))
    scale = found.error_sd * blocks.root_spectrum[used]
    expected = scale * (covariance @ c.T @ inverse @ mean)
    np.testing.assert_allclose(
        found.coefficients(mean, blocks).flatten()[1 + used],
        expected,
        rtol=1e-4,
        atol=1e-7 * float(expected.abs().max()),
    )
    root = found.root(blocks)[1 + used] / MODEL_ERROR
    np.testing.assert_allclose(root @ root.T, scale[:, None] * covariance * scale, rtol=1e-4, atol=1e-9)


def test_a_few_points_leave_the_network_s_field_as_it_is():
    volume = torch.zeros(12, 12, 12)
    volume[4:8, 4:8, 4:8] = 1.0
    box = Box((4.0,) * 3, (8.0,) * 3)
    start = no_field(Basis.over(box, 4.0), 0.1)
    assert refine_field([SampledLogImage.of(volume * 0, (1.0,) * 3, box)], box, start, 0.1) is start


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_where_the_grid_ends_there_is_no_surface(axis):
    """A rod that is cut at both ends is as deep there as in the middle, and not deep at its sides."""
    place = [np.linspace(-1, 1, 60)] * 3
    x, y, z = np.meshgrid(*place, indexing="ij")
    across = [x, y, z]
    del across[axis]
    volume = torch.from_numpy((across[0] ** 2 + across[1] ** 2 < 0.9).astype(np.float32))
    box = Box.around(volume > 0, (1.0,) * 3)
    share = np.moveaxis(inner_share(SampledLogImage.of(volume, (1.0,) * 3, box), box), axis, 0)
    np.testing.assert_allclose(share[0], share[len(share) // 2])
    assert share.max() == 1
    assert share[:, 0].max() == 0


def test_what_the_field_took_from_the_tissues_does_not_count_as_error_of_the_network(monkeypatch):
    """Chosen anew, the network's error only becomes smaller; here it would grow."""
    chosen, free = [], []

    def spy(blocks, mean, total, noise, network_sd, near, limit, unseen):
        free.append(most_probable(blocks, mean, total, noise, network_sd, near).error_sd)
        estimate = most_probable(blocks, mean, total, noise, network_sd, near, limit, unseen)
        chosen.append(estimate.error_sd)
        return estimate

    monkeypatch.setattr(refinement, "most_probable", spy)
    points, box, basis = prepared(head(0.05, 0.2))
    refine_field([points], box, no_field(basis, 0.1), 0.1)
    assert max(free) > free[0]
    assert chosen == sorted(chosen, reverse=True)
