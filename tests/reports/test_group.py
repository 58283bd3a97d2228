from __future__ import annotations

import json
import re
import shutil

import pytest

from getnet_bids.bids.status import RunLog
from getnet_bids.reports.group import write_group_report
from tests.datasets import read_table

from .conftest import compare
from .html import Page

ONE = "sub-01/anat/sub-01_T1w.nii.gz"
EVIL = "</script><script>alert(1)</script>"


def table(out):
    return read_table(out / "desc-inu_metrics.tsv")


def rows_in(page):
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text())[1]
    return json.loads(text)


@pytest.fixture
def many(derived):
    """Return derivatives of twelve subjects, copies of the first; the field of the last is extreme."""
    _, out = derived(ONE)
    text = (out / "sub-01/anat/sub-01_desc-preproc_T1w.json").read_text()
    for i in range(2, 13):
        folder = out / f"sub-{i:02}" / "anat"
        folder.mkdir(parents=True)
        content = json.loads(text.replace("sub-01", f"sub-{i:02}"))
        content["GetNet"]["Seconds"] = 1.25 + 0.01 * i
        if i == 12:
            content["GetNet"]["Measures"]["FieldP99"] *= 10
        (folder / f"sub-{i:02}_desc-preproc_T1w.json").write_text(json.dumps(content))
    return out


def test_table_has_two_rows_an_image_and_every_column_is_described(many):
    written = write_group_report(many)
    assert [path.name for path in written] == ["desc-inu_metrics.tsv", "desc-inu_metrics.json", "group_metrics.html"]
    rows = table(many)
    assert [(row["participant_id"], row["method"], row["tissue"]) for row in rows[:2]] == [
        ("sub-01", "input", "foreground"),
        ("sub-01", "GetNet", "foreground"),
    ]
    assert len(rows) == 24
    measures = json.loads((many / "sub-01/anat/sub-01_desc-preproc_T1w.json").read_text())["GetNet"]["Measures"]
    assert float(rows[0]["cv"]) == measures["CVBefore"]
    assert float(rows[1]["cv"]) == measures["CVAfter"]
    assert float(rows[1]["field_p95_p5"]) == pytest.approx(measures["FieldP95"] / measures["FieldP5"], rel=1e-5)
    about = json.loads(written[1].read_text())
    assert list(about) == [*rows[0], "GetNet", "GetNetChecksum"]
    assert all(about[column]["Description"] for column in rows[0])


def test_what_stands_out_is_named_and_linked(many):
    page = Page(write_group_report(many)[2])
    page.check(many)
    assert "1 image is an outlier" in page.text
    assert "sub-12.html#sub-12_T1w" in {link["href"] for link in page.all("a")}
    assert "sub-05.html#sub-05_T1w" not in {link["href"] for link in page.all("a")}
    data = rows_in(many / "group_metrics.html")
    last = data["rows"][-1]
    assert last[0] == "sub-12_T1w"
    assert data["columns"][5 + last[-1][0]] == "Field range"
    assert len(data["rows"]) == 12


def test_a_comparison_gives_its_rows(many):
    rows = ["method\tregion\tvoxels\tcv\tcjv\tseconds"]
    for method, cjv in (("input", 0.7), ("GetNet", 0.25), ("N4", 0.26)):
        rows += [f"{method}\tentire image\t99\t0.3\tn/a\t1", f"{method}\tGM+WM\t50\tn/a\t{cjv}\t1"]
    compare(many, "sub-03", rows)
    write_group_report(many)
    found = [row for row in table(many) if row["participant_id"] == "sub-03"]
    assert [(row["method"], row["tissue"]) for row in found] == [
        (method, tissue) for method in ("input", "GetNet", "N4") for tissue in ("foreground", "GM+WM")
    ]
    assert [row["cjv"] for row in found] == ["n/a", "0.7", "n/a", "0.25", "n/a", "0.26"]
    assert found[2]["field_p99"] != "n/a"
    data = rows_in(many / "group_metrics.html")
    image = next(row for row in data["rows"] if row[1] == "sub-03")
    assert [image[data["columns"].index(f"CJV {name}")] for name in ("before", "GetNet", "N4")] == [0.7, 0.25, 0.26]


