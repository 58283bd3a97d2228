"""What a user has edited, or put under the name of a result, is neither replaced nor removed."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from getnet_bids.bids import ownership
from getnet_bids.bids.ownership import SEAL, refusal, sealed
from getnet_bids.bids.provenance import CHECKSUMS, record
from getnet_bids.cli import app
from getnet_bids.errors import GetNetError
from getnet_bids.files import checksum, is_remnant
from getnet_bids.marks import check_marked, write_marked
from getnet_bids.run import worker

ONE = "sub-01/anat/sub-01_T1w.nii.gz"
TEXT = "a user's"
CORRECTED, FIELD = "sub-01_desc-preproc_T1w.nii.gz", "sub-01_mod-T1w_desc-preproc_biasfield.nii.gz"
SD = "sub-01_mod-T1w_desc-preproc_stat-std_biasfield.nii.gz"
OTHER = ("--no-refine", "--uncertainty")
NOT_REPLACED = "was changed after getnet_bids wrote it, and is not replaced; move or rename it"


def double(path: Path) -> None:
    """Edit an image as a user would, by nibabel."""
    image = nib.load(path)
    nib.save(nib.Nifti1Image(2 * np.asarray(image.dataobj), image.affine), path)


def note(path: Path) -> None:
    """Edit a sidecar without changing what makes it one of this program's."""
    path.write_text(json.dumps({**json.loads(path.read_text()), "Comment": TEXT}))


def run(raw: Path, out: Path, *options: str) -> int:
    return app.main([str(raw), str(out), *(options if options[:1] == ("group",) else ("participant", *options))])


@pytest.fixture
def finished(make_dataset, tmp_path):
    """Return a dataset and its results, with maps of the uncertainty."""
    raw, out = make_dataset(ONE), tmp_path / "out"
    assert run(raw, out, "--uncertainty") == 0
    return raw, out


@pytest.mark.parametrize("name", [CORRECTED, FIELD, SD])
@pytest.mark.parametrize("edit", [double, note])
@pytest.mark.parametrize("options", [OTHER, ("--force", "--uncertainty")])
def test_an_edited_result_is_not_replaced(finished, capsys, name, edit, options):
    raw, out = finished
    image = out / "sub-01/anat" / name
    file = image if edit is double else image.with_name(name.replace(".nii.gz", ".json"))
    edit(file)
    before = {path: path.read_bytes() for path in image.parent.iterdir()}
    assert run(raw, out, *options) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if NOT_REPLACED in line]
    assert len(lines) == 1
    assert str(file) in lines[0]
    assert {path: path.read_bytes() for path in image.parent.iterdir()} == before
    for path in {file, image}:
        path.rename(out / f"my_{path.name}")
    assert run(raw, out, *options) == 0


def test_an_edit_that_keeps_the_size_is_noticed(tmp_path):
    file = tmp_path / CORRECTED
    file.write_bytes(gzip.compress(b"123456789", 0))
    made = record([file])
    assert refusal(file, file.name, made) is None
    file.write_bytes(gzip.compress(b"123456780", 0))
    assert refusal(file, file.name, made) == f"{file} {NOT_REPLACED}"
    assert refusal(file, file.name, {"Outputs": made["Outputs"]}) is None  # as recorded by an earlier version


def test_nothing_is_read_if_nothing_is_replaced(finished, monkeypatch):
    def read(path):
        raise AssertionError(path)

    monkeypatch.setattr(ownership, "checksum", read)
    assert run(*finished, "--uncertainty") == 0


@pytest.mark.parametrize("there", [True, False])
def test_a_file_that_appears_after_the_plan_is_not_replaced(finished, monkeypatch, capsys, there):
    raw, out = finished
    file = out / "sub-01/anat" / CORRECTED
    if not there:
        shutil.rmtree(file.parent)
    compute = worker.compute

    def slowly(*args, **kwargs):
        file.parent.mkdir(exist_ok=True)
        file.write_text(TEXT)
        return compute(*args, **kwargs)

    monkeypatch.setattr(worker, "compute", slowly)
    assert run(raw, out, "--force") == 1
    assert f"{file} {NOT_REPLACED if there else 'was not made by getnet_bids'}" in capsys.readouterr().err
    assert file.read_text() == TEXT


