"""Bodies: the distance to their outline is the distance, and they are of all kinds."""

from __future__ import annotations

import pytest
import torch
from scipy.ndimage import label
from torch import Tensor

from getnet_bids.training.outlines import DEPTH_INSIDE, MAX_DEPTH, depth_below_outline, signed_distance

from .conftest import generator


def photos(n: int = 24) -> Tensor:
    return torch.rand(n, 1, 256, 256, generator=generator(7))


def axes(size: int = 128) -> tuple[Tensor, Tensor]:
    place = torch.arange(size, dtype=torch.float32)
    return place[:, None], place[None, :]


def test_distance_to_a_circle() -> None:
    y, x = axes()
    truth = 50.3 - torch.sqrt((y - 61.2).square() + (x - 66.7).square())
    found = signed_distance(truth.expand(1, 1, 128, 128))[0, 0]
    near = truth.abs() < MAX_DEPTH - 2
    assert float((found - truth)[near].abs().max()) < 0.15
    assert torch.equal(found > 0, truth > 0)
    assert float(found.max()) == MAX_DEPTH


def test_distance_to_a_line_at_any_angle_whatever_the_function_is() -> None:
    """A function that is positive inside need not be a distance."""
    y, x = axes()
    for angle in torch.linspace(0.0, 3.0, 7):
        truth = torch.cos(angle) * (x - 60.3) + torch.sin(angle) * (y - 64.6)
        found = signed_distance((0.01 * truth).expand(1, 1, 128, 128))[0, 0]
        middle = (truth.abs() < 10) & (abs(x - 64) < 30) & (abs(y - 64) < 30)
        assert float((found - truth)[middle].abs().max()) < 0.1


def test_the_slices_border_is_no_outline() -> None:
    y, _ = axes()
    found = signed_distance((y - 100.5).expand(1, 1, 128, 128))[0, 0]
    assert torch.allclose(found[:, 0], found[:, 64], atol=1e-4)
    assert float(found[-1, 0]) == pytest.approx(MAX_DEPTH, abs=1)


def test_depth_is_in_pixels_with_slope_1() -> None:
    depth = depth_below_outline(photos(), 1.0, generator())
    down, across = torch.gradient(depth, dim=(2, 3))
    slope = torch.sqrt(down.square() + across.square())
    band = (depth > 2) & (depth < 10)
    assert float(slope[band].median()) == pytest.approx(1.0, abs=0.03)


def test_bodies_are_of_many_kinds() -> None:
    depth = depth_below_outline(photos(96), 1.0, generator(3))
    inside = depth > 0
    share = inside.float().mean((1, 2, 3))
    assert 0.25 < float(share.mean()) < 0.7
    assert float(share.std()) > 0.15
    border = torch.cat([inside[..., 0], inside[..., -1], inside[:, :, 0], inside[:, :, -1]], 2)[:, 0]
    cut = border.any(1) & (share < 1)
    assert 0.2 < float(cut.float().mean()) < 0.8, "some leave the slice, some do not"
    pieces = [label(one[0].numpy())[1] for one in inside]
    assert sum(p == 2 for p in pieces) >= 5


def test_share_and_seed() -> None:
    assert bool((depth_below_outline(photos(4), 0.0, generator()) == DEPTH_INSIDE).all())
    some = depth_below_outline(photos(64), 0.5, generator())
    whole = (some == DEPTH_INSIDE).all(-1).all(-1).flatten()
    assert 0.3 < float(whole.float().mean()) < 0.75
    assert torch.equal(some, depth_below_outline(photos(64), 0.5, generator()))
    assert not torch.equal(some, depth_below_outline(photos(64), 0.5, generator(1)))
