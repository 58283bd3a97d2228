"""Validation, and the guard against a network that only blurs."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from getnet_bids.training import neednet
from getnet_bids.training.neednet import collapsed, validate
from getnet_bids.training.photographs import Photographs
from getnet_bids.training.recipe import Recipe, load_recipe

CPU = torch.device("cpu")


class LowPass:
    """G(v) = v, blurred: satisfies NeedNet and knows nothing of bias fields."""

    def __init__(self, blurs: int) -> None:
        self.blurs = blurs

    def log_gain(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        x, seen = (F.adaptive_avg_pool2d(a, 16) for a in (slices, (slices > 0).float()))
        for _ in range(self.blurs):
            x, seen = (F.avg_pool2d(a, 3, stride=1, padding=1) for a in (x, seen))
        log_gain = (x / seen.clamp_min(1e-6)).clamp_min(1e-3).log()[:, 0]
        return log_gain, torch.zeros_like(log_gain)


class Flat:
    """G(v) = 1: does no harm and no good."""

    def log_gain(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros(len(slices), 16, 16), torch.zeros(len(slices), 16, 16)


class Oracle:
    """G(v) = the true field, told beforehand."""

    def __init__(self) -> None:
        self.truth: dict[bytes, Tensor] = {}

    def log_gain(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        log_gain = torch.stack([self.truth[s.numpy().tobytes()] for s in slices])
        return log_gain, torch.zeros_like(log_gain)


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch) -> Oracle:
    """Return an oracle that is told of all pairs when they are made."""
    oracle, make_pairs = Oracle(), neednet.make_pairs

    def telling(*args):
        pairs = make_pairs(*args)
        for slices, truth in ((pairs.first, pairs.log_gain_first), (pairs.second, pairs.log_gain_second)):
            oracle.truth.update((s.numpy().tobytes(), t) for s, t in zip(slices, truth, strict=True))
        return pairs

    monkeypatch.setattr(neednet, "make_pairs", telling)
    return oracle


@pytest.fixture(params=[pytest.param("default", marks=pytest.mark.slow), "simko2019"])
def recipe(request: pytest.FixtureRequest) -> Recipe:
    return load_recipe(request.param)


@pytest.mark.parametrize("blurs", [pytest.param(0, marks=pytest.mark.slow), 1, pytest.param(3, marks=pytest.mark.slow)])
def test_the_guard_tells_a_low_pass_filter_from_the_truth(
    photos: Photographs, recipe: Recipe, oracle: Oracle, blurs: int
) -> None:
    flat = validate(Flat(), photos, recipe, CPU, 64)
    blurred = validate(LowPass(blurs), photos, recipe, CPU, 64)
    good = validate(oracle, photos, recipe, CPU, 64)
    # NeedNet alone is fooled: the filter meets it several times better than no field does.
    assert blurred["ratio_mae"] < flat["ratio_mae"] / 3
    assert good["ratio_mae"] < 1e-5
    # The guard is not.
    assert collapsed(blurred)
    assert not collapsed(good)
    assert not collapsed(flat)
    assert blurred["field_mae"] > 100 * good["field_mae"]
    assert blurred["rim_leakage"] > 0.3
    assert blurred["core_leakage"] > 0.3
    assert blurred["variation_leakage"] > 0.2


def test_figures(photos: Photographs, recipe: Recipe, oracle: Oracle) -> None:
    flat = validate(Flat(), photos, recipe, CPU, 16)
    assert flat["field_mae"] == pytest.approx(flat["field_size"])
    assert flat["false_field"] == 0
    assert flat == validate(Flat(), photos, recipe, CPU, 16)
    good = validate(oracle, photos, recipe, CPU, 16)
    assert good["field_mae"] < 1e-5
    assert good["false_field"] == 0
    assert good["field_size"] == flat["field_size"] > 0
    for name in ("rim_leakage", "core_leakage", "variation_leakage"):
        assert abs(good[name]) < 1e-3


@pytest.mark.parametrize("posterised", [0.03, 1.0])
def test_the_figures_that_decide_are_there_for_any_share_of_posterised_photographs(
    photos: Photographs, posterised: float
) -> None:
    figures = validate(Flat(), photos, load_recipe("default", [f"posterised={posterised}"]), CPU, 32)
    assert math.isfinite(figures["ratio_mae"] + figures["field_mae"])


def test_too_few_photographs_for_a_figure_give_nan(photos: Photographs) -> None:
    figures = validate(Flat(), photos, load_recipe("default", ["flat=0"]), CPU, 8)
    assert math.isnan(figures["false_field"])
    assert not collapsed(figures)
