"""What fills bodies: rims of constant thickness, cores, ribbons, classes, and what varies within them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from getnet_bids.training import anatomy
from getnet_bids.training.outlines import DEPTH_INSIDE, depth_below_outline
from getnet_bids.training.recipe import load_recipe

from .conftest import generator, scene


@pytest.fixture(scope="module")
def photos() -> Tensor:
    return torch.from_numpy(np.stack([scene(i, 256, 256) for i in range(16)]))[:, None] / 255


@pytest.fixture(scope="module")
def depth(photos: Tensor) -> Tensor:
    return depth_below_outline(photos, 1.0, generator(1))


def disc(radius: float = 100.0) -> Tensor:
    """Depth below the outline of a disc, shape (1, 1, 256, 256)."""
    place = torch.arange(256) - 127.5
    return (radius - torch.sqrt(place[:, None].square() + place[None, :].square())).reshape(1, 1, 256, 256)


def test_a_rims_area_is_that_of_its_thickness() -> None:
    label, ends = anatomy.rims(disc().expand(32, 1, 256, 256), 1.0, (1.0, 16.0), generator())
    for i in range(32):
        for k in range(3):
            # Counted in pixels, a ring's area is off by the lattice points near two circles.
            outer, inner = 100 - float(ends[i, k]), 100 - float(ends[i, k + 1])
            area = float((label[i][(disc() > 0)[0]] == anatomy.RIMS + k).sum())
            assert area == pytest.approx(np.pi * (outer**2 - inner**2), abs=90)
    thickness = ends.diff(dim=1)
    assert float(thickness[thickness > 0].min()) >= 1
    assert float(thickness.max()) <= 16
    assert set((thickness > 0).sum(1).tolist()) == {1, 2, 3}


def test_no_rims_at_share_0(depth: Tensor) -> None:
    label, ends = anatomy.rims(depth, 0.0, (1.0, 16.0), generator())
    assert bool((label[depth > 0] == anatomy.CONTENT).all())
    assert float(ends.abs().max()) == 0


def test_cores_follow_the_outline_at_a_distance() -> None:
    """Without folds, their borders are circles in a disc; with folds, they are not, and lie on both sides of these."""
    flat = torch.zeros(16, 1, 256, 256)
    label = anatomy.cores(disc().expand(16, 1, 256, 256), flat, 1.0, generator())
    depth = disc()[0, 0]
    for one in (label[:, 0] == anatomy.CORES) & (depth > 0):
        edge = depth[one].max()
        assert 1.5 < float(edge) < 25.5
        assert torch.equal(one, (depth > 0) & (depth <= edge))
    fold = anatomy.resize(anatomy.folds(torch.rand(16, 1, 256, 256, generator=generator(2)), 3, 20, generator()), 256)
    folded = anatomy.cores(disc().expand(16, 1, 256, 256), fold, 1.0, generator())
    assert 0.01 < float((folded != label)[disc().expand_as(label) > 0].float().mean()) < 0.6
    assert bool((anatomy.cores(disc().expand(16, 1, 256, 256), fold, 0.0, generator()) == anatomy.CONTENT).all())


def test_ribbons_have_their_thickness() -> None:
    """Along a level set of a plane's slope there is a straight ribbon."""
    slope = torch.linspace(-1.7, 1.7, 128).reshape(1, 1, 1, 128).expand(8, 1, 128, 128)
    ribbon = anatomy.resize(anatomy.ribbons(slope, 1.0, generator()), 256)
    thickness = (ribbon > 0).sum(3)[:, 0, 100].float()
    assert float(thickness.min()) >= 1
    assert float(thickness.max()) <= 9
    assert float(anatomy.ribbons(slope, 0.0, generator()).max()) < 0


@pytest.mark.parametrize("smoothed", [0.0, 4.0])
def test_gray_classes_are_ordered_as_the_photograph(photos: Tensor, smoothed: float) -> None:
    label = anatomy.gray_classes(photos, (2, 7), smoothed, generator())
    assert int(label.min()) >= 0
    assert int(label.max()) <= 6
    assert all(2 <= len(one.unique()) <= 7 for one in label)
    if smoothed == 0:
        for one, photo in zip(label, photos, strict=True):
            tops = [float(photo[one == k].max()) for k in one.unique()]
            assert tops == sorted(tops)


def test_variation_has_its_strength_and_differs_from_class_to_class() -> None:
    label = torch.zeros(64, 1, 256, 256, dtype=torch.int64)
    label[..., 128:] = 1
    change = anatomy.variation(label, 2, 0.05, generator())
    spread = change.flatten(1).std(1)
    assert 0 < float(spread.max()) < 0.065
    assert float(spread.mean()) == pytest.approx(0.025, abs=0.006)
    # Across the border the change has jumps, which a field has not.
    jump = (change[..., 128] - change[..., 127]).square().mean()
    step = (change[..., 127] - change[..., 126]).square().mean()
    assert float(jump) > 20 * float(step)
    assert float(anatomy.variation(label, 2, 0.0, generator()).abs().max()) == 0


def test_the_recipes_slices_are_positive_and_flat_within_classes(photos: Tensor, depth: Tensor) -> None:
    """With neither texture nor variation a posterised slice has no more values than classes."""
    recipe = load_recipe("default", ["texture=0", "variation=0", "grain=0"])
    flat = torch.ones(16, dtype=torch.bool)
    slices, change, _ = anatomy.fill(photos, depth, flat, recipe, generator())
    assert all(len(one.unique()) <= anatomy.GRAYS + 7 for one in slices)
    assert float(change.abs().max()) == 0
    full = load_recipe("default")
    slices, _, _ = anatomy.fill(photos, depth, flat, full, generator())
    assert bool((slices >= 0).all())
    assert bool(torch.isfinite(slices).all())
    assert torch.equal(slices, anatomy.fill(photos, depth, flat, full, generator())[0])
    assert not torch.equal(slices, anatomy.fill(photos, depth, flat, full, generator(1))[0])


def test_plain_photographs_stay_where_there_is_no_layer(photos: Tensor) -> None:
    recipe = load_recipe("default", ["variation=0", "grain=0", "cores=0", "ribbons=0"])
    everywhere = torch.full_like(photos, DEPTH_INSIDE)
    slices, _, _ = anatomy.fill(photos, everywhere, torch.zeros(16, dtype=torch.bool), recipe, generator())
    assert torch.equal(slices, photos)
