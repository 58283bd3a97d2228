"""The loop: resuming gives the same bits, stopping is orderly, two processes give one process's loss."""

from __future__ import annotations

import csv
import math
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from PIL import Image

from getnet_bids.training import checkpoint, loop
from getnet_bids.training.loop import Outcome, Schedule, train
from getnet_bids.training.photographs import Photographs
from getnet_bids.training.recipe import Recipe, load_recipe
from getnet_bids.training.signals import stop_on_signal

from .conftest import TINY

EVERY_STEP = Schedule(save_minutes=0, log_every=1, validate_every=1000)


def tiny(*changes: str) -> Recipe:
    return load_recipe("default", [*TINY, *changes])


def run_tiny(photos: Photographs, run: Path, recipe: Recipe, schedule: Schedule = EVERY_STEP) -> Outcome:
    run.mkdir(exist_ok=True)
    return train(recipe, photos, run, Fabric(accelerator="cpu", devices=1, precision=recipe.precision), schedule)


def rows(run: Path, kind: str = "training") -> list[dict[str, str]]:
    with open(run / "figures.csv", newline="") as file:
        return [row for row in csv.DictReader(file) if row["kind"] == kind]


def assert_same_bits(one: Path, other: Path) -> None:
    a, b = checkpoint.read(one), checkpoint.read(other)
    assert a is not None
    assert b is not None
    assert a["step"] == b["step"]
    for part in ("network", "average"):
        assert all(torch.equal(a[part][k], b[part][k]) for k in a[part]), part
    for i, moments in a["optimiser"]["state"].items():
        assert all(torch.equal(v, b["optimiser"]["state"][i][k]) for k, v in moments.items())


def command(run: Path, folder: Path, caches: Path, *more: str) -> list[str]:
    base = [sys.executable, "-m", "getnet_bids.training.cli", "--data", str(folder), "--cache", str(caches)]
    schedule = ["--save-minutes", "0", "--log-every", "1", "--validate-every", "1000"]
    return [*base, "--run", str(run), "--accelerator", "cpu", *schedule, *more, "--set", *TINY]


ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


@pytest.fixture
def no_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave validation out, which takes longer than the steps here."""
    monkeypatch.setattr(loop, "validate", lambda *_: {"image_leakage": 0.0, "field_mae": 0.1, "ratio_mae": 0.1})


@pytest.mark.usefixtures("no_validation")
@pytest.mark.parametrize("changes", [(), ("optimiser=nadam", "loss=gain", "clip=0", "ema=0")])
def test_a_resumed_run_equals_an_uninterrupted_one(
    photos: Photographs, tmp_path: Path, changes: tuple[str, ...], capsys: pytest.CaptureFixture
) -> None:
    recipe = tiny("steps=6", *changes)
    assert run_tiny(photos, tmp_path / "whole", recipe) is Outcome.DONE
    for _ in range(3):
        outcome = run_tiny(photos, tmp_path / "parts", recipe, Schedule(max_minutes=0))
        assert outcome is Outcome.TIME
    assert checkpoint.read(tmp_path / "parts")["step"] == 3
    assert f"{tmp_path / 'parts' / 'checkpoint.pt'}: resumes after step 2 of 6" in capsys.readouterr().err
    assert run_tiny(photos, tmp_path / "parts", recipe) is Outcome.DONE
    assert_same_bits(tmp_path / "whole", tmp_path / "parts")
    assert run_tiny(photos, tmp_path / "parts", recipe) is Outcome.DONE


@pytest.mark.slow
def test_killed_in_the_middle_and_started_again(
    photos: Photographs, folder: Path, caches: Path, tmp_path: Path
) -> None:
    """With SIGKILL, through the command line; the weights equal those of a run in this process."""
    steps = 60
    start = [*command(tmp_path / "killed", folder, caches), f"steps={steps}"]
    process = subprocess.Popen(start, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    figures = tmp_path / "killed" / "figures.csv"
    deadline = time.monotonic() + 120
    while not (figures.exists() and len(rows(tmp_path / "killed")) >= 5):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    done = checkpoint.read(tmp_path / "killed")["step"]
    assert 4 <= done < steps

    again = subprocess.run(start, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert "all steps are done" in again.stderr
    assert [int(r["step"]) for r in rows(tmp_path / "killed")] == list(range(1, steps + 1))
    assert run_tiny(photos, tmp_path / "whole", tiny(f"steps={steps}")) is Outcome.DONE
    assert_same_bits(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.usefixtures("no_validation")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_and_stops(
    photos: Photographs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    steps, crops = [], Photographs.crops

    def crops_and_signal(self, which, rng):
        steps.append(1)
        if len(steps) == 5:  # the first chunk of the third step
            os.kill(os.getpid(), number)
        return crops(self, which, rng)

    monkeypatch.setattr(Photographs, "crops", crops_and_signal)
    before = signal.getsignal(number)
    assert run_tiny(photos, tmp_path, tiny("steps=10"), Schedule()) is Outcome.SIGNAL
    assert checkpoint.read(tmp_path)["step"] == 3
    assert signal.getsignal(number) is before


@pytest.mark.usefixtures("no_validation")
def test_a_second_training_in_the_folder_is_refused(
    photos: Photographs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one is started during the first step of the first, which goes on."""
    started, said, crops = [], [], Photographs.crops

    def crops_and_train(self, which, rng):
        if not started:
            started.append(True)
            try:
                run_tiny(photos, tmp_path, tiny("steps=2"))
            except ValueError as error:
                said.append(str(error))
        return crops(self, which, rng)

    monkeypatch.setattr(Photographs, "crops", crops_and_train)
    assert run_tiny(photos, tmp_path, tiny("steps=2")) is Outcome.DONE
    assert said == [f"{tmp_path}: another process is training in this folder"]
    assert len(rows(tmp_path)) == 2
    assert not list(tmp_path.glob(".getnet-*"))
    assert run_tiny(photos, tmp_path, tiny("steps=2")) is Outcome.DONE


