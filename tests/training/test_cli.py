"""getnet-train: arguments, errors in one line, exit codes, export."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from getnet_bids.core.network import load_weights
from getnet_bids.training import checkpoint
from getnet_bids.training.cli import main
from getnet_bids.training.photographs import Photographs

from .conftest import TINY


def run(folder: Path, caches: Path, where: Path, *more: str, changes: tuple[str, ...] = ("steps=3",)) -> int:
    base = ["--data", str(folder), "--cache", str(caches), "--run", str(where), "--accelerator", "cpu"]
    return main([*base, *more, "--set", *TINY, *changes])


def test_help_is_quick() -> None:
    """Neither torch nor Lightning is loaded."""
    code = (
        "import sys; from getnet_bids.training.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'lightning', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_train_and_export(folder: Path, caches: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    where = tmp_path / "run"
    assert run(folder, caches, where) == 0
    terms = tmp_path / "terms.md"
    terms.write_text("Synthetic ellipses, CC0.")
    out = tmp_path / "weights" / "mine.safetensors"
    assert main(["export", str(where), "--out", str(out), "--terms", str(terms)]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [str(out), str(out.with_suffix(".md"))]
    assert f"warning: {out}: trained on 12 pairs only" in printed.err
    average = checkpoint.read(where)["average"]
    exported = load_weights(out).state_dict()
    assert all(torch.allclose(exported[k], average[k], atol=1e-3) for k in average)
    card = out.with_suffix(".md").read_text()
    for text in ("Synthetic ellipses, CC0.", "| Steps | 3 of 3 |", "| Pairs of slices seen | 12 |", "30 photographs"):
        assert text in card
    assert "**Warning: trained on 12 pairs only.**" in card
    with safe_open(out, "pt") as file:
        assert file.metadata()["warning"].startswith("trained on 12 pairs only")
        assert file.metadata()["spread"] == "expected absolute error"
    for text in ("field_mae | 0.", "steps = 3", "mine.safetensors", "torch ", " 1 x "):
        assert text in card


def test_other_photographs_are_refused_and_all_are_in_the_card(
    folder: Path, caches: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for i, path in enumerate(sorted(folder.rglob("*.JPEG"))[:12]):
        shutil.copy(path, other / f"{i}.jpg")
    where = tmp_path / "run"
    assert run(folder, caches, where) == 0
    more = ("steps=4",)
    assert run(other, caches, where, "--changed-recipe", changes=more) == 0
    card = main(["export", str(where), "--out", str(tmp_path / "w.safetensors")])
    assert card == 0
    text = (tmp_path / "w.md").read_text()
    assert "30 photographs from" in text
    assert "12 photographs from `other`" in text
    capsys.readouterr()
    record = json.loads((where / "run.json").read_text())
    record["data"]["crc32_pixels"] += 1
    (where / "run.json").write_text(json.dumps(record))
    content = checkpoint.read(where)
    content["step"] = 2  # as if it had been stopped
    checkpoint.write(where / checkpoint.LAST, content)
    assert run(other, caches, where, changes=more) == 1
    assert "was begun with other photographs (12 from other; now 12 from other)" in capsys.readouterr().err


def test_layers_and_optimiser_of_a_run_cannot_be_changed(
    folder: Path, caches: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    where = tmp_path / "run"
    assert run(folder, caches, where) == 0
    assert run(folder, caches, where, "--changed-recipe", changes=("steps=4", "widths=[8,4,4,8]")) == 1
    assert "widths of a run cannot be changed: give another --run" in capsys.readouterr().err


def test_weights_that_began_with_others_say_so(
    folder: Path, caches: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(folder, caches, first) == 0
    weights = tmp_path / "first.safetensors"
    assert main(["export", str(first), "--out", str(weights)]) == 0
    assert run(folder, caches, second, "--start-from", str(weights)) == 0
    assert main(["export", str(second), "--out", str(tmp_path / "second.safetensors")]) == 0
    text = " ".join((tmp_path / "second.md").read_text().split())
    assert f"started from the weights with SHA-256 `{hashlib.sha256(weights.read_bytes()).hexdigest()}`" in text
    assert "No medical image was used for training in this run or" in text
    capsys.readouterr()
    assert main(["export", str(second), "--out", str(tmp_path)]) == 1
    assert "is a folder; give --out the name of a file" in capsys.readouterr().err


@pytest.mark.slow
def test_the_same_again_is_done_and_another_recipe_refused(
    folder: Path, caches: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(folder, caches, tmp_path / "run") == 0
    assert run(folder, caches, tmp_path / "run") == 0
    # Without --recipe and --set, the run's own.
    assert (
        main(["--data", str(folder), "--cache", str(caches), "--run", str(tmp_path / "run"), "--accelerator", "cpu"])
        == 0
    )
    capsys.readouterr()
    before = (tmp_path / "run" / "recipe.toml").read_text()
    assert run(folder, caches, tmp_path / "run", changes=("steps=5",)) == 1
    assert "was begun with another recipe (steps 3 -> 5)" in capsys.readouterr().err
    assert (tmp_path / "run" / "recipe.toml").read_text() == before
    assert run(folder, caches, tmp_path / "run", "--changed-recipe", changes=("steps=5",)) == 0
    assert checkpoint.read(tmp_path / "run")["step"] == 5


@pytest.mark.slow
def test_time_and_signals(folder: Path, caches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(folder, caches, tmp_path / "time", "--max-minutes", "0") == 0
    crops = Photographs.crops

    def crops_and_signal(self, which, rng):
        os.kill(os.getpid(), signal.SIGTERM)
        return crops(self, which, rng)

    monkeypatch.setattr(Photographs, "crops", crops_and_signal)
    assert run(folder, caches, tmp_path / "signal") == 75
    assert checkpoint.read(tmp_path / "signal")["step"] == 1


def test_cache_only(folder: Path, tmp_path: Path) -> None:
    assert run(folder, tmp_path / "caches", tmp_path / "run", "--cache-only") == 0
    assert len(list((tmp_path / "caches").iterdir())) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--data", "nowhere"], "nowhere: no such folder or file"),
        (["--data", "{data}", "--recipe", "simko"], "no recipe 'simko'"),
        (["--data", "{data}", "--set", "stepz=1"], "no setting 'stepz'"),
        (["--data", "{data}", "--devices", "0,x"], "from --accelerator, --devices, --num-nodes or --strategy"),
        (["--data", "{data}", "--rate-only"], "--rate-only needs --fit-minutes M"),
        (["--data", "{data}", "--set", "validation=0", "--run", "{tmp}/run"], "leaves none to hold out"),
        (["--data", "{data}", "--set", "families=['brain']"], "there is no field family 'brain'"),
        (["export", "{tmp}"], "no checkpoint.pt in it"),
    ],
)
def test_errors_are_one_line(
    args: list[str], message: str, folder: Path, caches: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    filled = [a.format(data=folder, tmp=tmp_path) for a in args]
    more = [] if args[0] == "export" else ["--cache", str(caches), "--accelerator", "cpu"]
    assert main([*more, *filled] if more else filled) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("getnet-train: ")
    assert message in last
    assert not (tmp_path / "run").exists()


def test_medical_images_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "sub-01_T1w.nii.gz").write_bytes(b"x")
    assert main(["--data", str(tmp_path), "--accelerator", "cpu"]) == 1
    assert "GetNet is trained on photographs only, so that it favours no anatomy" in capsys.readouterr().err


@pytest.mark.parametrize(
    "args", [[], ["--data"], ["--data", "x", "--max-minutes", "-1"], ["--data", "x", "--log-every", "0"]]
)
def test_wrong_arguments(args: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(args)
    assert stopped.value.code == 2
