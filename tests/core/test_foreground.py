import numpy as np
import pytest
import torch

from getnet_bids.core.foreground import find_foreground
from tests.phantoms.flat import SHAPE, VOXEL, ellipsoid, head


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.06])
@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_finds_the_tissue(noise, strength):
    tissue = head(0.0) > 0.1
    found = find_foreground(torch.from_numpy(head(noise, strength)), VOXEL).numpy()
    assert dice(found, tissue) > 0.97


@pytest.mark.parametrize("noise", [0.25, 0.3, 0.35])
def test_noise_as_bright_as_dim_tissue_is_not_foreground(noise):
    found = find_foreground(torch.from_numpy(head(noise)), VOXEL).numpy()
    assert dice(found, ellipsoid(1.0) < 0) > 0.85


def test_scale_does_not_matter():
    image = torch.from_numpy(head())
    assert torch.equal(find_foreground(image * 4096, VOXEL), find_foreground(image, VOXEL))


def test_memory_order_does_not_matter():
    image = head()
    found = [find_foreground(torch.from_numpy(lay(image)), VOXEL) for lay in (np.ascontiguousarray, np.asfortranarray)]
    assert found[0].shape == image.shape
    assert torch.equal(*found)


def test_without_background_nearly_all_is_signal():
    image = torch.from_numpy(np.random.default_rng(0).uniform(0.5, 1.5, SHAPE).astype(np.float32))
    assert find_foreground(image, VOXEL).float().mean() > 0.99


def test_empty_image_has_no_foreground():
    assert not find_foreground(torch.zeros(SHAPE), VOXEL).any()


def test_a_spike_of_noise_far_off_is_left_out():
    image = head(0.02)
    image[1:3, 1:3, 1:3] = 1.0
    found = find_foreground(torch.from_numpy(image), VOXEL).numpy()
    assert not found[1:3, 1:3, 1:3].any()
    assert found[ellipsoid(0.6) < 0].mean() > 0.97
