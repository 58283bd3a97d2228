"""benchmarks/accuracy.py on a phantom of concentric ellipsoids: a head of 40 mm."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import accuracy
import nibabel as nib
import numpy as np
import pytest
from accuracy_methods import code_of

from getnet_bids.core.network import GetNet, GetNetConfig, pack_weights
from getnet_bids.training.evaluation import brainweb
from getnet_bids.training.evaluation.brainweb import gain_field, read_heads
from tests.datasets import add, describe, read_table

SHAPE = (72, 88, 80)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    radius = np.sqrt(sum(x**2 for x in np.ix_(*[np.linspace(-1, 1, n) for n in SHAPE])))
    labels = np.zeros(SHAPE, np.uint8)
    for outer, label in ((0.95, 4), (0.85, 7), (0.8, 1), (0.72, 2), (0.5, 3)):
        labels[radius < outer] = label
    (folder / "subject07_crisp_v.mnc.gz").write_bytes(gzip.compress(labels.tobytes(), 1))
    return folder


@pytest.fixture
def base(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the arguments of a quick run."""
    monkeypatch.setattr(brainweb, "SHAPE", SHAPE)
    accuracy.heads_of.cache_clear()
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(pack_weights(GetNet(GetNetConfig((4, 4, 4, 4), (1, 1, 1, 1)))))
    return ["--brainweb", str(models), "--subjects", "07", "--weights", str(weights), "--out", str(tmp_path / "out")]


@pytest.mark.slow
def test_one_image(base: list[str], models: Path, tmp_path: Path, capsys) -> None:
    methods = ["input", "n4-mask", "n4-brain", "getnet-alone", "getnet"]
    once = [*base, "--contrasts", "T2w", "--fields", "smooth40", "--methods", *methods]
    assert accuracy.main(once) == 0
    out = tmp_path / "out"
    rows = {row["method"]: row for row in read_table(out / "accuracy_rows.tsv")}
    assert list(rows) == methods
    # The input's scores are those of the true field alone.
    heads = read_heads(models / "subject07_crisp_v.mnc.gz", ["T1w", "T2w"])
    head, truth = heads["T2w"], gain_field("smooth40", heads["T1w"].head, [0, 7])
    log_truth = np.log(truth)
    assert float(rows["input"]["field_brain"]) == pytest.approx(log_truth[head.brain].std(), rel=1e-3)
    assert float(rows["input"]["field_head"]) == pytest.approx(0.2, rel=0.01)  # T1w sees a little less
    assert float(rows["input"]["slope"]) == 0
    gray = truth[head.shares["GM"] > 0.9]
    assert float(rows["input"]["cv_GM"]) == pytest.approx(gray.std() / gray.mean(), rel=0.15)  # noise on top
    assert float(rows["n4-mask"]["field_brain"]) < 0.7 * float(rows["input"]["field_brain"])
    assert 0 < float(rows["n4-brain"]["field_brain"]) != float(rows["n4-mask"]["field_brain"])
    assert rows["n4-mask"]["second_cv"] == "n/a" != rows["getnet"]["second_cv"]
    assert {Path(f).name for f in out.iterdir()} == {
        *("accuracy_rows.tsv", "accuracy_images.tsv", "accuracy.tsv", "accuracy.png")
    }
    assert (out / "accuracy.png").stat().st_size > 10_000
    assert "not measured  GetNet, mean field_brain over N4's" in capsys.readouterr().out