@pytest.mark.parametrize("left", ["empty", "cut", "damaged", "lost"])
def test_what_holds_nothing_is_made_again(finished, left):
    raw, out = finished
    file = out / "sub-01/anat" / CORRECTED
    data = file.read_bytes()
    middle = len(data) // 2
    file.unlink()
    if left != "lost":
        whole = data[:middle] + bytes(40) + data[middle + 40 :] + bytes(8)
        file.write_bytes({"empty": b"", "cut": data[:-100], "damaged": whole}[left])
    assert run(raw, out, "--uncertainty") == 0
    assert file.read_bytes() == data


def test_empty_files_are_nobodys(finished):
    raw, out = finished
    for path in (out / "sub-01/anat").iterdir():
        path.write_bytes(b"")
    assert run(raw, out) == 0


def test_what_cannot_be_read_is_not_replaced_and_stops_no_other(make_dataset, tmp_path, monkeypatch, capsys):
    raw, out = make_dataset(ONE, ONE.replace("sub-01", "sub-02")), tmp_path / "out"
    assert run(raw, out) == 0

    def refuse(path):
        if path.name == CORRECTED:
            raise PermissionError(13, "Permission denied", str(path))
        return checksum(path)

    monkeypatch.setattr(ownership, "checksum", refuse)
    assert run(raw, out, "--force") == 1
    said = capsys.readouterr().err
    assert f"{CORRECTED} cannot be read (Permission denied), and is not replaced" in said
    assert "1 done, 0 skipped, 1 failed" in said


def test_results_of_earlier_versions_are_known_by_their_size(finished):
    raw, out = finished
    folder = out / "sub-01/anat"
    for path in folder.glob("*.json"):
        content = json.loads(path.read_text())
        del content[SEAL], content["GetNet"][CHECKSUMS]
        path.write_text(json.dumps(content))
    assert run(raw, out, *OTHER) == 0
    assert all(SEAL in path.read_text() for path in folder.glob("*.json"))


def test_an_edited_field_stays_if_none_is_asked_for(finished):
    raw, out = finished
    files = [out / "sub-01/anat" / name for name in (FIELD, SD)]
    for file in files:
        double(file)
    before = [file.read_bytes() for file in files]
    assert run(raw, out, "--no-field", "--no-refine") == 0
    assert [file.read_bytes() for file in files] == before


PAGES = ["sub-01.html", "group_metrics.html", "desc-inu_metrics.tsv", "desc-inu_metrics.json"]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("edited", [True, False])
def test_pages_and_tables_of_a_users_own_stay(finished, capsys, caplog, name, edited):
    raw, out = finished
    assert run(raw, out, "group") == 0
    file = out / name
    text = file.read_text()
    if name.endswith(".json"):
        file.write_text(json.dumps({**json.loads(text), "rating": {"Description": TEXT}} if edited else {}))
    else:
        file.write_text(text.replace("T1w", "T1W", 1) if edited else TEXT)
    before = file.read_bytes()
    capsys.readouterr()
    of_group = name != "sub-01.html"
    code = run(raw, out, "group") if of_group else run(raw, out, "--reports-only")
    assert code == (73 if of_group else 1)
    said = capsys.readouterr().err + caplog.text
    changed = edited or name.endswith(".tsv")  # whose sidecar is there
    assert f"{file} {NOT_REPLACED if changed else 'was not made by getnet_bids'}" in said
    assert run(raw, out, "--force", "--uncertainty") == 0  # images do not depend on pages
    assert file.read_bytes() == before
    file.rename(out / f"my_{name}")
    if name.endswith(".json"):
        (out / "desc-inu_metrics.tsv").unlink()
    assert run(raw, out, "group") == 0
    assert run(raw, out, "--reports-only") == 0
    assert file.exists()


def test_a_table_and_a_page_of_an_earlier_version_are_replaced(finished):
    raw, out = finished
    assert run(raw, out, "group") == 0
    about = out / "desc-inu_metrics.json"
    columns = {name: text for name, text in json.loads(about.read_text()).items() if name not in ("GetNet", SEAL)}
    about.write_text(json.dumps(columns))
    for page in ("sub-01.html", "group_metrics.html"):
        text = (out / page).read_text()
        (out / page).write_text("".join(line for line in text.splitlines(True) if "<!-- getnet_bids" not in line))
    assert run(raw, out, "group") == 0
    assert run(raw, out, "--reports-only") == 0
    for page in ("sub-01.html", "group_metrics.html"):
        assert "<!-- getnet_bids: " in (out / page).read_text()


