"""Transforms: nothing at strength 0, values of 0 and more, the same from the same seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from getnet_bids.training import anatomy, transforms
from getnet_bids.training.transforms import uniform

from .conftest import generator, scene

Transform = Callable[[Tensor, float, torch.Generator], Tensor]


@pytest.fixture(scope="module")
def slices() -> Tensor:
    return torch.from_numpy(np.stack([scene(i, 256, 256) for i in range(8)]))[:, None] / 255


TRANSFORMS: dict[str, Transform] = {
    "zoom": lambda v, s, g: transforms.zoom_turn_flip(v, 0.7 * s, 0.0, g),
    "turn": lambda v, s, g: transforms.zoom_turn_flip(v, 0.0, 15.0 * s, g),
    "contrast": lambda v, s, g: transforms.contrast(v, 0.6 * s, g),
    "waves": lambda v, s, g: anatomy.uneven(v, 3 * s, g).clamp_min(0),
    "grain": lambda v, s, g: anatomy.grain(v, v, 0.05 * s, g),
    "partial volume": lambda v, s, g: transforms.partial_volume(v, 3 * s, 0.5, g),
    "ghost": lambda v, s, g: transforms.ghost(v, 0.08 * s, g),
    "lines": lambda v, s, g: transforms.uneven_lines(v, 0.06 * s, g),
    "clip": lambda v, s, g: transforms.clip(v, s, g),
    "noise": lambda v, s, g: transforms.rician_noise(v, 0.1 * s, g),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_strength_0_is_the_identity(name: str, slices: Tensor) -> None:
    assert torch.equal(TRANSFORMS[name](slices.clone(), 0.0, generator()), slices)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_shape_sign_seed_and_input(name: str, slices: Tensor) -> None:
    before = slices.clone()
    out = TRANSFORMS[name](slices, 0.5, generator(3))
    assert torch.equal(slices, before), "the input was changed in place"
    assert out.shape == slices.shape
    assert bool((out >= 0).all())
    assert bool(torch.isfinite(out).all())
    assert not torch.equal(out, slices)
    assert torch.equal(out, TRANSFORMS[name](slices, 0.5, generator(3)))
    assert not torch.equal(out, TRANSFORMS[name](slices, 0.5, generator(4)))


def test_zoom_turn_flip_moves_a_point_as_its_matrix_says() -> None:
    """Written-out grids give what torch's affine_grid gives."""
    v = torch.rand(1, 1, 32, 32, generator=generator())
    g = generator(5)
    scale = torch.exp(uniform(1, -0.5, 0.5, g))
    angle = torch.randint(4, (1,), generator=g) * (np.pi / 2) + uniform(1, -10, 10, g) * (np.pi / 180)
    flip = 1.0 - 2.0 * float(uniform(1, 0, 1, g) < 0.5)
    shift = [uniform(1, -1, 1, g) * (1 - 1 / scale).clamp_min(0) for _ in range(2)]
    c, s = torch.cos(angle) / scale, torch.sin(angle) / scale
    theta = torch.stack([torch.cat([c * flip, -s, shift[0]]), torch.cat([s * flip, c, shift[1]])])[None]
    grid = torch.nn.functional.affine_grid(theta.float(), [1, 1, 32, 32], align_corners=False)
    expected = torch.nn.functional.grid_sample(v, grid, padding_mode="reflection", align_corners=False)
    assert torch.allclose(transforms.zoom_turn_flip(v, 0.5, 10.0, generator(5)), expected, atol=1e-4)


def test_partial_volume_keeps_the_mean_and_blurs_as_wide_as_it_says(slices: Tensor) -> None:
    edge = torch.zeros(64, 1, 256, 256)
    edge[..., 128:] = 1
    out = transforms.partial_volume(edge, 3.0, 0.0, generator())
    assert torch.allclose(out.mean((1, 2, 3)), edge.mean((1, 2, 3)), atol=1e-3)
    profile = out[:, 0, 128].diff(dim=1)
    place = torch.arange(255.0)
    centre = (profile * place).sum(1, keepdim=True)
    sigma = (profile * (place - centre).square()).sum(1).sqrt()
    expected = uniform(64, 0, 3.0, generator())
    assert torch.allclose(sigma[expected > 0.7], expected[expected > 0.7], atol=0.02)


def test_thick_slices_are_blurred_more_along_one_axis() -> None:
    point = torch.zeros(64, 1, 256, 256)
    point[..., 128, 128] = 1
    out = transforms.partial_volume(point, 3.0, 1.0, generator())[:, 0]
    across, down = out.sum(1).amax(1), out.sum(2).amax(1)
    assert float((across / down).log().abs().mean()) > 0.3
    assert 16 < int((across > down).sum()) < 48


def test_cuts_lie_where_they_are_told() -> None:
    place = torch.arange(256) - 127.5
    depth = (100 - torch.sqrt(place[:, None].square() + place[None, :].square())).expand(64, 1, 256, 256)
    slices = (depth > 0).float()
    ends = torch.tensor([0.0, 5, 9, 20]).expand(64, 4)
    kept = transforms.cut(slices, depth, ends, (-2.0, 3.0), generator())
    first = torch.where(kept > 0, depth, torch.inf).amin((1, 2, 3))
    assert float(first.min()) > -2
    assert float(first.max()) < 24
    assert 24 < int((first < 3).sum()) < 48, "half are cut at the outline, half at a rim's end"
    assert torch.equal(transforms.cut(slices, depth, ends, (0.0, 0.0), generator()), slices)


def test_a_ghost_is_a_faint_copy_half_the_field_of_view_away() -> None:
    point = torch.zeros(64, 1, 256, 256)
    point[..., 100, 60] = 1
    out = transforms.ghost(point, 0.08, generator()) - point
    there = out.amax((1, 2, 3)) > 0
    assert 8 < int(there.sum()) < 32
    assert float(out.max()) < 0.08
    assert torch.equal(out.flatten(2).sum(2), (out[..., 228, 60] + out[..., 100, 188]))


def test_uneven_lines_leave_the_mean(slices: Tensor) -> None:
    out = transforms.uneven_lines(torch.ones(64, 1, 256, 256), 0.06, generator())
    assert float(out.amax()) <= 1.06
    assert float(out.amin()) >= 0.94
    assert torch.allclose(out.mean((1, 2, 3)), torch.ones(64), atol=0.004)
    assert float(out.std((2, 3)).max()) > 0.03


def test_noise_is_rician() -> None:
    """Where there is no signal, the mean is sigma times sqrt(pi / 2); where it is high, sigma is the SD."""
    v = torch.ones(1, 1, 512, 512)
    v[..., 256:] = 1e-12
    out = transforms.rician_noise(v, 0.1, generator(2))[0, 0]
    sigma = float(0.1 * uniform(1, 0, 1, generator(2)).square() * v.mean())
    assert float(out[:, 256:].mean()) == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.01)
    assert float(out[:, :256].std()) == pytest.approx(sigma, rel=0.01)