def test_what_has_been_measured_is_not_measured_again(
    base: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = [*base, "--contrasts", "T1w", "--fields", "none", "coil", "--methods", "input", "getnet-alone"]
    path = tmp_path / "out" / "accuracy_rows.tsv"
    assert accuracy.main(run) == 0
    whole = path.read_text()
    assert whole.count("\n") == 1 + 4
    assert accuracy.main(run) == 0
    assert path.read_text() == whole
    # Killed in the midst of a line: that one alone is measured again.
    path.write_text(whole[:-20])
    assert accuracy.main(run) == 0
    lines = path.read_text().splitlines()
    assert lines[:4] == whole.splitlines()[:4]
    assert [line.split("\t")[:6] for line in lines[4:]] == [whole.splitlines()[4].split("\t")[:6]]
    # Other weights are another method; another one's rows stay.
    (tmp_path / "w.safetensors").write_bytes(pack_weights(GetNet(GetNetConfig((4, 4, 4, 4), (1, 1, 1, 1)))))
    assert accuracy.main(run) == 0
    assert len(path.read_text().splitlines()) == len(lines) + 2
    assert len(read_table(tmp_path / "out" / "accuracy_images.tsv")) == 4
    # What is to be reused is not run.
    assert accuracy.main([*run[:-1], "n4", "--reuse", "n4"]) == 0
    assert len(path.read_text().splitlines()) == len(lines) + 2


def test_several_at_a_time_give_the_same(base: list[str], tmp_path: Path) -> None:
    run = [*base, "--contrasts", "T1w", "T2w", "--fields", "none", "--methods", "input"]
    args = accuracy.make_parser().parse_args(run)
    args.out.mkdir()
    rows = accuracy.run_all(
        [accuracy.Case("07", c, "none", 0.03, 0) for c in ("T1w", "T2w")], accuracy.chosen_methods(args), args
    )
    assert [row["contrast"] for row in rows] == ["T1w", "T2w"]
    assert all(float(row["field_cv"]) == 0 for row in rows)


def made(method: str, subject: str, brain: float, **more: str) -> dict[str, str]:
    import accuracy_tables

    row = dict.fromkeys(("seed", *accuracy_tables.MEANS), "0.5")
    row |= {"subject": subject, "contrast": "T1w", "field": "coil", "noise": "0.03", "method": method}
    return row | {"field_brain": str(brain), **more}


def test_summary_compares_image_by_image() -> None:
    import accuracy_tables

    rows = [made("n4", "04", 0.02), made("n4", "20", 0.04), made("getnet", "04", 0.03), made("getnet", "20", 0.01)]
    rows += [made("getnet", "41", 9.0), made("input", "04", 0.1, slope="n/a")]
    summary = {(r["field"], r["method"]): r for r in accuracy_tables.summarise(rows)}
    ours = summary["coil", "getnet"]
    assert ours == summary["ordinary", "getnet"] | {"field": "coil"}
    assert float(ours["field_brain"]) == pytest.approx((0.03 + 0.01 + 9) / 3, rel=1e-3)
    # The third image has none of N4's to compare with.
    assert float(ours["to_n4_field_brain"]) == pytest.approx(0.04 / 0.06, rel=1e-3)
    assert float(ours["worst_to_n4_field_brain"]) == pytest.approx(1.5)
    assert float(ours["worst_to_input_field_brain"]) == pytest.approx(0.3)
    assert summary["coil", "input"]["slope"] == "n/a"


def test_goals() -> None:
    from accuracy_goals import goals

    rows = [made("n4", "04", 0.02), made("getnet", "04", 0.011, slope="1.01", second_cv="0.02")]
    lines = {line.split(":")[0]: line for line in goals(rows)}
    assert [line[:7] for line in lines.values() if "mean field_brain" in line] == ["not mea", "met    ", "not mea"]
    assert any(line.startswith("NOT MET") and "second pass" in line and "0.020" in line for line in lines.values())


def test_the_readmes_tables_are_restructured_text(tmp_path: Path, capsys) -> None:
    core = pytest.importorskip("docutils.core")
    import accuracy_tables

    rows = [made(m, s, 0.02, field=f) for m in accuracy_tables.NAMES for s in ("04", "20") for f in ("coil", "none")]
    accuracy_tables.write(accuracy_tables.summarise(rows), tmp_path / "accuracy.tsv")
    assert accuracy.main(["--table", str(tmp_path / "accuracy.tsv")]) == 0
    text = capsys.readouterr().out
    problems = io.StringIO()
    tree = core.publish_doctree(text, settings_overrides={"warning_stream": problems})
    assert problems.getvalue() == ""
    assert len(list(tree.findall(lambda node: node.tagname == "table"))) == 2
    assert ".0200" in text


@pytest.mark.slow
def test_real_images(tmp_path: Path) -> None:
    from .phantoms.flat import head

    data = tmp_path / "data"
    # Of 1 mm it is no human head: it is split into classes.
    image = nib.Nifti1Image((1000 * head(strength=0.3)).astype(np.int16), np.eye(4))
    add(describe(data), "sub-01/anat/sub-01_T1w.nii.gz", image=image)
    out = tmp_path / "out"
    run = ["--bids", str(data), "--out", str(out), "--methods", "input", "n4", "getnet"]
    assert accuracy.main(run) == 0
    rows = read_table(out / "accuracy_real.tsv")
    assert {r["segmentation"] for r in rows} == {"classes"}
    entire = {r["method"]: r for r in rows if r["region"] == "entire image"}
    assert list(entire) == ["input", "n4", "getnet"]
    assert float(entire["getnet"]["cv"]) < float(entire["input"]["cv"])
    assert float(entire["input"]["roughness"]) == 0
    kept = {path: path.stat().st_mtime_ns for path in out.glob("real/*/*/n4-*.nii.gz")}
    assert len(kept) == 1
    assert accuracy.main(run) == 0
    assert kept == {path: path.stat().st_mtime_ns for path in kept}


def test_what_is_not_there(base: list[str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        accuracy.main([*base, "--subjects", "99"])
    assert "subject99_crisp_v.mnc.gz: there is no such model" in capsys.readouterr().err
    assert accuracy.main([*base, "--fields", "coils", "--methods", "input"]) == 1
    assert capsys.readouterr().err.endswith(
        "there is no field 'coils'; there are smooth20, smooth40, smooth80, coil, "
        "steep, none, and smoothNN of any other NN\n"
    )
    with pytest.raises(SystemExit):
        accuracy.main(["--out", "x"])
    assert "--brainweb or --bids" in capsys.readouterr().err


def test_words_are_not_code(tmp_path: Path) -> None:
    file, texts = tmp_path / "a.py", []
    for about, more in (("Add.", ""), ("Add two numbers.", "  # as in a sum"), ("Add.", " + 0")):
        file.write_text(
            f'"""{about}"""\nLEAST = 1\n"""{about}"""\n\n\ndef f(a, b):\n    """{about}"""\n    return a + b{more}\n'
        )
        texts.append(code_of(file))
    assert texts[0] == texts[1] == "LEAST = 1\n\ndef f(a, b):\n    return a + b"
    assert texts[2] != texts[0]
