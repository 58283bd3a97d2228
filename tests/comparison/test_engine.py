from __future__ import annotations

import contextlib
import filecmp
import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from getnet_bids.comparison.watch import Watch
from getnet_bids.workflows import init_comparison_wf
from tests.datasets import add, app, describe, issues, read_table, status

from .conftest import ABSENT, COMMON, CUT, ONE, TWO

AFFINE = np.diag([-6.0, 6.0, 6.0, 1.0])

pytestmark = pytest.mark.usefixtures("antspyx")


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def segmented(tmp_path_factory, head):
    """Return a derivative dataset with the labels of that head."""
    root = tmp_path_factory.mktemp("segmented") / "fmriprep"
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in head.shape], indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    labels = np.where(radius < 0.5, 2, np.where(radius < 0.85, 1, 0))
    add(root, "sub-01/anat/sub-01_dseg.nii.gz", image=nib.Nifti1Image(labels.astype(np.uint8), AFFINE))
    return describe(root, DatasetType="derivative")


@pytest.fixture(scope="module")
def first_run(raw, segmented, tmp_path_factory):
    """Return the results of a run under the default plugin, its folder of intermediate files, and what it said."""
    folder = tmp_path_factory.mktemp("results")
    out, work, said = folder / "out", folder / "work", io.StringIO()
    with contextlib.redirect_stderr(said):
        assert app(raw, out, *COMMON, "--derivatives", f"fmriprep={segmented}", "-w", work) == 1
    return out, work, said.getvalue()


@pytest.fixture(scope="module")
def compared(first_run):
    """Return the results and the folder of intermediate files."""
    return first_run[:2]


def test_stages_are_told_as_they_begin(first_run):
    lines = first_run[2].splitlines()
    of_one = [line.removeprefix(f"{ONE}: ") for line in lines if line.startswith(f"{ONE}: ")]
    assert sorted(of_one) == ["GetNet ...", "N4 ...", "figure ...", "measures ...", "segmentation ..."]
    assert max(of_one.index("GetNet ..."), of_one.index("N4 ...")) < of_one.index("measures ...")
    (end,) = (i for i, line in enumerate(lines) if f"] {ONE}: done in" in line)
    assert end > max(i for i, line in enumerate(lines) if line.startswith(f"{ONE}: "))


def test_only_nodes_that_take_time_are_stages(tmp_path):
    told = []
    progress = SimpleNamespace(stage=lambda image, name: told.append(name))
    watch = Watch([], tmp_path, None, progress, None)
    watch.begin({"one": SimpleNamespace(source=SimpleNamespace(relative=ONE))})
    workflow = init_comparison_wf()
    for node in map(workflow.get_node, workflow.list_node_names()):
        kept = {"name": node.name, "run_without_submitting": node.run_without_submitting}
        watch(SimpleNamespace(fullname="images.one.x", **kept), "start")
    assert sorted(told) == ["GetNet", "N4", "figure", "measures", "segmentation"]


def test_the_time_of_an_image_is_that_of_its_own_nodes(tmp_path, monkeypatch):
    watch, told = Watch([], tmp_path, None, SimpleNamespace(stage=lambda *_: None), None), {}
    watch.begin({})
    calls = [(0, "a.n4", "start"), (0, "a.getnet", "start"), (5, "a.getnet", "end"), (60, "a.n4", "end")]
    calls += [(60, "b.n4", "start"), (100, "b.n4", "exception"), (100, "a.sink", "start"), (101, "a.sink", "end")]
    for now, name, event in calls:
        monkeypatch.setattr("time.monotonic", lambda now=now: float(now))
        watch(SimpleNamespace(fullname=f"root.{name}", name=name[2:], run_without_submitting=False), event)
        told |= {image: watch.seconds(image) for image in "ab"}
    assert told == {"a": 61.0, "b": 40.0}


def test_each_image_has_its_own_files(compared):
    out, _ = compared
    segmentation = {"desc-{c}_dseg", "desc-{c}_mask", "label-GM_desc-{c}_probseg", "label-WM_desc-{c}_probseg"}
    images = {"desc-preproc_{c}", "desc-N4_{c}", "mod-{c}_desc-preproc_biasfield", "mod-{c}_desc-N4_biasfield"}
    stems = {stem.format(c=contrast) for contrast in ("T1w", "T2w") for stem in segmentation | images}
    expected = {f"sub-01_{stem}{extension}" for stem in stems for extension in (".nii.gz", ".json")}
    expected |= {f"sub-01_desc-{contrast}_dseg.tsv" for contrast in ("T1w", "T2w")}
    expected |= {f"sub-01_mod-{c}_desc-inu_metrics.{kind}" for c in ("T1w", "T2w") for kind in ("tsv", "json")}
    assert set(files(out / "sub-01" / "anat")) == expected
    assert {f"sub-01_mod-{c}_desc-inu_comparison.png" for c in ("T1w", "T2w")} <= set(files(out / "sub-01" / "figures"))


