"""Benchmarks on heads with a truth and on scans with labels, on phantoms small enough to compute by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import accuracy_heads
import accuracy_labels
import nibabel as nib
import numpy as np
import pytest
from foreign_fields import foreign_field
from label_field import fit_label_field

from getnet_bids.core.correction import CorrectedVolume
from getnet_bids.core.network import GetNet, GetNetConfig, pack_weights
from tests.datasets import read_table

SHAPE = (40, 44, 36)
ROOT = Path(__file__).parents[1]
WHITE, GRAY = 1000.0, 700.0


def ball(radius: float) -> np.ndarray:
    return sum(x**2 for x in np.ix_(*[np.linspace(-1, 1, n) for n in SHAPE])) < radius**2


def ramp() -> np.ndarray:
    """Make a bias field that rises along the first axis."""
    return np.exp(0.3 * np.linspace(-1, 1, SHAPE[0]))[:, None, None] * np.ones(SHAPE)


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values.astype(np.float32), np.eye(4)), path)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "w.safetensors"
    path.write_bytes(pack_weights(GetNet(GetNetConfig((4, 4, 4, 4), (1, 1, 1, 1)))))
    return path


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    """Write a head of two tissues, whole and stripped, under two fields."""
    root = tmp_path / "bids"
    white, gray = ball(0.5), ball(0.8) & ~ball(0.5)
    clean = WHITE * white + GRAY * gray
    for sub in ("01", "01s"):
        truth = root / "derivatives" / "truth" / f"sub-{sub}"
        for name, share in {"CSF": np.zeros(SHAPE), "GM": gray, "WM": white}.items():
            save(truth / "anat" / f"sub-{sub}_label-{name}_probseg.nii.gz", share)
        save(truth / "anat" / f"sub-{sub}_desc-original_T1w.nii.gz", clean)
        for kind, field in {"smooth20": ramp(), "none": np.ones(SHAPE)}.items():
            save(truth / f"ses-{kind}" / "anat" / f"sub-{sub}_ses-{kind}_biasfield.nii.gz", field)
            save(root / f"sub-{sub}" / f"ses-{kind}" / "anat" / f"sub-{sub}_ses-{kind}_T1w.nii.gz", clean * field)
    return root


def test_heads(heads: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    command = [str(heads), "--out", str(out), "--weights", str(weights), "--methods", "input", "getnet"]
    assert accuracy_heads.main(command) == 0
    rows = {(r["part"], r["field"], r["method"]): r for r in read_table(out / "accuracy_heads.tsv")}
    assert len(rows) == 8
    log_field, white, gray = np.log(ramp()), ball(0.5), ball(0.8) & ~ball(0.5)
    plain = rows["whole", "smooth20", "input"]
    assert float(plain["field_brain"]) == pytest.approx(log_field[ball(0.8)].std(), rel=2e-3)
    assert float(plain["slope"]) == 0
    shaded = (WHITE * ramp())[white].mean() / (GRAY * ramp())[gray].mean()
    assert float(plain["kept"]) == pytest.approx(np.log(shaded) / np.log(WHITE / GRAY), rel=2e-3)
    assert float(rows["stripped", "none", "input"]["field_brain"]) == pytest.approx(0, abs=1e-6)
    assert rows["whole", "none", "input"]["slope"] == "n/a"
    assert float(rows["whole", "smooth20", "getnet"]["z_sd"]) > 0
    means = {
        (r["field"], r["contrast"], r["part"], r["method"]): r for r in read_table(out / "accuracy_heads_means.tsv")
    }
    assert means["ordinary", "all", "all", "input"]["images"] == "2"
    assert means["none", "T1w", "whole", "getnet"]["worst_image"] == "01 T1w none"
    assert (out / "accuracy_heads.png").stat().st_size > 10_000
    printed = capsys.readouterr().out
    before = (out / "accuracy_heads.tsv").read_bytes()
    assert accuracy_heads.main(command) == 0  # all is known already
    assert (out / "accuracy_heads.tsv").read_bytes() == before
    assert capsys.readouterr().out == printed
    assert accuracy_heads.main(["--table", str(out / "accuracy_heads.tsv")]) == 0
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize("kind", ["monai", "torchio"])
def test_foreign_fields(heads: Path, tmp_path: Path, kind: str) -> None:
    pytest.importorskip(kind)
    field, again, other = (foreign_field(kind, SHAPE, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(field, again)
    assert np.abs(np.log(field / other)).max() > 0.01
    assert (field > 0).all()
    assert np.log(field).mean() == pytest.approx(0, abs=1e-5)
    out = tmp_path / "out"
    assert accuracy_heads.main([str(heads), "--out", str(out), "--foreign", kind, "--methods", "input"]) == 0
    rows = read_table(out / "accuracy_heads.tsv")
    assert [(row["part"], row["field"]) for row in rows] == [("whole", kind), ("stripped", kind)]
    assert all(float(row["field_brain"]) > 0.005 for row in rows)


def test_every_third_head_covers_all_contrasts_and_fields(tmp_path: Path) -> None:
    cases = [
        accuracy_heads.Case(tmp_path, tmp_path, subject + part, field, contrast)
        for subject in ("01", "02", "03")
        for part in ("", "s")
        for contrast in ("PDw", "T1w", "T2w")
        for field in ("bowl", "coil", "smooth20")
    ]
    kept = accuracy_heads.thin(cases, 3)
    assert len(kept) == len(cases) / 3
    assert len({(c.contrast, c.field) for c in kept}) == 9
    assert {c.subject for c in kept} == {"01", "02", "03", "01s", "02s", "03s"}


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_calibration_is_the_factor_by_which_errors_exceed_their_prediction(factor: float) -> None:
    rng = np.random.default_rng(0)
    sd = rng.uniform(0.01, 0.03, SHAPE)
    field = ramp() * np.exp(0.7 + factor * sd * rng.normal(size=SHAPE))
    result = CorrectedVolume(np.ones(SHAPE), field, ball(0.9), uncertainty=sd.astype(np.float32))
    found = accuracy_heads.calibration(result, ramp())
    assert found["z_sd"] == pytest.approx(factor, rel=0.02)
    assert found["sd"] == pytest.approx(0.02, rel=0.02)


@pytest.fixture
def labels() -> np.ndarray:
    """Make a segmentation: CSF around gray around white matter."""
    return (ball(0.9).astype(np.int16) + ball(0.8) + ball(0.5)).astype(np.int16)


def test_labels_tell_the_field(labels: np.ndarray) -> None:
    x = (np.arange(SHAPE[0]) + 0.5) / SHAPE[0]
    log_field = 0.3 * np.cos(np.pi * (x + 0.1) / 1.2)[:, None, None] * np.ones(SHAPE)
    image = np.array([0, 300, GRAY, WHITE])[labels] * np.exp(log_field)
    image[20, 20, :] *= 3  # a few voxels of wrong label
    found = fit_label_field(image.astype(np.float32), labels, (3.0, 3.0, 3.0))
    assert (found.log_field - log_field)[found.both].std() < 0.001
    assert found.contrast == pytest.approx(np.log(WHITE / GRAY), abs=0.001)


def test_real_scans(labels: np.ndarray, weights: Path, tmp_path: Path) -> None:
    root, out = tmp_path / "bids", tmp_path / "out"
    image = np.array([0, 300, GRAY, WHITE])[labels] * ramp()
    rng = np.random.default_rng(0)
    save(root / "sub-01" / "anat" / "sub-01_T1w.nii.gz", image + 10 * rng.random(SHAPE))
    save(root / "derivatives" / "truth" / "sub-01" / "anat" / "sub-01_dseg.nii.gz", labels)
    save(root / "derivatives" / "truth" / "sub-01" / "anat" / "sub-01_biasfield.nii.gz", ramp())
    command = [str(root), "--out", str(out), "--weights", str(weights)]
    assert accuracy_labels.main(command) == 0
    rows = {r["method"]: r for r in read_table(out / "accuracy_labels.tsv")}
    plain = {k: float(v) for k, v in rows["input"].items() if k in accuracy_labels.SCORES}
    assert plain["inject"] == pytest.approx(1, rel=1e-4)
    assert plain["again"] == 0
    foreground = accuracy_labels.foreground(image.astype(np.float32))
    assert plain["measured"] == pytest.approx(np.log(ramp())[foreground].std(), rel=0.02)
    assert plain["labels"] == pytest.approx(np.log(ramp())[labels >= 2].std(), rel=0.05)
    assert float(rows["getnet"]["inject"]) > 0
    assert {r["scans"] for r in read_table(out / "accuracy_labels_means.tsv")} == {
        "all",
        "manual labels",
        "measured field",
    }


def test_a_known_field_has_its_spread_and_bends_no_faster_along_thick_slices() -> None:
    where = np.ones((64, 64, 8), bool)
    field = np.log(accuracy_labels.known_field("smooth40", where, (1.0, 1.0, 8.0), "a"))
    assert field.std() == pytest.approx(0.2, rel=1e-3)
    steps = [np.abs(np.diff(field, axis=axis)).mean() for axis in (0, 2)]
    assert 2 < steps[1] / steps[0] < 32  # 8 mm against 1 mm


def test_one_command_lists_and_runs_them_all() -> None:
    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "benchmarks", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    listed = run("--help")
    from benchmarks.__main__ import COMMANDS

    assert all(
        f"  {name} " in listed and (ROOT / "benchmarks" / f"{m}.py").is_file() for name, (m, _) in COMMANDS.items()
    )
    assert "python -m benchmarks heads" in run("heads", "--help")
