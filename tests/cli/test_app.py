from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib

import nibabel as nib
import numpy as np
import pytest

from getnet_bids.bids.ownership import sealed
from tests.datasets import ONE, TWO, add, app, as_scan, issues, status


def snapshot(out):
    return {path: path.stat().st_mtime_ns for path in out.rglob("sub-*/**/*") if path.is_file()}


def test_outputs_and_their_names(finished):
    raw, out = finished
    folder = out / "sub-02" / "ses-a" / "anat"
    assert sorted(path.name for path in folder.iterdir()) == [
        "sub-02_ses-a_acq-x_run-1_desc-preproc_FLAIR.json",
        "sub-02_ses-a_acq-x_run-1_desc-preproc_FLAIR.nii.gz",
        "sub-02_ses-a_acq-x_run-1_mod-FLAIR_desc-preproc_biasfield.json",
        "sub-02_ses-a_acq-x_run-1_mod-FLAIR_desc-preproc_biasfield.nii.gz",
    ]
    corrected = nib.load(folder / "sub-02_ses-a_acq-x_run-1_desc-preproc_FLAIR.nii.gz")
    field = nib.load(folder / "sub-02_ses-a_acq-x_run-1_mod-FLAIR_desc-preproc_biasfield.nii.gz")
    given = nib.load(raw / TWO)
    np.testing.assert_allclose(corrected.get_fdata() * field.get_fdata(), given.get_fdata(), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(corrected.affine, given.affine)


def test_sidecars(finished):
    raw, out = finished
    said = json.loads((out / "sub-01/anat/sub-01_desc-preproc_T1w.json").read_text())
    assert said["Sources"] == [f"bids:raw:{ONE}"]
    assert said["SkullStripped"] is True
    assert "metadata" in said["SkullStrippedDetermination"]
    measured = json.loads((out / TWO.replace("_FLAIR.nii.gz", "_desc-preproc_FLAIR.json")).read_text())
    assert measured["SkullStripped"] is False
    assert "Measured" in measured["SkullStrippedDetermination"]
    made = said["GetNet"]
    assert made["InputSize"] == (raw / ONE).stat().st_size
    assert made["Options"] == {"smoothness": None, "refine": True, "precision": "auto"}
    assert made["Device"].startswith("cpu")
    assert made["Seconds"] > 0
    assert {"torch", "numpy", "nibabel", "getnet_bids"} <= made["Software"].keys()


def test_logs(finished):
    _, out = finished
    assert {row["status"] for row in status(out).values()} == {"done"}
    assert sorted(status(out)) == [ONE, TWO]
    kept = next((out / "logs").glob("*/getnet_bids.toml"))
    options = tomllib.loads(kept.read_text())
    assert options["refine"] is True
    assert "weights" not in options  # of another installation, these lie elsewhere
    assert options["run"]["analysis_level"] == "participant"


def test_the_kept_options_given_back_find_all_done(dataset):
    raw, out = dataset
    given = ["--no-refine", "--smoothness", "50.5", "--participant-label", "sub-01", "--device", "cpu", "--mem-mb", "1"]
    assert app(raw, out, "participant", *given) == 0
    assert {source: row["status"] for source, row in status(out).items()} == {ONE: "done"}
    before = snapshot(out)
    for _ in range(2):  # what is kept of the second run is as good
        kept = max((out / "logs").glob("*/getnet_bids.toml"), key=os.path.getmtime)
        assert app(raw, out, "participant", "--config-file", kept) == 0
        assert {source: row["status"] for source, row in status(out).items()} == {ONE: "skipped"}
    assert snapshot(out) == before


def test_filter_file_and_database(dataset, tmp_path, capsys):
    raw, out = dataset
    (tmp_path / "filter.json").write_text('{"t1w": {"subject": "02"}, "bold": {"task": "rest"}}')
    with_database = ["--bids-database-dir", tmp_path / "db"]
    for more in ([], with_database, with_database):
        assert app(raw, out, "participant", "--dry-run", "--bids-filter-file", tmp_path / "filter.json", *more) == 0
        printed = capsys.readouterr()
        assert [line.split("\t")[0] for line in printed.out.splitlines()[1:]] == [TWO]
        assert "unused, as no such image is corrected: bold" in printed.err
    assert app(raw, out, "participant", "--dry-run", *with_database) == 0
    assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()[1:]] == [ONE, TWO]


