"""The verdicts of the App, and its maps of uncertainty, wherever they are written."""

import json

import nibabel as nib
import pytest

from tests.datasets import ONE, TWO, app, issues, read_table, status


def sidecar_of(out, source):
    """Path of the sidecar of an image's result."""
    entities, _, suffix = source.removesuffix(".nii.gz").rpartition("_")
    return out / f"{entities}_desc-preproc_{suffix}.json"


def test_the_verdict_stands_in_sidecar_status_page_and_table(dataset, capsys):
    raw, out = dataset
    assert app(raw, out, "participant", "--device", "cpu", "--force") == 0
    sidecars = {source: json.loads(sidecar_of(out, source).read_text())["GetNet"] for source in (ONE, TWO)}
    for source, made in sidecars.items():
        assert made["Verdict"] in ("corrected", "nothing to correct", "doubtful")
        assert (made["Verdict"] == "doubtful") == bool(made["Reasons"])
        assert 0 < made["FieldSDMedian"] <= made["FieldSDP95"] < 1
        assert 0.9 < made["KnownFieldsFound"] < 1.1
        assert status(out)[source]["verdict"] == made["Verdict"]
        assert status(out)[source]["reason"] == ("; ".join(made["Reasons"]) or "n/a")
        page = (out / f"{source.partition('/')[0]}.html").read_text()
        assert f"<strong>{made['Verdict'].capitalize()}.</strong>" in page
        for reason in made["Reasons"]:
            assert page.count(reason) == 1
    assert app(raw, out, "group") == 0
    rows = {row["source"]: row for row in read_table(out / "desc-inu_metrics.tsv") if row["method"] == "GetNet"}
    for source, made in sidecars.items():
        row, measures = rows[source], made["Measures"]
        assert row["verdict"] == made["Verdict"]
        assert float(row["field_sd_median"]) == pytest.approx(made["FieldSDMedian"])
        assert float(row["known_fields_found"]) == pytest.approx(made["KnownFieldsFound"])
        assert float(row["inu_range"]) == pytest.approx(measures["FieldP95"] - measures["FieldP5"], rel=1e-4)
        assert float(row["inu_med"]) == pytest.approx(measures["FieldMedian"])


def test_maps_of_uncertainty(dataset, tmp_path):
    raw, out = dataset
    assert app(raw, out, "participant", "--device", "cpu", "--uncertainty", "--participant-label", "01") == 0
    path = out / "sub-01/anat/sub-01_mod-T1w_desc-preproc_stat-std_biasfield.nii.gz"
    sd = nib.load(path).get_fdata()
    assert (sd > 0).all()
    about = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    assert "standard deviation" in about["Description"].lower()
    assert status(out)[ONE]["status"] == "done"
    assert app(raw, out, "participant", "--device", "cpu", "--uncertainty", "--participant-label", "01") == 0
    assert status(out)[ONE]["status"] == "skipped"


def test_the_validator_knows_maps_of_uncertainty(dataset):
    raw, out = dataset
    assert app(raw, out, "participant", "--device", "cpu", "--uncertainty", "--participant-label", "01") == 0
    assert list(out.rglob("*_stat-std_biasfield.nii.gz"))
    assert issues(out) == []


def test_a_doubtful_image_is_named_at_the_end(dataset, capsys):
    raw, out = dataset
    (raw / "T1w.json").write_text('{"ImageType": ["ORIGINAL", "PRIMARY", "M", "NORM"]}')
    assert app(raw, out, "participant", "--device", "cpu", "--force", "--participant-label", "01") == 0
    said = capsys.readouterr().err
    assert "verdicts: 1 doubtful (sub-01_T1w.nii.gz); see status.tsv and the pages for the reasons" in said
    assert "normalised the source already" in status(out)[ONE]["reason"]
