"""Transforms: nothing at strength 0, values of 0 and more, the same from the same seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from getnet_bids.training import transforms as t

from .conftest import scene

Transform = Callable[[Tensor, float, torch.Generator], Tensor]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def slices() -> Tensor:
    return torch.from_numpy(np.stack([scene(i, 256, 256) for i in range(8)]))[:, None] / 255


TRANSFORMS: dict[str, Transform] = {
    "zoom": lambda v, s, g: t.zoom_turn_flip(v, 0.7 * s, 0.0, g),
    "turn": lambda v, s, g: t.zoom_turn_flip(v, 0.0, 15.0 * s, g),
    "contrast": lambda v, s, g: t.contrast(v, 0.6 * s, g),
    "shells": lambda v, s, g: t.shells(v, t.bodies(len(v), v.shape[-1], 1.0, generator(9)), s, g),
    "soften": lambda v, s, g: t.soften(v, s, g),
    "noise": lambda v, s, g: t.rician_noise(v, 0.1 * s, g),
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
    scale = torch.exp(t.uniform(1, -0.5, 0.5, g))
    angle = torch.randint(4, (1,), generator=g) * (np.pi / 2) + t.uniform(1, -10, 10, g) * (np.pi / 180)
    flip = 1.0 - 2.0 * float(t.uniform(1, 0, 1, g) < 0.5)
    shift = [t.uniform(1, -1, 1, g) * (1 - 1 / scale).clamp_min(0) for _ in range(2)]
    c, s = torch.cos(angle) / scale, torch.sin(angle) / scale
    theta = torch.stack([torch.cat([c * flip, -s, shift[0]]), torch.cat([s * flip, c, shift[1]])])[None]
    grid = torch.nn.functional.affine_grid(theta.float(), [1, 1, 32, 32], align_corners=False)
    expected = torch.nn.functional.grid_sample(v, grid, padding_mode="reflection", align_corners=False)
    assert torch.allclose(t.zoom_turn_flip(v, 0.5, 10.0, generator(5)), expected, atol=1e-4)


def test_posterised_photographs_are_flat_in_few_classes(slices: Tensor) -> None:
    out = t.posterise(slices, (2, 7), 0.0, generator())
    for picture in out:
        assert len(picture.unique()) <= 7
    assert torch.equal(out, t.posterise(slices, (2, 7), 0.0, generator()))
    assert bool(((out >= 0) & (out <= 1)).all())
    textured = t.posterise(slices, (2, 2), 0.25, generator())
    assert len(textured[0].unique()) > 7


def test_bodies_are_inside_somewhere_and_everywhere_at_share_0() -> None:
    body = t.bodies(32, 256, 1.0, generator())
    assert body.shape == (32, 1, 256, 256)
    inside = (body > 0).float().mean((1, 2, 3))
    assert bool((inside > 0.02).all())
    assert 0.2 < float(inside.mean()) < 0.9
    assert bool((t.bodies(4, 256, 0.0, generator()) == 1).all())


def test_shells_lie_inside_the_body_and_leave_the_core(slices: Tensor) -> None:
    body = t.bodies(8, 256, 1.0, generator(1))
    out = t.shells(slices, body, 1.0, generator())
    core = body > 0.12
    assert torch.equal(out[core], slices[core])


def test_soften_keeps_the_mean(slices: Tensor) -> None:
    out = t.soften(slices, 1.0, generator())
    assert torch.allclose(out.mean((1, 2, 3)), slices.mean((1, 2, 3)), atol=2e-3)
    impulse = torch.zeros(1, 1, 5, 5)
    impulse[0, 0, 2, 2] = 16
    kernel = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])
    assert torch.equal(t.soften(impulse, 1.0, generator())[0, 0, 1:4, 1:4], kernel)


def test_noise_is_rician() -> None:
    """Where there is no signal, the mean is sigma times sqrt(pi / 2); where it is high, sigma is the SD."""
    v = torch.ones(1, 1, 512, 512)
    v[..., 256:] = 1e-12
    out = t.rician_noise(v, 0.1, generator(2))[0, 0]
    sigma = float(t.uniform(1, 0, 0.1, generator(2)) * v.mean())
    assert float(out[:, 256:].mean()) == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.01)
    assert float(out[:, :256].std()) == pytest.approx(sigma, rel=0.01)