def test_the_validator_has_nothing_to_say(finished):
    assert issues(finished[1]) == []


def test_a_second_run_does_nothing_and_loads_nothing(finished):
    raw, out = finished
    before = snapshot(out)
    script = (
        "import sys; from getnet_bids.cli.app import main; "
        f"code = main([{str(raw)!r}, {str(out)!r}, 'participant']); "
        "print(code, sorted({'torch', 'nibabel', 'numpy', 'pandas', 'nipype'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "0 []\n"
    assert snapshot(out) == before
    assert {row["status"] for row in status(out).values()} == {"skipped"}


def redone(raw, out, *options):
    """Run again; return the images that were done again."""
    before = snapshot(out)
    assert app(raw, out, "participant", "--device", "cpu", *options) == 0
    again = {source for source, row in status(out).items() if row["status"] == "done"}
    after = snapshot(out)
    changed = {path for path in after if after[path] != before.get(path)}
    assert len(changed) == 8 * len(again)  # two images, two sidecars, four pictures
    return again


def test_a_changed_input_is_done_again(dataset):
    raw, out = dataset
    image = nib.load(raw / ONE)
    nib.Nifti1Image(image.get_fdata() * 2, image.affine).to_filename(raw / ONE)
    assert redone(raw, out) == {ONE}


def test_a_lost_or_cut_output_is_done_again(dataset):
    raw, out = dataset
    field = out / "sub-01/anat/sub-01_mod-T1w_desc-preproc_biasfield.nii.gz"
    field.write_bytes(field.read_bytes()[:1000])
    assert redone(raw, out) == {ONE}
    nib.load(field).get_fdata()


def test_changed_options_and_force_do_all_again(dataset):
    raw, out = dataset
    assert redone(raw, out, "--no-refine") == {ONE, TWO}
    assert redone(raw, out, "--no-refine", "--batch-size", "8") == set()
    assert redone(raw, out, "--no-refine", "--force", "--participant-label", "sub-01") == {ONE}


def other_precision(out):
    """Let a sidecar tell of the precision that this machine does not take."""
    path = out / ONE.replace("_T1w.nii.gz", "_desc-preproc_T1w.json")
    content = json.loads(path.read_text())
    here = content["GetNet"]["Precision"]
    content["GetNet"]["Precision"] = {"float32": "bfloat16", "bfloat16": "float32"}[here]
    path.write_text(json.dumps(sealed(content)))
    return here


def test_to_go_on_in_another_precision_is_told(dataset, capsys):
    raw, out = dataset
    here = other_precision(out)
    for ending in (".json", ".nii.gz"):
        (out / TWO.replace("_FLAIR.nii.gz", f"_desc-preproc_FLAIR{ending}")).unlink()
    assert redone(raw, out) == {TWO}
    assert f"1 of the images that are done ran in another precision than the {here}" in capsys.readouterr().err
    assert redone(raw, out, "--precision", "float32") == {ONE, TWO}
    assert "precision" not in capsys.readouterr().err


def test_no_field(dataset, tmp_path):
    raw, out = dataset
    assert app(raw, tmp_path / "lean", "participant", "--no-field", "--device", "cpu") == 0
    assert not list((tmp_path / "lean").rglob("*biasfield*"))
    assert app(raw, out, "participant", "--no-field", "--no-refine", "--device", "cpu") == 0
    assert not list(out.rglob("*biasfield*"))  # it would not belong to the corrected image any more


def test_bad_images_fail_alone(dataset, capsys):
    raw, out = dataset
    bad = {
        "sub-03/anat/sub-03_T1w.nii.gz": "truncated",
        "sub-04/anat/sub-04_T1w.nii.gz": "not fetched",
        "sub-05/anat/sub-05_T1w.nii.gz": "signal",
        "sub-06/anat/sub-06_T1w.nii.gz": "git lfs pull",
    }
    for relative in bad:
        (raw / relative).parent.mkdir(parents=True)
    truncated, dangling, empty, pointer = [raw / relative for relative in bad]
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    truncated.write_bytes((raw / ONE).read_bytes()[:-2000])
    dangling.symlink_to("nowhere")
    nib.Nifti1Image(np.zeros((20, 20, 20), np.float32), np.eye(4)).to_filename(empty)
    assert app(raw, out, "participant", "--force", "--device", "cpu") == 1
    rows = status(out)
    said = capsys.readouterr().err
    for relative, word in bad.items():
        assert rows[relative]["status"] == "failed"
        assert word in rows[relative]["reason"]
        assert sum(relative in line for line in said.splitlines()) == 1
        assert not list((out / relative).parent.glob("*"))
    assert rows[ONE]["status"] == rows[TWO]["status"] == "done"
    assert not list((out / "logs").glob("*/crash-*"))


def test_what_belongs_to_an_image_and_is_not_there_is_told(dataset, head, capsys, caplog):
    raw, out = dataset
    (raw / "T1w.json").write_text('{"EchoTime": 0.003,}')
    dwi = raw / "sub-01" / "dwi" / "sub-01_dwi.nii.gz"
    add(raw, "sub-01/dwi/sub-01_dwi.nii.gz", image=as_scan(np.stack([head, head], 3)))
    dwi.with_name("sub-01_dwi.bval").symlink_to("../../.git/annex/objects/absent")
    assert app(raw, out, "participant", "-m", "T1w", "dwi", "--force", "--device", "cpu") == 1
    assert [r.getMessage() for r in caplog.records if "metadata" in r.getMessage()] == [
        f"{raw / 'T1w.json'}: its metadata are not used: it holds no JSON object; correct it"
    ]
    assert (
        "sub-01_dwi.bval: not fetched; run `datalad get` on it" in status(out)["sub-01/dwi/sub-01_dwi.nii.gz"]["reason"]
    )


def test_stop_on_first_crash(dataset):
    raw, out = dataset
    more = [f"sub-1{i}/anat/sub-1{i}_T1w.nii.gz" for i in range(8)]
    for relative in more:
        (raw / relative).parent.mkdir(parents=True)
        (raw / relative).write_bytes((raw / ONE).read_bytes())
    (raw / ONE).write_bytes((raw / ONE).read_bytes()[:-2000])
    assert app(raw, out, "participant", "--force", "--stop-on-first-crash", "--device", "cpu", "--nprocs", "1") == 1
    became = {source: row["status"] for source, row in status(out).items()}
    assert became[ONE] == "failed"
    assert len(became) <= 2  # beside it another may have been computed


def test_a_dry_run_prints_the_jobs_and_writes_nothing(dataset, tmp_path, capsys):
    raw, out = dataset
    assert app(raw, tmp_path / "new", "participant", "--dry-run") == 0
    assert not (tmp_path / "new").exists()
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines(), delimiter="\t"))
    assert [(row["source"], row["state"]) for row in rows] == [(ONE, "to do"), (TWO, "to do")]
    assert app(raw, out, "participant", "--dry-run") == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines(), delimiter="\t"))
    assert {row["state"] for row in rows} == {"done"}


