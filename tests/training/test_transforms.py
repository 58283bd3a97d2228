"""Transforms: nothing at strength 0, values of 0 and more, the same from the same seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from getnet_bids.training import acquisition, anatomy, transforms
from getnet_bids.training.smooth import uniform

from .conftest import scene

Transform = Callable[[Tensor, float, torch.Generator], Tensor]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def slices() -> Tensor:
    return torch.from_numpy(np.stack([scene(i, 256, 256) for i in range(8)]))[:, None] / 255


TRANSFORMS: dict[str, Transform] = {
    "zoom": lambda v, s, g: transforms.zoom_turn_flip(v, 0.7 * s, 0.0, g),
    "turn": lambda v, s, g: transforms.zoom_turn_flip(v, 0.0, 15.0 * s, g),
    "contrast": lambda v, s, g: transforms.contrast(v, 0.6 * s, g),
    "waves": lambda v, s, g: anatomy.uneven(v, 3 * s, g).clamp_min(0),
    "grain": lambda v, s, g: anatomy.grain(v, v, 0.05 * s, g),
    "partial volume": lambda v, s, g: acquisition.partial_volume(v, 3 * s, 0.5, g),
    "ghost": lambda v, s, g: acquisition.ghost(v, 0.08 * s, g),
    "lines": lambda v, s, g: acquisition.uneven_lines(v, 0.06 * s, g),
    "clip": lambda v, s, g: acquisition.clip(v, s, g),
    "noise": lambda v, s, g: acquisition.rician_noise(v, 0.1 * s, g),
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


def test_noise_is_rician() -> None:
    """Where there is no signal, the mean is sigma times sqrt(pi / 2); where it is high, sigma is the SD."""
    v = torch.ones(1, 1, 512, 512)
    v[..., 256:] = 1e-12
    out = acquisition.rician_noise(v, 0.1, generator(2))[0, 0]
    sigma = float(0.1 * uniform(1, 0, 1, generator(2)).square() * v.mean())
    assert float(out[:, 256:].mean()) == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.01)
    assert float(out[:, :256].std()) == pytest.approx(sigma, rel=0.01)
