"""Pairs: what they hold fits together."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from getnet_bids.training.pairs import Pairs, joined, make_pairs
from getnet_bids.training.photographs import Photographs
from getnet_bids.training.recipe import load_recipe


def pairs(photos: Photographs, changes: tuple[str, ...] = (), recipe: str = "default", seed: int = 0) -> Pairs:
    crops = torch.from_numpy(photos.crops(range(8), np.random.default_rng(0)))
    return make_pairs(crops, load_recipe(recipe, changes), torch.Generator().manual_seed(seed))


def test_shapes_and_ranges(photos: Photographs) -> None:
    p = pairs(photos)
    assert p.first.shape == p.second.shape == (8, 1, 256, 256)
    assert p.log_gain_first.shape == p.log_gain_second.shape == p.weight.shape == (8, 16, 16)
    assert p.flat.tolist() == [True] * 6 + [False] * 2
    assert bool((p.weight >= 0).all() & (p.weight <= 1).all())
    for f in fields(Pairs):
        assert bool(torch.isfinite(getattr(p, f.name)).all())
    assert bool((p.first >= 0).all())


def test_same_seed_same_pairs(photos: Photographs) -> None:
    a, b, c = pairs(photos), pairs(photos), pairs(photos, seed=1)
    assert all(torch.equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(Pairs))
    assert not torch.equal(a.first, c.first)


def test_without_noise_the_slices_differ_by_the_fields_alone(photos: Photographs) -> None:
    p = pairs(photos, ("noise=0", "ghost=0", "clipped=0", "background=0"))
    ratio = (p.first.clamp_min(1e-6) / p.second.clamp_min(1e-6)).log()
    bright = (p.second > 0.05).float()
    mean = F.adaptive_avg_pool2d(ratio * bright, 16) / F.adaptive_avg_pool2d(bright, 16).clamp_min(1e-6)
    error = (mean[:, 0] - (p.log_gain_first - p.log_gain_second)).abs()
    assert float((error * p.weight).sum() / p.weight.sum()) < 0.01


def test_background_is_0_in_both(photos: Photographs) -> None:
    p = pairs(photos, ("background=1",))
    assert bool((p.first[:, 0, 0, 0] == 0).any())
    assert float(((p.first == 0) != (p.second == 0)).float().mean()) < 1e-3


def test_the_papers_second_slice_is_the_photograph_itself(photos: Photographs) -> None:
    crops = torch.from_numpy(photos.crops(range(8), np.random.default_rng(0)))
    p = pairs(photos, recipe="simko2019")
    assert torch.allclose(p.second, crops / 255, atol=1e-6)
    assert float(p.weight.min()) == 1
    assert not bool(p.flat.any())


@pytest.mark.parametrize("count", [1, 3])
def test_joined(photos: Photographs, count: int) -> None:
    p = pairs(photos)
    both = joined([p] * count)
    assert len(both.first) == 8 * count
    assert torch.equal(both.weight[-8:], p.weight)