def test_a_comparison_of_another_image_is_left_out(many):
    rows = ["method\tregion\tcv", *(f"{method}\tentire image\t0.3" for method in ("input", "GetNet", "N4"))]
    compare(many, "sub-03", rows)
    path = many / "sub-03/anat/sub-03_desc-preproc_T1w.json"
    content = json.loads(path.read_text())
    content["GetNet"]["InputHash"] = "sha256:1"
    path.write_text(json.dumps(content))
    write_group_report(many)
    found = [row for row in table(many) if row["participant_id"] == "sub-03"]
    assert [row["method"] for row in found] == ["input", "GetNet"]
    assert float(found[1]["cv"]) == content["GetNet"]["Measures"]["CVAfter"]


def test_doubtful_images_are_listed_with_their_reasons_and_the_time_is_no_measure(many):
    for i in (2, 3):
        path = many / f"sub-0{i}/anat/sub-0{i}_desc-preproc_T1w.json"
        content = json.loads(path.read_text())
        content["GetNet"] |= {"Verdict": "doubtful", "Reasons": ["clipped <much>"]} if i == 2 else {"Seconds": 900.0}
        path.write_text(json.dumps(content))
    page = write_group_report(many)[-1].read_text()
    assert "0 failed, 1 doubtful, 1 image is an outlier" in page
    assert '#sub-02_T1w">sub-02_T1w</a>: clipped &lt;much&gt;</li>' in page


def test_failures_are_listed(many):
    log = RunLog(many / "logs")
    log.add("sub-99/anat/sub-99_T1w.nii.gz", "failed", 1.0, "truncated")
    page = Page(write_group_report(many)[2])
    page.check(many)
    assert "1 failed" in page.text
    assert rows_in(many / "group_metrics.html")["rows"][-1][4] == "failed"


def test_values_that_hold_anything_do_no_harm(many):
    path = many / "sub-02/anat/sub-02_desc-preproc_T1w.json"
    content = json.loads(path.read_text())
    content["Sources"] = ["bids:raw:sub-02/anat/<script>alert(1)<!--_T1w.nii.gz"]
    content["GetNet"]["Measures"]["FieldP1"] = EVIL
    content["GetNet"]["Seconds"] = {"a": EVIL}
    path.write_text(json.dumps(content))
    (many / "sub-04/anat/sub-04_desc-preproc_T1w.json").write_text("[not json")
    page = write_group_report(many)[2]
    Page(page).check(many)
    assert "<script>alert" not in page.read_text()
    assert any("alert(1)" in row[0] for row in rows_in(page)["rows"])
    assert {len(row) for row in table(many)} == {len(table(many)[0])}


def test_the_same_again_and_nothing_at_all(many):
    first = [path.read_bytes() for path in write_group_report(many)]
    assert [path.read_bytes() for path in write_group_report(many)] == first
    for folder in many.glob("sub-*"):
        shutil.rmtree(folder)
    page = Page(write_group_report(many)[2])
    page.check(many)
    assert "0 images" in page.text
    assert table(many) == []


def test_visits_that_differ_are_told(many):
    """One subject has two sessions: the second is brighter by half, and its field twice as strong."""
    text = (many / "sub-01/anat/sub-01_desc-preproc_T1w.json").read_text()
    assert "Visits" not in write_group_report(many)[2].read_text()
    for session, times in (("a", 1.0), ("b", 1.5)):
        folder = many / "sub-20" / f"ses-{session}" / "anat"
        folder.mkdir(parents=True)
        stem = f"sub-20_ses-{session}"
        content = json.loads(text.replace("sub-01/anat", f"sub-20/ses-{session}/anat").replace("sub-01_", f"{stem}_"))
        measures = content["GetNet"]["Measures"]
        measures |= {"MedianAfter": 100 * times, "FieldP99": measures["FieldP99"] * (2 if session == "b" else 1)}
        (folder / f"{stem}_desc-preproc_T1w.json").write_text(json.dumps(content))
    written = Page(write_group_report(many)[2])
    written.check(many)
    assert "sub-20_T1w" in written.text
    assert "a, b" in written.text
    assert "1.5" in written.text
    assert "sub-20.html#sub-20_ses-a_T1w" in {link["href"] for link in written.all("a")}