@pytest.mark.parametrize(
    ("code", "said", "arguments"),
    [
        (16, "dataset_description", ["sub", "out", "participant"]),
        (17, "use participant", ["raw", "out", "cohort"]),
        (18, "sub-99", ["raw", "out", "participant", "--participant-label", "99"]),
        (18, "no image matches", ["raw", "out", "participant", "--session-label", "z"]),
        (18, "no image matches", ["raw", "out", "participant", "-m", "PDw"]),
        (64, "{participant,group}", ["raw", "out"]),
        (64, "only with --compare", ["raw", "out", "participant", "--simulate-gain", "30"]),
        (64, "not JSON", ["raw", "out", "participant", "--bids-filter-file", "text"]),
        (64, "query 't1w': 'foo' is not", ["raw", "out", "participant", "--bids-filter-file", "foo.json"]),
        (64, "did you mean refine?", ["raw", "out", "participant", "--config-file", "text"]),
        (66, "no such file", ["raw", "out", "participant", "--config-file", "absent"]),
        (66, "run the participant level first", ["raw", "new", "group"]),
        (64, "T1map", ["raw", "out", "participant", "-m", "T1map"]),
        (64, "not a label", ["raw", "out", "participant", "--participant-label", "a/b"]),
        (64, "not available", ["raw", "new", "participant", "--device", "cuda:77"]),
        (65, "not the weights", ["raw", "new", "participant", "--weights", "raw/T1w.json"]),
        (66, "no such folder", ["absent", "out", "participant"]),
        (66, "no such file", ["raw", "out", "participant", "--weights", "absent"]),
        (73, "inside the input", ["raw", "raw", "participant"]),
        (73, "inside the input", ["raw", "raw/out", "participant"]),
        (73, "another dataset", ["raw", "sub/other", "participant"]),
        (73, "cannot be written to", ["raw", "file/out", "participant"]),
        (73, "links lead", ["raw", "circle/out", "participant"]),
        (73, "links lead", ["raw", "circle", "participant"]),
        (73, "leads nowhere", ["raw", "nowhere", "participant"]),
        (64, "output_dir: is empty", ["raw", "", "participant"]),
        (64, "bids_dir: is empty", ["", "out", "participant"]),
        (64, "--work-dir: is empty", ["raw", "out", "participant", "--work-dir", ""]),
    ],
)
def test_exit_codes(dataset, tmp_path, capsys, monkeypatch, code, said, arguments):
    monkeypatch.chdir(tmp_path)
    for old, new in zip(dataset, ("raw", "out"), strict=True):
        if old.name != new:
            old.rename(new)
    (tmp_path / "sub" / "other").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "nowhere").symlink_to("absent")
    (tmp_path / "text").write_text("refin = true")
    (tmp_path / "foo.json").write_text('{"t1w": {"foo": 1}}')
    shutil.copy("raw/dataset_description.json", "sub/other")
    assert app(*arguments) == code
    text = capsys.readouterr().err
    assert said in text
    assert text.startswith("getnet-bids: ")
    assert text.count("\n") == 1