def test_the_figures_are_of_all_methods_and_tissues(compared):
    out, _ = compared
    table = read_table(out / "sub-01/anat/sub-01_mod-T1w_desc-inu_metrics.tsv")
    pairs = [(row["method"], row["region"]) for row in table]
    assert pairs == [(m, r) for m in ("input", "GetNet", "N4") for r in ("entire image", "GM", "WM", "GM+WM")]
    assert all(float(row["seconds"]) > 0 for row in table if row["method"] != "input")
    described = json.loads((out / "sub-01/anat/sub-01_mod-T1w_desc-inu_metrics.json").read_text())
    assert list(described) == list(table[0])
    with open(out / "sub-01/figures/sub-01_mod-T1w_desc-inu_comparison.png", "rb") as file:
        assert file.read(4) == b"\x89PNG"


def test_both_corrections_times_their_fields_are_the_image(compared, raw):
    out, _ = compared
    given = nib.load(raw / TWO).get_fdata()
    for desc in ("preproc", "N4"):
        corrected = nib.load(out / f"sub-01/anat/sub-01_desc-{desc}_T2w.nii.gz")
        field = nib.load(out / f"sub-01/anat/sub-01_mod-T2w_desc-{desc}_biasfield.nii.gz")
        np.testing.assert_allclose(corrected.get_fdata() * field.get_fdata(), given, rtol=1e-5, atol=1e-4)


def test_the_correction_is_that_of_a_run_without_comparison(compared, raw, tmp_path):
    out, _ = compared
    plain = ("participant", "--participant-label", "01", "--device", "cpu", "--nprocs", "1")
    assert app(raw, tmp_path / "plain", *plain) == 0
    for path in (tmp_path / "plain" / "sub-01" / "anat").iterdir():
        other = out / "sub-01" / "anat" / path.name
        if path.name.endswith(".nii.gz"):
            assert filecmp.cmp(path, other, shallow=False)
        else:
            one, two = (json.loads(file.read_text()) for file in (path, other))
            for said in (one, two):
                del said["GetNet"]["Seconds"], said["GetNetChecksum"]  # which is also that of the seconds
            assert one == two
    # and so a run without finds nothing to do
    assert app(raw, out, *plain) == 0
    assert {row["status"] for row in status(out).values()} == {"skipped"}


def test_pages_leave_out_a_comparison_once_the_image_is_corrected_otherwise(compared, raw, tmp_path):
    out = shutil.copytree(compared[0], tmp_path / "out")
    page = out / "sub-01.html"
    assert page.read_text().count("Smaller CV, CJV and error") == 2
    plain = ("participant", "--participant-label", "01", "-m", "T1w", "--device", "cpu", "--nprocs", "1")
    assert app(raw, out, *plain, "--no-refine") == 0
    assert page.read_text().count("Smaller CV, CJV and error") == 1
    assert page.read_text().count("run --compare again") == 1


def test_sidecars_say_where_the_labels_come_from(compared):
    out, _ = compared
    said = json.loads((out / "sub-01/anat/sub-01_desc-T2w_dseg.json").read_text())
    assert said["Sources"] == ["bids:fmriprep:sub-01/anat/sub-01_dseg.nii.gz"]
    assert said["SpatialReference"] == f"bids:raw:{TWO}"
    assert said["Manual"] is False
    assert json.loads((out / "sub-01/anat/sub-01_desc-T2w_mask.json").read_text())["Type"] == "Brain"
    made = json.loads((out / "sub-01/anat/sub-01_desc-N4_T2w.json").read_text())["GetNet"]
    assert made["Segmentation"] == "derivatives"
    assert "antspyx" in made["Software"]


def test_the_validator_has_nothing_to_say(compared):
    assert issues(compared[0]) == []


def test_images_fail_alone_with_a_reason_and_a_crash_file(compared):
    out, work = compared
    run = min(path for path in (out / "logs").iterdir() if path.is_dir())
    table = {row["source"]: row for row in read_table(run / "status.tsv")}
    assert {source: row["status"] for source, row in table.items()} == {
        ONE: "done",
        TWO: "done",
        CUT: "failed",
        ABSENT: "failed",
    }
    assert "datalad get" in table[ABSENT]["reason"]
    assert float(table[ONE]["seconds"]) > 0
    reason, _, crash = table[CUT]["reason"].partition("; see ")
    assert reason in {
        f"{node}: truncated: its gzip data end early; copy or fetch it again" for node in ("getnet", "n4")
    }
    assert "Traceback" in (run / crash).read_text()
    assert sorted(path.name for path in run.glob("crash-*")) == [
        f"crash-sub-02_ses-a_run-1_T1w_{node}.txt" for node in ("getnet", "n4")
    ]
    assert not list((out / "sub-02").rglob("*.nii.gz"))
    assert any(work.iterdir())  # the user's own folder stays


