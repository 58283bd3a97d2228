"""A file of the user's that lies in the way stays, and what would replace it is refused with one line."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from getnet_bids.bids.discovery import find_images
from getnet_bids.bids.outputs import sidecar
from getnet_bids.cli import app, demo, one
from getnet_bids.comparison.engine import mark_folder, take_folder
from getnet_bids.comparison.methods import METHODS
from getnet_bids.comparison.outputs import FILES, Comparison, files_before
from getnet_bids.comparison.sink import discard
from getnet_bids.run import results

N4 = METHODS["n4"]

ONE = "sub-01/anat/sub-01_T1w.nii.gz"
TEXT = "a user's"


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TEXT)
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["bids/sub-01/anat/sub-01_T1w.nii.gz", "thesis.txt", "derivatives/notes.txt"])
def test_the_demo_refuses_a_folder_that_it_did_not_make(tmp_path, capsys, name):
    put(tmp_path / "proj" / name)
    put(tmp_path / "proj" / "bids" / "notes.txt")
    before = content(tmp_path)
    assert demo.main([str(tmp_path / "proj")]) == 73
    [line] = capsys.readouterr().err.splitlines()
    assert "was not made by getnet-demo" in line
    assert content(tmp_path) == before


def test_the_demo_refuses_a_file_and_a_folder_in_one(tmp_path, capsys):
    file = put(tmp_path / "proj")
    for path in (file, file / "demo"):
        assert demo.main([str(path)]) == 73
        assert capsys.readouterr().err.count("\n") == 1
    assert file.read_text() == TEXT


def test_the_demo_does_not_replace_what_was_edited_in_its_dataset(tmp_path, capsys, monkeypatch):
    (tmp_path / demo.MARK).write_text("Made by getnet-demo, which may write its files here again.\n")  # as in rc1

    def make(bids):
        for path in demo.files_of(bids):
            put(path)

    monkeypatch.setattr(demo, "make_dataset", make)
    monkeypatch.setattr(demo.subprocess, "run", lambda *_args, **_kwargs: SimpleNamespace(returncode=3))
    put(tmp_path / "bids" / "notes.txt")
    for _ in range(2):
        assert demo.main([str(tmp_path)]) == 3
        put(tmp_path / "bids" / "notes.txt").write_text("more notes")
    image = tmp_path / "bids/sub-coil/anat/sub-coil_T1w.nii.gz"
    image.write_text("mine")
    capsys.readouterr()
    assert demo.main([str(tmp_path)]) == 73
    [line] = capsys.readouterr().err.splitlines()
    assert f"{image} was changed after getnet_bids wrote it, and is not replaced" in line
    assert image.read_text() == "mine"
    image.unlink()
    assert demo.main([str(tmp_path)]) == 3


@pytest.mark.parametrize(
    "name",
    ["sub-01/anat/sub-01_desc-preproc_T1w.nii.gz", "sub-01.html", "desc-inu_metrics.tsv", "group_metrics.html"],
)
def test_results_of_others_are_not_written_into(make_dataset, tmp_path, capsys, name):
    raw, out = make_dataset(ONE), tmp_path / "out"
    file = put(out / name)
    for options in (["participant"], ["participant", "--force"], ["participant", "--reports-only"], ["group"]):
        assert app.main([str(raw), str(out), *options]) == 73
        assert capsys.readouterr().err.count("\n") == 1
    assert content(out) == {name: TEXT.encode()}
    assert file.read_text() == TEXT


def test_notes_at_the_top_of_an_output_stay(make_dataset, tmp_path):
    raw, out = make_dataset(ONE), tmp_path / "out"
    files = [put(out / name) for name in ("README.md", ".bidsignore", "thesis.txt", "code/run.sh", ".getnet-mine.lock")]
    for options in (["participant"], ["participant", "--force"], ["group"]):
        assert app.main([str(raw), str(out), *options]) == 0
    assert [file.read_text() for file in files] == [TEXT] * len(files)


TWO = ONE.replace("sub-01", "sub-02")
RESULTS = ("desc-preproc_T1w.nii.gz", "desc-preproc_T1w.json", "mod-T1w_desc-preproc_biasfield.nii.gz")


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("options", [[], ["--force"]])
def test_a_file_under_the_name_of_a_result_is_not_replaced(make_dataset, tmp_path, capsys, name, options):
    raw, out = make_dataset(ONE, TWO), tmp_path / "out"
    assert app.main([str(raw), str(out), "participant", "--participant-label", "01"]) == 0
    file = out / "sub-02" / "anat" / f"sub-02_{name}"
    put(file)
    if name.endswith(".json"):
        file.write_text('{"Sources": ["mine"]}')
    before = content(file.parent)
    for _ in range(2):  # the second run knows that the first had planned the image
        assert app.main([str(raw), str(out), "participant", *options]) == 1
        assert f"{file} was not made by getnet_bids, and is not replaced" in capsys.readouterr().err
        assert content(file.parent) == before
    assert app.main([str(raw), str(out), "group"]) == 1
    assert "was not made by getnet_bids" in capsys.readouterr().err
    file.unlink()
    assert app.main([str(raw), str(out), "participant"]) == 0


def test_what_a_stopped_run_left_is_replaced(make_dataset, tmp_path, monkeypatch):
    raw, out = make_dataset(ONE), tmp_path / "out"
    ours = out / "sub-01/anat/sub-01_desc-preproc_T1w.json"

    def stopped(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:  # images are there, and sidecars are not
        patch.setattr(results, "write_sidecars", stopped)
        assert app.main([str(raw), str(out), "participant"]) == 1
    assert ours.with_name("sub-01_desc-preproc_T1w.nii.gz").exists()
    assert "Incomplete" in ours.read_text()
    assert app.main([str(raw), str(out), "group"]) == 1  # it does not count as done
    assert app.main([str(raw), str(out), "participant"]) == 0
    assert "Incomplete" not in ours.read_text()


def test_a_file_in_place_of_a_deleted_result_is_not_replaced(make_dataset, tmp_path, capsys):
    raw, out = make_dataset(ONE), tmp_path / "out"
    assert app.main([str(raw), str(out), "participant"]) == 0
    for name in RESULTS:
        (out / "sub-01/anat" / f"sub-01_{name}").unlink()
    file = put(out / "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz")
    for options in ([], ["--force"]):
        assert app.main([str(raw), str(out), "participant", *options]) == 1
        assert f"{file} was not made by getnet_bids, and is not replaced" in capsys.readouterr().err
    assert file.read_text() == TEXT


def test_a_field_of_a_users_own_is_not_removed(make_dataset, tmp_path):
    raw, out = make_dataset(ONE), tmp_path / "out"
    assert app.main([str(raw), str(out), "participant", "--uncertainty"]) == 0
    made = sorted(path.name for path in (out / "sub-01/anat").glob("*biasfield.*"))
    assert len(made) == 4
    assert app.main([str(raw), str(out), "participant", "--no-field", "--force"]) == 0
    assert not list((out / "sub-01/anat").glob("*biasfield.*"))  # results of another estimate
    files = [put(out / "sub-01/anat" / name) for name in made if name.endswith(".nii.gz")]
    assert app.main([str(raw), str(out), "participant", "--no-field", "--force"]) == 0
    assert [file.read_text() for file in files] == [TEXT] * 2


def test_a_folder_in_the_work_folder_is_not_emptied(tmp_path):
    folder = tmp_path / "getnet_bids_1" / "sub-01_T1w"
    file = put(folder / "notes.txt")
    for anew in (False, True):
        assert not mark_folder(folder, anew)
    assert file.read_text() == TEXT
    ours = tmp_path / "getnet_bids_1" / "sub-02_T1w"
    with ExitStack() as held:
        assert take_folder(ours, held)
        assert mark_folder(ours, anew=False)
    (ours / "node").mkdir()
    assert mark_folder(ours, anew=False)
    assert (ours / "node").exists()
    assert mark_folder(ours, anew=True)
    assert not (ours / "node").exists()


def test_a_result_that_was_edited_is_not_discarded(make_dataset, tmp_path):
    comparison = Comparison.of(find_images(make_dataset(ONE)).sources[0], tmp_path / "out", N4)
    comparison.folder.mkdir(parents=True)
    comparison.mask.write_text("made")
    notes = put(comparison.folder / "sub-01_notes.txt")
    listed = {path.relative_to(comparison.root).as_posix(): path.stat().st_size for path in (comparison.mask, notes)}
    sidecar(comparison.other.corrected).write_text(json.dumps({"GetNet": {FILES: listed}}))
    before = files_before(comparison)  # of an earlier version, without checksums
    [name] = before["Outputs"]
    assert name == "sub-01/anat/sub-01_desc-brain_mask.nii.gz"
    comparison.mask.write_text("edited by hand")
    discard(comparison.mask, name, before)
    assert comparison.mask.read_text() == "edited by hand"
    comparison.mask.write_text("made")
    discard(comparison.mask, name, before)
    assert not comparison.mask.exists()


def test_getnet_does_not_write_over_its_weights(make_dataset, tmp_path, capsys):
    image = make_dataset(ONE) / ONE
    weights = put(tmp_path / "weights.nii.gz")
    assert one.main([str(image), str(weights), "--weights", str(weights)]) == 64
    assert weights.read_text() == TEXT