def test_a_group_level_that_was_stopped_goes_on(finished):
    raw, out = finished
    assert run(raw, out, "group") == 0
    (out / "desc-inu_metrics.json").write_text('{"Incomplete": "stopped"}')
    (out / "desc-inu_metrics.tsv").write_text("half of it")
    assert run(raw, out, "group") == 0


def test_an_edited_picture_stays_and_is_not_taken_for_the_result(finished, caplog):
    raw, out = finished
    file = next((out / "sub-01/figures").glob("*_after.jpg"))
    check_marked(file)
    file.write_bytes(file.read_bytes().replace(b"<!-- ", b"<!- -"))
    before = file.read_bytes()
    assert run(raw, out, *OTHER) == 0
    assert f"no pictures: {file} was not made by getnet_bids" in caplog.text
    assert file.read_bytes() == before
    made = json.loads((out / "sub-01/anat" / CORRECTED.replace(".nii.gz", ".json")).read_text())["GetNet"]
    assert "Measures" in made
    assert "data:image/jpeg" not in (out / "sub-01.html").read_text()
    file.unlink()
    assert run(raw, out, "--reports-only") == 0
    assert "data:image/jpeg" in (out / "sub-01.html").read_text()


def test_an_edited_sidecar_gets_no_measures(finished, caplog):
    raw, out = finished
    file = out / "sub-01/anat" / CORRECTED.replace(".nii.gz", ".json")
    content = json.loads(file.read_text())
    del content["GetNet"]["Measures"]
    file.write_text(json.dumps(content))
    before = file.read_bytes()
    assert run(raw, out, "--reports-only") == 0
    assert f"{file} {NOT_REPLACED}" in caplog.text
    assert file.read_bytes() == before


def test_a_description_that_was_edited_stays(finished):
    raw, out = finished
    file = out / "dataset_description.json"
    about = json.loads(file.read_text())
    mine = {"Name": TEXT, "Authors": [TEXT], "License": TEXT, "Acknowledgements": TEXT}
    file.write_text(json.dumps({**about, **mine, "GeneratedBy": [*about["GeneratedBy"], {"Name": TEXT}]}))
    assert run(raw, out, *OTHER) == 0
    now = json.loads(file.read_text())
    assert {key: now[key] for key in mine} == mine
    assert [one["Name"] for one in now["GeneratedBy"]] == ["getnet_bids", TEXT]


def test_checksums_are_of_the_content(tmp_path):
    plain, packed = tmp_path / "a.nii", tmp_path / "a.nii.gz"
    plain.write_bytes(b"123456789")
    packed.write_bytes(gzip.compress(b"123456789"))
    assert checksum(plain) == "crc32:cbf43926"  # the check value of CRC-32
    assert checksum(packed) == f"gzip:{'cbf43926'[6:]}{'cbf43926'[4:6]}{'cbf43926'[2:4]}{'cbf43926'[:2]}09000000"
    assert not is_remnant(plain)
    assert not is_remnant(packed)
    packed.write_bytes(packed.read_bytes()[:-1])
    assert is_remnant(packed)


def test_a_sidecar_that_is_only_laid_out_anew_is_unchanged():
    content = sealed({"a": [1.5, {"b": "\udcff"}], "c": None})
    assert ownership.is_intact(json.loads(json.dumps(content, indent=7, sort_keys=True)))
    assert not ownership.is_intact({**content, "c": 0})


def test_a_mark_is_of_all_other_bytes(tmp_path):
    page = tmp_path / "sub-01.html"
    write_marked(page, "<html>\udcff</html>\n")
    assert page.read_text().endswith("</html>\n")
    write_marked(page, "<html>again</html>\n")
    page.write_text(page.read_text().replace("again", "mine"))
    with pytest.raises(GetNetError, match="was changed"):
        write_marked(page, "<html>again</html>\n")