def test_the_device_and_threads_are_those_of_the_run_whose_result_is_reused(raw, tmp_path):
    plugin, out = tmp_path / "linear.yml", tmp_path / "out"
    plugin.write_text("plugin: Linear\n")
    options = ("--segmentation", "none", "--use-plugin", plugin, "--participant-label", "01", "-m", "T1w")
    sidecars = [out / f"sub-01/anat/sub-01_desc-{desc}_T1w.json" for desc in ("preproc", "N4")]
    made = []
    for threads in ("1", "2"):
        assert app(raw, out, *COMMON, *options, "-w", tmp_path / "work", "--omp-nthreads", threads) == 0
        made.append([json.loads(path.read_text())["GetNet"] for path in sidecars])
        next(out.glob("sub-01/figures/*_comparison.png")).unlink()  # so that the comparison is made again
    for first, second in zip(*made, strict=True):
        assert (second["Device"], second["Seconds"]) == (first["Device"], first["Seconds"])
    assert made[0][0]["Device"] == "cpu (1 threads)"


@pytest.mark.slow
def test_done_is_skipped_and_unfinished_goes_on_from_the_work_folder(compared, raw, segmented, capsys):
    out, work = compared
    again = (raw, out, *COMMON, "--participant-label", "01", "--derivatives", f"fmriprep={segmented}", "-w", work)
    assert app(*again) == 0
    assert {row["status"] for row in status(out).values()} == {"skipped"}
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*_corrected.nii*")}
    table = out / "sub-01/anat/sub-01_desc-T1w_dseg.tsv"
    text = table.read_text()
    table.unlink()
    assert app(*again) == 0
    assert {source: row["status"] for source, row in status(out).items()} == {ONE: "done", TWO: "skipped"}
    assert table.read_text() == text
    assert before == {path: path.stat().st_mtime_ns for path in work.rglob("*_corrected.nii*")}
    assert len(before) == 4


EDITED = ("desc-T1w_dseg.nii.gz", "desc-T1w_dseg.json", "desc-T1w_dseg.tsv", "desc-T1w_mask.nii.gz")
EDITED_TOO = ("mod-T1w_desc-inu_metrics.tsv", "mod-T1w_desc-inu_metrics.json", "desc-N4_T1w.nii.gz")


@pytest.mark.parametrize("name", [*EDITED, *EDITED_TOO])
def test_an_edited_file_of_a_comparison_is_not_replaced(compared, raw, tmp_path, capsys, name):
    out = shutil.copytree(compared[0], tmp_path / "out")
    file = out / "sub-01/anat" / f"sub-01_{name}"
    data = file.read_bytes()
    file.write_bytes(data.replace(b'"Manual": false', b'"Manual": true') if b"Manual" in data else b"mine")
    before = {path: path.read_bytes() for path in (out / "sub-01").rglob("*") if path.is_file()}
    assert app(raw, out, *COMMON, "--participant-label", "01", "-m", "T1w", "--segmentation", "none") == 1
    assert f"{file} was changed after getnet_bids wrote it, and is not replaced" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.slow
def test_a_users_own_labels_are_not_replaced_by_a_comparison(raw, segmented, tmp_path, capsys):
    out, own = tmp_path / "out", tmp_path / "out/sub-01/anat/sub-01_desc-T1w_dseg.nii.gz"
    options = (*COMMON, "--participant-label", "01", "-m", "T1w", "--derivatives", f"fmriprep={segmented}")
    assert app(raw, out, "participant", "--participant-label", "01", "-m", "T1w") == 0
    own.write_bytes(b"mine")
    before = files(own.parent)
    assert app(raw, out, *options) == 1
    assert f"{own} was not made by getnet_bids, and is not replaced" in capsys.readouterr().err
    assert own.read_bytes() == b"mine"
    assert files(own.parent) == before
    own.unlink()
    assert app(raw, out, *options) == 0


