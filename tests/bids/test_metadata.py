from __future__ import annotations

import json

import pytest

from getnet_bids.bids.discovery import find_images
from getnet_bids.bids.metadata import Metadata, read_object


def test_inheritance(tmp_path):
    folder = tmp_path / "sub-01" / "ses-a" / "anat"
    folder.mkdir(parents=True)
    (folder / "sub-01_ses-a_acq-x_T1w.nii.gz").touch()
    said = {
        "T1w.json": {"top": 1, "a": "root", "b": "root", "c": "root"},
        "acq-x_T1w.json": {"a": "root, acq"},
        "T2w.json": {"wrong": "suffix"},
        "dataset_description.json": {"wrong": "file"},
        "sub-01/sub-01_T1w.json": {"b": "subject"},
        "sub-01/ses-a/sub-01_ses-b_T1w.json": {"wrong": "session"},
        "sub-01/ses-a/anat/sub-01_ses-a_acq-x_T1w.json": {"c": "image"},
        "sub-01/ses-a/anat/sub-01_ses-a_T1w.json": {"c": "fewer entities"},
    }
    for relative, content in said.items():
        (tmp_path / relative).write_text(json.dumps(content))
    (tmp_path / "sub-01" / "ses-a" / "T1w.json").write_text("not JSON")
    source = find_images(tmp_path).sources[0]
    assert Metadata(tmp_path).of(source) == {"top": 1, "a": "root, acq", "b": "subject", "c": "image"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_files_of_other_editors(tmp_path, encoding):
    (tmp_path / "T1w.json").write_bytes('{"StationName": "Gehör"}'.encode(encoding))
    assert read_object(tmp_path / "T1w.json") == {"StationName": "Gehör"}


def test_files_that_cannot_be_used_are_named_once(tmp_path):
    (tmp_path / "sub-01" / "anat").mkdir(parents=True)
    (tmp_path / "sub-01/anat/sub-01_T1w.nii.gz").touch()
    (tmp_path / "sub-01/anat/sub-01_T1w.json").symlink_to("../../.git/annex/objects/absent")
    (tmp_path / "T1w.json").write_text("[1]")
    (tmp_path / "sub-01" / "sub-01_T1w.json").write_text("{}")
    metadata, source = Metadata(tmp_path), find_images(tmp_path).sources[0]
    found = {path.relative_to(tmp_path).as_posix(): why for path, why in metadata.unusable(source).items()}
    assert found == {
        "T1w.json": "it holds no JSON object; correct it",
        "sub-01/anat/sub-01_T1w.json": "not fetched; run `datalad get` on it",
    }
    assert metadata.unusable(source) == {}
