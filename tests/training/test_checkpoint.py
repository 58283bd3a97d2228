"""Checkpoints: whole or not there."""

from __future__ import annotations

import copy
import errno
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from getnet_bids.core.network import GetNet, GetNetConfig
from getnet_bids.training import checkpoint
from getnet_bids.training.checkpoint import TrainingState
from getnet_bids.training.recipe import load_recipe

RECIPE = load_recipe("default", ["widths=[4, 4, 4, 4]", "depths=[1, 1, 1, 1]"])


def state(seed: int) -> tuple[GetNet, GetNet, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    network = GetNet(GetNetConfig(RECIPE.widths, RECIPE.depths))
    optimiser = torch.optim.AdamW(network.parameters())
    network(torch.rand(1, 1, 256, 256)).sum().backward()
    optimiser.step()
    return network, copy.deepcopy(network), optimiser


def equal(a: GetNet, b: GetNet) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_there_and_back(tmp_path: Path) -> None:
    saved, other = state(0), state(1)
    assert checkpoint.load(tmp_path, *other, RECIPE) == TrainingState()
    checkpoint.save(tmp_path, *saved, TrainingState(7, 1.5, {"ratio_mae": 0.1}), RECIPE)
    assert checkpoint.load(tmp_path, *other, RECIPE) == TrainingState(7, 1.5, {"ratio_mae": 0.1})
    assert equal(saved[0], other[0])
    assert equal(saved[1], other[1])
    moments = [o.state_dict()["state"][0]["exp_avg"] for o in (saved[2], other[2])]
    assert torch.equal(*moments)


def test_a_failed_save_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = state(0)
    checkpoint.save(tmp_path, *saved, TrainingState(7), RECIPE)

    def full_disk(_state: object, file) -> None:
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match=r"No space.*checkpoint\.pt"):
        checkpoint.save(tmp_path, *state(1), TrainingState(8), RECIPE)
    monkeypatch.undo()
    other = state(2)
    assert checkpoint.load(tmp_path, *other, RECIPE).step == 7
    assert equal(saved[0], other[0])
    checkpoint.save(tmp_path, *saved, TrainingState(9), RECIPE)
    assert [p.name for p in tmp_path.iterdir()] == [checkpoint.LAST]


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, *state(0), TrainingState(7), RECIPE)
    changed = replace(RECIPE, noise=0.5)
    with pytest.raises(ValueError, match=r"another recipe \(noise 0.12 -> 0.5\)"):
        checkpoint.load(tmp_path, *state(1), changed)
    assert checkpoint.load(tmp_path, *state(1), changed, changed_recipe=True).step == 7


def test_checkpoints_of_before(tmp_path: Path) -> None:
    """Those that lack figures are read; those that lack settings, which a default could only guess, are refused."""
    network, average, optimiser = state(0)
    parts = {"network": network, "average": average, "optimiser": optimiser}
    whole = {k: v.state_dict() for k, v in parts.items()} | {"step": 3, "minutes": 0.5}
    torch.save(whole | {"recipe": asdict(RECIPE)}, tmp_path / checkpoint.LAST)
    assert checkpoint.load(tmp_path, *state(1), RECIPE) == TrainingState(3, 0.5, {})
    old = {k: v for k, v in asdict(RECIPE).items() if k not in ("chunk", "signal")}
    torch.save(whole | {"recipe": old}, tmp_path / checkpoint.LAST)
    with pytest.raises(ValueError, match="chunk, signal missing; a recipe states every setting"):
        checkpoint.load(tmp_path, *state(1), RECIPE)


@pytest.mark.parametrize("content", [b"", b"something else", None])
def test_damaged(tmp_path: Path, content: bytes | None) -> None:
    if content is None:
        torch.save({"step": 3}, tmp_path / checkpoint.LAST)
    else:
        (tmp_path / checkpoint.LAST).write_bytes(content)
    with pytest.raises(ValueError, match=r"not a whole checkpoint|not a checkpoint of a training"):
        checkpoint.read(tmp_path)