def test_a_comparison_without_tissues_under_another_plugin(raw, tmp_path, capsys):
    plugin, out = tmp_path / "linear.yml", tmp_path / "out"
    plugin.write_text("plugin: Linear\n")
    options = ("--segmentation", "none", "--use-plugin", plugin, "--no-field", "--write-graph")
    assert app(raw, out, *COMMON, *options, "-m", "T1w") == 1
    assert {source: row["status"] for source, row in status(out).items()} == {
        ONE: "done",
        CUT: "failed",
        ABSENT: "failed",
    }
    assert files(out / "sub-01" / "anat") == [
        "sub-01_desc-N4_T1w.json",
        "sub-01_desc-N4_T1w.nii.gz",
        "sub-01_desc-preproc_T1w.json",
        "sub-01_desc-preproc_T1w.nii.gz",
        "sub-01_mod-T1w_desc-inu_metrics.json",
        "sub-01_mod-T1w_desc-inu_metrics.tsv",
    ]
    regions = {row["region"] for row in read_table(out / "sub-01/anat/sub-01_mod-T1w_desc-inu_metrics.tsv")}
    assert regions == {"entire image"}
    assert list((out / "logs").glob("*/comparison.*"))
    kept = next(line for line in capsys.readouterr().err.splitlines() if "are kept in" in line)
    folder = Path(kept.partition("are kept in ")[2].partition(";")[0])
    assert [path.name for path in folder.glob("*/*")] == ["sub-02_ses-a_run-1_T1w"]  # what is done is gone
    shutil.rmtree(folder)


def test_a_simulated_gain(raw, tmp_path, capsys):
    plugin, out, temporary = tmp_path / "linear.yml", tmp_path / "out", tmp_path / "temporary"
    plugin.write_text("plugin: Linear\n")
    temporary.mkdir()
    options = (*COMMON, "--segmentation", "none", "--use-plugin", plugin, "-m", "T2w")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(temporary))
        assert app(raw, out, *options, "--simulate-gain", "30") == 0
    assert not any(temporary.iterdir())
    names = files(out / "sub-01" / "anat")
    assert not any("desc-preproc" in name or "desc-N4" in name for name in names)
    given = nib.load(raw / TWO).get_fdata()
    shaded, gain = (
        nib.load(out / f"sub-01/anat/sub-01_{stem}.nii.gz").get_fdata()
        for stem in ("desc-simulated_T2w", "mod-T2w_desc-simulated_biasfield")
    )
    np.testing.assert_allclose(shaded, given * gain, rtol=1e-5, atol=1e-4)
    assert (gain.min(), gain.max()) == pytest.approx((0.7, 1.3), abs=1e-3)
    said = json.loads((out / "sub-01/anat/sub-01_desc-simulatedGetNet_T2w.json").read_text())
    assert "not a correction of the image as it was scanned" in said["Description"]
    table = read_table(out / "sub-01/anat/sub-01_mod-T2w_desc-table1_metrics.tsv")
    assert [row["method"] for row in table] == ["Gain", "GetNet", "N4"]
    error = np.abs(shaded * (given * shaded).sum() / (shaded**2).sum() - given).sum() / given.sum()
    assert float(table[0]["entire image"]) == pytest.approx(error, rel=0.05)  # there over the foreground
    assert issues(out) == []

    assert app(raw, out, *options, "--simulate-gain", "30") == 0
    assert {row["status"] for row in status(out).values()} == {"skipped"}
    assert app(raw, out, *options) == 73
    assert app(raw, out, *options, "--simulate-gain", "20") == 73
    assert "choose another folder" in capsys.readouterr().err


def test_results_of_real_images_are_not_mixed_with_simulated_ones(compared, raw):
    assert app(raw, compared[0], *COMMON, "--simulate-gain", "30") == 73


def test_without_derivatives_of_an_image_it_fails_if_they_must_be(raw, segmented, tmp_path):
    options = ("--segmentation", "derivatives", "--derivatives", f"fmriprep={segmented}", "--participant-label", "02")
    assert app(raw, tmp_path / "out", *COMMON, *options) == 1
    assert "have no dseg or probseg of it" in status(tmp_path / "out")[CUT]["reason"]


@pytest.mark.parametrize(
    ("code", "said", "options"),
    [
        (64, "nipype has no plugin", ["--use-plugin", "nonsense.yml"]),
        (64, "TemplateFlow has no template", ["--template", "Nonsense"]),
        (64, "not available", ["--device", "cuda:77"]),
        (65, "not the weights", ["--weights", "nonsense.yml"]),
        (73, "nonsense.yml", ["-w", "nonsense.yml/work"]),
    ],
)
def test_options_that_cannot_work(raw, tmp_path, monkeypatch, capsys, code, said, options):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nonsense.yml").write_text("plugin: Nonsense\n")
    assert app(raw, "out", *COMMON, "--participant-label", "01", *options) == code
    text = capsys.readouterr().err
    assert said in text
    assert text.count("\n") == 1
