from __future__ import annotations

import json
from pathlib import Path

import pytest

from getnet_bids.bids.dataset import prepare_output
from getnet_bids.bids.discovery import Source
from getnet_bids.bids.names import Name
from getnet_bids.comparison.dataset import check_kind, prepare_comparison
from getnet_bids.comparison.methods import METHODS
from getnet_bids.comparison.outputs import Comparison

N4 = METHODS["n4"]

GAIN = {"Percent": 30.0, "Seed": 0}


@pytest.fixture
def out(tmp_path, make_dataset):
    raw, out = make_dataset(), tmp_path / "out"
    prepare_output(raw, out)
    return out


def comparison(out, **options):
    source = Source(Path("raw"), "sub-01/anat/sub-01_T1w.nii.gz", Name.parse("sub-01_T1w.nii.gz"))
    return Comparison(source, out, N4, **options)


def test_real_and_simulated_results_are_not_mixed(out, tmp_path):
    assert check_kind(tmp_path / "absent", GAIN) is None
    assert check_kind(out, None) is None
    assert check_kind(out, GAIN) is None  # prepared, but nothing in it
    (out / "sub-01").mkdir()
    assert "results of real images" in check_kind(out, GAIN)
    assert check_kind(out, None) is None


def test_a_simulation_is_known_again(out, make_dataset):
    prepare_comparison(out, N4, [comparison(out, simulated=True)], {}, GAIN)
    (out / "sub-01").mkdir()
    prepare_output(make_dataset(), out)  # as the next run does
    assert check_kind(out, GAIN) is None
    assert "--simulate-gain 30 --random-seed 0" in check_kind(out, None)
    assert check_kind(out, {**GAIN, "Percent": 20.0})
    assert check_kind(out, {**GAIN, "Seed": 1})
    assert (out / "README.md").read_text().startswith("**Simulated shading.**")


def test_what_is_added_is_added_once_and_stays(out, make_dataset, tmp_path):
    prepare_comparison(out, N4, [comparison(out, contrast="T1w")], {"fmriprep": tmp_path}, None)
    texts = [(out / name).read_text() for name in ("descriptions.tsv", "dataset_description.json", "README.md")]
    assert [line.split("\t")[0] for line in texts[0].splitlines()] == [
        "desc_id",
        "desc-preproc",
        "desc-N4",
        "desc-brain",
        "desc-inu",
        "desc-T1w",
    ]
    links = json.loads(texts[1])["DatasetLinks"]
    assert links["fmriprep"] == tmp_path.as_uri()
    assert "raw" in links
    prepare_output(make_dataset(), out)
    prepare_comparison(out, N4, [comparison(out)], {}, None)
    assert texts == [(out / name).read_text() for name in ("descriptions.tsv", "dataset_description.json", "README.md")]


def test_texts_that_another_editor_has_saved_are_read(out):
    (out / "README.md").write_bytes("Für das Labor\n".encode("cp1252"))
    (out / "descriptions.tsv").write_bytes("desc_id\tdescription\ndesc-own\tgeprüft\n".encode("cp1252"))
    prepare_comparison(out, N4, [comparison(out, simulated=True)], {}, GAIN)
    assert "Für das Labor" in (out / "README.md").read_text(encoding="utf-8")
    assert "desc-own\tgeprüft" in (out / "descriptions.tsv").read_text(encoding="utf-8")