def test_labels_from_a_file_and_validation_skipped(dataset, tmp_path):
    raw, _ = dataset
    (raw / "dataset_description.json").unlink()
    (tmp_path / "labels.txt").write_text("sub-01\n")
    chosen = ["--participant_label", tmp_path / "labels.txt", "--skip-bids-validation", "--no-refine"]
    assert app(raw, tmp_path / "o", "participant", *chosen, "--device", "cpu", "--notrack") == 0
    assert list(status(tmp_path / "o")) == [ONE]


def test_what_is_not_taken_is_told(dataset, capsys):
    raw, out = dataset
    for name in ("sub-01_MEGRE", "sub-01_part-phase_T1w", "sub-01_nonsense-1_T1w"):
        shutil.copy(raw / ONE, raw / "sub-01" / "anat" / f"{name}.nii.gz")
    assert app(raw, out, "participant") == 0
    said = capsys.readouterr().err
    assert "--modalities: 1 MEGRE" in said
    assert "part-phase" in said
    assert "nonsense-1" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_cleanly(make_dataset, tmp_path, number):
    raw = make_dataset(*[f"sub-{i:02}/anat/sub-{i:02}_T1w.nii.gz" for i in range(40)])
    out = tmp_path / "out"
    command = [sys.executable, "-m", "getnet_bids.cli.app", raw, out, "participant", "--device", "cpu"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line.startswith("[1/40]"):
                break
        process.send_signal(number)
        rest = process.stderr.read()
    assert process.returncode == 128 + number
    assert rest.splitlines()[-1].endswith("run the same command again to go on")
    assert "Traceback" not in rest
    assert not list(out.rglob(".getnet-*"))
    for image in out.rglob("*_T1w.nii.gz"):
        nib.load(image).get_fdata()
    done = {source for source, row in status(out).items() if row["status"] == "done"}
    assert 1 <= len(done) < 40
    for source in done:
        assert (out / source.replace("_T1w.nii.gz", "_desc-preproc_T1w.json")).exists()
