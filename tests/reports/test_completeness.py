"""A dataset in which something is missing says so: on the screen, on the page, and by the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from getnet_bids.bids.discovery import find_images
from getnet_bids.bids.status import RunLog
from getnet_bids.cli.app import main
from getnet_bids.core import ALGORITHM
from getnet_bids.reports import write_missing_reports, write_reports

SOURCES = [f"sub-0{i}/anat/sub-0{i}_T1w.nii.gz" for i in (1, 2, 3)]


def results(out, i):
    """Return the sidecar and the image of a subject."""
    stem = out / f"sub-0{i}" / "anat" / f"sub-0{i}_desc-preproc_T1w"
    return stem.with_suffix(".json"), stem.with_suffix(".nii.gz")


@pytest.fixture
def dataset(derived):
    """Make a raw dataset of three images, all results, and the log of the run."""
    raw, out = derived(*SOURCES)
    log = RunLog(out / "logs")
    log.plan(SOURCES)
    for source in SOURCES:
        log.add(source, "done", 1.0)
    return raw, out


def group(dataset, capsys):
    code = main([*map(str, dataset), "group"])
    return code, capsys.readouterr().err


def test_all_is_there(dataset, capsys):
    code, said = group(dataset, capsys)
    assert code == 0
    assert said.endswith(": results of all 3 images\n")
    assert said.count("\n") == 1


@pytest.mark.parametrize("precisions", [("float32", "bfloat16"), ("float32", "float32")])
def test_two_precisions_are_told(dataset, capsys, precisions):
    for i, precision in enumerate(precisions, 1):
        path, _ = results(dataset[1], i)
        content = json.loads(path.read_text())
        content["GetNet"]["Precision"] = precision
        path.write_text(json.dumps(content))
    code, said = group(dataset, capsys)
    assert code == 0
    told = "the network ran in two precisions: 1 image in bfloat16, 1 image in float32; fields differ by 2e-4 to 4e-4"
    assert (told in said) == (len(set(precisions)) == 2)


def unfetched(path):
    path.unlink()
    path.symlink_to(f"../../.git/annex/objects/aa/bb/{path.name}/{path.name}")


def pointer(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")


def other_algorithm(path):
    content = json.loads(path.read_text())
    content["GetNet"]["Algorithm"] = ALGORITHM + 1
    path.write_text(json.dumps(content))


SPOILED = {
    "sidecar not fetched": (0, unfetched, "not fetched"),
    "sidecar is a pointer": (0, pointer, "not fetched"),
    "sidecar deleted": (0, lambda path: path.unlink(), "is missing"),
    "sidecar emptied": (0, lambda path: path.write_text(""), "is missing, or is not a sidecar"),
    "image not fetched": (1, unfetched, "not fetched"),
    "image is a pointer": (1, pointer, "not fetched"),
    "image deleted": (1, lambda path: path.unlink(), "is missing"),
    "image cut": (1, lambda path: path.write_bytes(path.read_bytes()[:-5]), "was changed or cut"),
    "another algorithm": (0, other_algorithm, "of another algorithm"),
}


@pytest.mark.parametrize(("which", "spoil", "reason"), SPOILED.values(), ids=SPOILED)
def test_a_result_that_is_not_whole_is_named(dataset, capsys, which, spoil, reason):
    spoil(results(dataset[1], 2)[which])
    code, said = group(dataset, capsys)
    assert code == 1
    [line] = [line for line in said.splitlines() if "sub-02" in line]
    assert reason in line
    assert "results of 2 of 3 images" in said
    assert reason in (dataset[1] / "group_metrics.html").read_text()


def test_a_subject_that_is_gone_is_named(dataset, capsys):
    for path in (*results(dataset[1], 3), *dataset[1].glob("sub-03/anat/*")):
        path.unlink(missing_ok=True)
    code, said = group(dataset, capsys)
    assert code == 1
    assert "sub-03: sub-03_T1w.nii.gz: its results are gone; run the participant level again" in said


def test_a_run_that_was_cut_short_is_told(derived, capsys):
    raw, out = derived(*SOURCES, without=2)
    log = RunLog(out / "logs")
    log.plan(SOURCES)
    log.add(SOURCES[0], "done", 1.0)
    code, said = group((raw, out), capsys)
    assert code == 1
    assert "sub-02: sub-02_T1w.nii.gz: the run was cut short" in said
    assert "results of 1 of 3 images" in said
    (raw / SOURCES[1]).unlink()  # taken out of the dataset on purpose
    assert "results of 1 of 2 images" in group((raw, out), capsys)[1]


def test_images_that_failed_count_as_missing(derived, capsys):
    raw, out = derived(*SOURCES, without=1)
    log = RunLog(out / "logs")
    log.plan(SOURCES)
    log.add(SOURCES[2], "failed", 1.0, "truncated; copy it again")
    code, said = group((raw, out), capsys)
    assert code == 1
    assert "sub-03: sub-03_T1w.nii.gz: failed: truncated; copy it again" in said
    (raw / SOURCES[2]).unlink()  # taken out of the dataset on purpose
    code, said = group((raw, out), capsys)
    assert code == 0
    assert "sub-03" not in said


def test_an_image_that_is_whole_again_has_not_failed(dataset, capsys):
    raw, out = dataset

    def later_run(day, status, reason):
        log = RunLog(out / "logs")
        log.add(SOURCES[1], status, reason=reason)
        log.folder.rename(out / "logs" / f"2099010{day}T000000-0000")

    later_run(1, "failed", "not fetched")
    sources = find_images(raw).sources
    assert len(write_reports(out, sources)) == 3
    assert "1 failed</title>" in (out / "sub-02.html").read_text()
    assert group(dataset, capsys)[0] == 1
    later_run(2, "skipped", "done before")
    assert group(dataset, capsys)[0] == 0
    assert write_missing_reports(out, sources) == [out / "sub-02.html"]
    assert "failed" not in (out / "sub-02.html").read_text().partition("<style>")[0]
    assert write_missing_reports(out, sources) == []


def test_images_of_other_suffixes_count_if_a_run_was_asked_for_them(derived, make_dataset, capsys):
    raw, out = derived("sub-01/anat/sub-01_T1w.nii.gz")
    make_dataset("sub-02/anat/sub-02_FLAIR.nii.gz", "sub-02/anat/sub-02_T2w.nii.gz")
    assert "results of all 1 images" in group((raw, out), capsys)[1]
    RunLog(out / "logs").write_options('modalities = ["T1w", "FLAIR"]\n')
    code, said = group((raw, out), capsys)
    assert code == 0
    assert "in no run yet: 1 image of sub-02" in said


def test_options_of_the_participant_level_are_named_and_ignored(dataset, capsys):
    raw, out = dataset
    code = main([str(raw), str(out), "group", "--participant-label", "02", "--no-refine"])
    said = capsys.readouterr()
    assert code == 0
    assert "the group level is for all results; ignored: --no-refine, --participant-label" in said.err + said.out
    assert "results of all 3 images" in said.err + said.out


def test_images_that_no_run_was_given_are_counted(derived, capsys):
    raw, out = derived(*SOURCES, without=1)
    log = RunLog(out / "logs")
    log.plan(SOURCES[:2])
    for source in SOURCES[:2]:
        log.add(source, "done", 1.0)
    code, said = group((raw, out), capsys)
    assert code == 0
    assert "in no run yet: 1 image of sub-03" in said
    assert "results of 2 of 3 images" in said


def test_series_that_no_run_was_given_are_counted_without_naming_their_suffix(derived, make_dataset, capsys):
    raw, out = derived("sub-01/func/sub-01_task-x_bold.nii.gz", suffixes=["bold"])
    make_dataset("sub-02/func/sub-02_task-x_bold.nii.gz", "sub-02/anat/sub-02_T2w.nii.gz")
    code, said = group((raw, out), capsys)
    assert code == 0
    assert "in no run yet: 1 image of sub-02" in said
    assert "results of 1 of 2 images" in said


@pytest.mark.parametrize("source", ["anat/sub-01_T1w.nii", "func/sub-01_task-x_bold.nii.gz"])
def test_an_image_whose_sidecar_is_gone_counts_once(derived, capsys, source):
    relative = f"sub-01/{source}"
    raw, out = derived(relative, suffixes=["T1w", "bold"])
    log = RunLog(out / "logs")
    log.plan([relative])
    log.add(relative, "done", 1.0)
    folder, sidecar = out / "sub-01" / source.partition("/")[0], next(out.glob("sub-01/*/*_desc-preproc_*.json"))
    if source.startswith("func"):  # as --reference-only leaves it
        (folder / "sub-01_task-x_desc-preproc_bold.nii.gz").rename(folder / "sub-01_task-x_desc-preproc_boldref.nii.gz")
    for path in folder.glob("*_desc-preproc_*.json"):
        path.unlink()
    assert not sidecar.exists()
    code, said = group((raw, out), capsys)
    assert code == 1
    assert "results of 0 of 1 image\n" in said
    assert Path(source).name in said
