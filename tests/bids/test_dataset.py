from __future__ import annotations

import json
import re

import pytest

from getnet_bids.bids.dataset import check_input, check_output, prepare_output


def test_input(make_dataset, tmp_path):
    assert check_input(make_dataset()) is None
    assert "no dataset_description.json" in check_input(tmp_path)
    (tmp_path / "dataset_description.json").write_text('{"Name": "x"}')
    assert "lacks BIDSVersion" in check_input(tmp_path)
    (tmp_path / "dataset_description.json").write_text("[]")
    assert re.search("lacks Name and BIDSVersion, .*--skip-bids-validation", check_input(tmp_path))
    for encoding in ("cp1252", "utf-8-sig", "utf-16"):
        (tmp_path / "dataset_description.json").write_bytes('{"Name": "Gehör", "BIDSVersion": "1.9"}'.encode(encoding))
        assert check_input(tmp_path) is None


@pytest.mark.parametrize(
    ("out", "allowed"),
    [
        ("raw", False),
        ("raw/sub-01", False),
        ("raw/derivatives", False),
        ("raw/derivatives/getnet", True),
        ("raw/derivatives/x/getnet", False),
        ("raw/../raw/out", False),
        ("out", True),
        ("raw-out", True),
    ],
)
def test_output_may_not_lie_in_the_input(make_dataset, tmp_path, out, allowed):
    assert (check_output(make_dataset(), tmp_path / out) is None) is allowed


def test_a_link_into_the_input_is_seen_through(make_dataset, tmp_path):
    (tmp_path / "link").symlink_to(make_dataset())
    assert check_output(make_dataset(), tmp_path / "link") is not None


def test_another_dataset_is_not_written_into(make_dataset, tmp_path):
    raw = make_dataset()
    assert "another dataset" in check_output(raw, make_dataset(root="other"))
    prepare_output(raw, tmp_path / "out")
    assert check_output(raw, tmp_path / "out") is None


def test_files_at_the_top(make_dataset, tmp_path):
    raw, inside = make_dataset(), tmp_path / "raw" / "derivatives" / "getnet"
    prepare_output(raw, inside)
    prepare_output(raw, tmp_path / "out")
    about = json.loads((inside / "dataset_description.json").read_text())
    assert about["DatasetType"] == "derivative"
    assert about["DatasetLinks"] == {"raw": "../.."}
    assert about["GeneratedBy"][0]["Name"] == "getnet_bids"
    apart = json.loads((tmp_path / "out" / "dataset_description.json").read_text())
    assert apart["DatasetLinks"] == {"raw": raw.resolve().as_uri()}
    assert "figures\n" in (inside / ".bidsignore").read_text()
    assert "Simkó" in (inside / "logs" / "CITATION.md").read_text()


@pytest.mark.parametrize("linked", [False, True])
def test_raw_data_inside_the_derivative_are_linked_relatively(tmp_path, linked):
    out = tmp_path / "study"
    raw = out / "sourcedata" / "raw"
    raw.parent.mkdir(parents=True)
    if linked:
        (tmp_path / "elsewhere").mkdir()
        raw.symlink_to(tmp_path / "elsewhere")
    else:
        raw.mkdir()
    prepare_output(raw, out)
    about = json.loads((out / "dataset_description.json").read_text())
    assert about["DatasetLinks"] == {"raw": "sourcedata/raw"}
    assert about["SourceDatasets"][0]["URL"] == "sourcedata/raw"


def test_what_a_user_wrote_stays(make_dataset, tmp_path):
    prepare_output(make_dataset(), tmp_path / "out")
    (tmp_path / "out" / "README.md").write_text("mine")
    prepare_output(make_dataset(), tmp_path / "out")
    assert (tmp_path / "out" / "README.md").read_text() == "mine"
