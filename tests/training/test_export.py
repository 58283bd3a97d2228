"""Exports: which checkpoint, a spread that nobody trained, and warnings."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from getnet_bids.core.network import GetNet, GetNetConfig, load_weights
from getnet_bids.training import checkpoint
from getnet_bids.training.checkpoint import TrainingState
from getnet_bids.training.export import export, export_warnings
from getnet_bids.training.recipe import Recipe, load_recipe

GOOD = {"image_leakage": 0.05, "field_mae": 0.03, "field_size": 0.2}


def small(name: str) -> Recipe:
    return load_recipe(name, ["widths=[4,4,4,4]", "depths=[1,1,1,1]"])


def network(seed: int) -> GetNet:
    torch.manual_seed(seed)
    made = GetNet(GetNetConfig((4, 4, 4, 4), (1, 1, 1, 1)))
    torch.nn.init.normal_(made.head.weight)
    torch.nn.init.normal_(made.head.bias)
    return made


def trained(run: Path, recipe: Recipe, last: int = 0, best: int = 1) -> None:
    """Leave checkpoints of two networks in a run's folder."""
    net = network(last)
    optimiser = torch.optim.AdamW(net.parameters())
    checkpoint.save(run, net, net, optimiser, TrainingState(9000, 1.0, GOOD, 0.02), recipe)
    checkpoint.save_best(run, network(best), TrainingState(8000, 0.9, GOOD, 0.02), recipe)


@pytest.mark.parametrize(("which", "seed", "step"), [("last", 0, "9000"), ("best", 1, "8000")])
def test_the_last_or_the_best(tmp_path: Path, which: str, seed: int, step: str) -> None:
    trained(tmp_path, small("default"))
    out, _, warnings = export(tmp_path, which=which)
    assert torch.allclose(load_weights(out).head.weight, network(seed).head.weight, atol=1e-3)
    with safe_open(out, "pt") as file:
        assert file.metadata()["steps"] == step
        assert "warning" not in file.metadata()
    assert warnings == []


def test_a_spread_that_was_not_trained_is_the_same_everywhere(tmp_path: Path) -> None:
    trained(tmp_path, small("simko2019"))
    out, _, _ = export(tmp_path)
    before, after = network(0), load_weights(out)
    slices = torch.rand(2, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    log_gain, log_spread = after.log_gain(slices)
    assert float(log_spread.std()) == 0
    assert torch.allclose(log_gain, before.log_gain(slices)[0], atol=0.02)
    assert float(before.log_gain(slices)[1].detach().std()) > 0.01
    with safe_open(out, "pt") as file:
        assert file.metadata()["spread"] == "untrained"


@pytest.mark.parametrize(
    ("change", "step", "warning"),
    [
        ({"image_leakage": 0.8}, 9000, "collapsed: image_leakage is 0.80"),
        ({"field_mae": 0.19}, 9000, "hardly better than no field"),
        ({"field_mae": float("nan")}, 9000, "or this could not be measured"),
        ({"image_leakage": float("nan")}, 9000, "a collapse could not be measured"),
        ({}, 3, "trained on 768 pairs only"),
    ],
)
def test_doubts(change: dict[str, float], step: int, warning: str) -> None:
    (said,) = export_warnings(TrainingState(step, 1.0, GOOD | change), small("default"))
    assert warning in said