def test_a_second_interrupt_ends_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), stop_on_signal() as asked:  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        assert asked.wait(1)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.slow
def test_two_processes_give_one_processs_loss(photos: Photographs, folder: Path, caches: Path, tmp_path: Path) -> None:
    """Gloo, float32; the figures of each step, which depend on all gradients before it, are within 1e-5."""
    ddp = [*command(tmp_path / "two", folder, caches, "--devices", "2", "--strategy", "ddp"), "steps=8"]
    subprocess.run(ddp, env=ENVIRONMENT, capture_output=True, text=True, check=True, timeout=300)
    run_tiny(photos, tmp_path / "one", tiny("steps=8"))
    one, two = rows(tmp_path / "one"), rows(tmp_path / "two")
    assert len(one) == len(two) == 8
    for a, b in zip(one, two, strict=True):
        for name in ("loss", "ratio_mae", "field_mae"):
            assert float(a[name]) == pytest.approx(float(b[name]), abs=1e-5)


def test_what_a_run_leaves(
    photos: Photographs, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "validate", partial(loop.validate, count=16))  # of 128, which takes a minute
    run_tiny(photos, tmp_path, tiny("steps=4"), Schedule(log_every=2, validate_every=2))
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {
        "best.pt", "checkpoint.pt", "recipe.toml", "run.json", "figures.csv", "curves.png", "tensorboard",
    }  # fmt: skip
    assert load_recipe(tmp_path / "recipe.toml") == tiny("steps=4")
    assert [int(r["step"]) for r in rows(tmp_path)] == [2, 4]
    validation = rows(tmp_path, "validation")
    assert [int(r["step"]) for r in validation] == [2, 4]
    assert float(validation[-1]["field_mae"]) > 0
    err = capsys.readouterr().err
    assert "step 4, held-out photographs: ratio_mae " in err
    assert f"{tmp_path}: new run, 4 steps of 4 pairs" in err
    assert "warning: 30 photographs, fewer than the 10000 wanted" in err
    least = min(float(row["field_mae"]) for row in validation)
    best = checkpoint.read(tmp_path, "best")
    assert best["best"] == best["figures"]["field_mae"] == pytest.approx(least, rel=1e-4)
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size == (1000, 400)


@pytest.mark.slow
def test_it_learns(photos: Photographs, tmp_path: Path) -> None:
    """Thirty steps on the same few pairs bring the loss down."""
    recipe = tiny("steps=40", "learning_rate=0.01", "spread=[0.3,0.3]", "posterised=1", "texture=0", "noise=0")
    run_tiny(photos, tmp_path, recipe, Schedule(log_every=10))
    losses = [float(r["field_mae"]) for r in rows(tmp_path)]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.usefixtures("no_validation")
def test_a_loss_that_is_not_finite_stops_before_it_is_saved(
    photos: Photographs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny("steps=4")
    run_tiny(photos, tmp_path, recipe, Schedule(max_minutes=0))
    real = loop.neednet_loss

    def broken(*args):
        losses = real(*args)
        return losses | {"loss": losses["loss"] * math.nan}

    monkeypatch.setattr(loop, "neednet_loss", broken)
    with pytest.raises(FloatingPointError, match="not finite at step 2 or just before: lower learning_rate"):
        run_tiny(photos, tmp_path, recipe)
    assert checkpoint.read(tmp_path)["step"] == 1


def test_too_few_photographs(photos: Photographs, tmp_path: Path) -> None:
    few = Photographs(photos.pixels, photos.index[:1])
    with pytest.raises(ValueError, match="of 1 photographs"):
        run_tiny(few, tmp_path, tiny())


@pytest.mark.usefixtures("no_validation")
def test_the_average_ends_at_the_weights_without_ema(photos: Photographs, tmp_path: Path) -> None:
    run_tiny(photos, tmp_path, tiny("steps=2", "ema=0"))
    state = checkpoint.read(tmp_path)
    assert all(np.array_equal(state["network"][k], state["average"][k]) for k in state["network"])
