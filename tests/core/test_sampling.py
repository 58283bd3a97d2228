import numpy as np
import torch

from getnet_bids.core.geometry import Box
from getnet_bids.core.sampling import SampledLogImage, banded, gaussian

ONE = (1.0, 1.0, 1.0)


def test_borders_weigh_less_than_flat_parts():
    volume = torch.full((120, 40, 40), 100.0)
    volume[60:] = 200.0
    points = SampledLogImage.of(volume, ONE, Box((0.0,) * 3, (120.0, 40.0, 40.0)))
    along = points.weight.mean((1, 2)).numpy()
    position = points.position[0]
    assert along[np.argmin(np.abs(position - 60))] < 0.1
    assert along[np.argmin(np.abs(position - 30))] > 0.9


def test_points_hold_the_logarithm_at_their_places():
    x, y, z = (torch.arange(n) + 0.5 for n in (120, 100, 80))
    volume = torch.exp(0.004 * x[:, None, None] + 0.002 * y[:, None] - 0.003 * z)
    points = SampledLogImage.of(volume, ONE, Box((0.0,) * 3, (120.0, 100.0, 80.0)))
    px, py, pz = points.position
    expected = 0.004 * px[:, None, None] + 0.002 * py[:, None] - 0.003 * pz
    inner = np.s_[2:-2, 2:-2, 2:-2]
    np.testing.assert_allclose(points.log_image.numpy()[inner], expected[inner], atol=1e-3)


def test_what_is_0_has_no_weight():
    volume = torch.full((60, 60, 60), 10.0)
    volume[:30] = 0
    points = SampledLogImage.of(volume, ONE, Box((0.0,) * 3, (60.0,) * 3))
    assert not points.weight[points.position[0] < 30].any()
    assert not points.log_image[points.position[0] < 30].any()


def test_gaussian_matrices_smooth_and_differentiate():
    position = (np.arange(100) + 0.5) * 2.0
    points = np.linspace(40, 160, 7)
    level, slope = (gaussian(points, 100, 2.0, 3.0, derivative) for derivative in (False, True))
    np.testing.assert_allclose(level @ (3 * position + 1), 3 * points + 1, rtol=1e-5)
    np.testing.assert_allclose(slope @ (3 * position + 1), 3, rtol=1e-5)
    wave = np.sin(position / 10)
    np.testing.assert_allclose(level @ wave, np.sin(points / 10) * np.exp(-((3 / 10) ** 2) / 2), atol=2e-3)


def test_banded_is_the_product_of_the_whole_matrices():
    slabs = torch.rand(40, 7, 5, generator=torch.Generator().manual_seed(0))
    points = np.linspace(3, 37, 9)
    matrices = np.stack([gaussian(points, 40, 1.0, 1.5, d) for d in (False, True)], 1)
    expected = np.einsum("nmz,zyx->nmyx", matrices, slabs.numpy())
    np.testing.assert_allclose(banded(matrices, slabs), expected, atol=1e-5)
