from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from getnet_bids.bids.status import RunLog
from getnet_bids.reports.plots import histogram
from getnet_bids.reports.subject import write_subject_report

from .conftest import compare
from .html import Page

ONE = "sub-01/anat/sub-01_T1w.nii.gz"
TWO = "sub-01/ses-b/anat/sub-01_ses-b_run-2_FLAIR.nii.gz"
EVIL = "<script>alert(1)</script>"


def sidecar(out, change):
    path = out / "sub-01/anat/sub-01_desc-preproc_T1w.json"
    content = json.loads(path.read_text())
    change(content["GetNet"])
    path.write_text(json.dumps(content))


def test_page_of_a_subject(derived):
    _, out = derived(ONE, TWO, metadata={"ImageType": ["NORM"]})
    path = write_subject_report(out, "01")
    assert path == out / "sub-01.html"
    page = Page(path)
    page.check(out)
    pictures = [image["src"] for image in page.all("img")]
    assert len(pictures) == 2 * 5  # before, after and field, and the outline twice
    kind, _, data = pictures[0].partition(";base64,")
    assert kind == "data:image/jpeg"
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert (str(image.width), str(image.height)) == (page.all("img")[0]["width"], page.all("img")[0]["height"])
    assert "ses-b" in page.text
    assert page.text.count("normalised the source already") == 2
    assert "Simkó" in page.text
    links = {link["href"] for link in page.all("a")}
    assert "sub-01/ses-b/anat/sub-01_ses-b_run-2_mod-FLAIR_desc-preproc_biasfield.nii.gz" in links
    assert "#sub-01_ses-b_run-2_FLAIR" in links
    assert [slider["type"] for slider in page.all("input")].count("range") == 2


def test_the_same_again(derived):
    _, out = derived(ONE)
    first = write_subject_report(out, "sub-01").read_bytes()
    assert write_subject_report(out, "sub-01").read_bytes() == first


def test_failures_are_shown(derived):
    _, out = derived(ONE, TWO, without=1)
    log = RunLog(out / "logs")
    log.add(ONE, "failed", 1.0, "the disk is full")
    try:
        raise KeyError(EVIL)
    except KeyError as error:
        crash = log.crash("sub-01_ses-b_run-2_FLAIR", error)
    log.add(TWO, "failed", 1.0, f"KeyError: {EVIL}; see {crash}")
    page = Page(write_subject_report(out, "01"))
    page.check(out)
    assert "the disk is full" in page.text
    assert "of an earlier run" in page.text
    assert page.text.count(EVIL) == 2  # the reason and the traceback, as text
    assert "in test_failures_are_shown" in page.text
    assert crash.relative_to(out).as_posix() in {link["href"] for link in page.all("a")}
    assert "2 failed" in page.text


def test_a_subject_without_results_has_a_page(derived):
    _, out = derived(ONE, without=1)
    log = RunLog(out / "logs")
    log.add(ONE, "failed", 1.0, "truncated; copy it again")
    page = Page(write_subject_report(out, "01"))
    page.check(out)
    assert "copy it again" in page.text


def test_sidecars_that_hold_anything_do_no_harm(derived):
    _, out = derived(ONE)

    def change(made):
        made.update(Device=EVIL, Weights=[EVIL], Seconds=EVIL, Options={EVIL: EVIL}, Software=EVIL, Remarks=[EVIL, 3])
        made["Figures"] = {"Columns": EVIL, "Window": [EVIL, 1], "Planes": [EVIL], "FieldColours": 3}
        made["Measures"] = {"FieldP1": EVIL, "FieldP99": None, "Histogram": {"From": 0, "To": EVIL, "Before": EVIL}}

    sidecar(out, change)
    path = write_subject_report(out, "01")
    page = Page(path)
    page.check(out)
    assert EVIL in page.text
    assert "<script>alert" not in path.read_text()


def test_missing_and_broken_pictures(derived):
    _, out = derived(ONE)
    broken = next((out / "sub-01/figures").glob("*_before.jpg"))
    broken.write_bytes(b"")
    page = Page(write_subject_report(out, "01"))
    assert page.all("img") == []
    assert "--reports-only" in page.text


def test_comparison(derived):
    _, out = derived(ONE)
    rows = ["method\tregion\tvoxels\tcv\tcjv\tseconds"]
    for method in ("input", "N4", EVIL):
        rows += [f"{method}\tentire image\t99\t0.3125\tn/a\tn/a", f"{method}\tGM+WM\t50\tn/a\t0.125\t2.5"]
    compare(out, "sub-01", rows)
    noise = np.random.default_rng(0).integers(0, 255, (900, 1800, 3), np.uint8)
    Image.fromarray(noise).save(out / "sub-01/figures/sub-01_mod-T1w_desc-inu_comparison.png")
    path = write_subject_report(out, "01")
    page = Page(path)
    page.check(out)
    assert page.text.count("31.2 %") == page.text.count("12.5 %") == 3
    assert page.text.count("GM+WM") == 1  # the region stands once for its methods
    assert "<script>alert" not in path.read_text()
    shown = page.all("img")[-1]
    assert (shown["width"], shown["height"]) == ("1500", "750")
    Image.open(io.BytesIO(base64.b64decode(shown["src"].partition(",")[2]))).load()


@pytest.mark.parametrize(
    "change",
    [{"InputHash": "sha256:1"}, {"WeightsHash": "sha256:1"}, {"Algorithm": 0}, {"Options": {"refine": False}}],
    ids=str,
)
def test_a_comparison_that_belongs_to_another_correction_is_left_out(derived, change):
    _, out = derived(ONE)
    compare(out, "sub-01", ["method\tregion\tcv", "input\tentire image\t0.3125", "N4\tentire image\t0.3"])
    assert "31.2 %" in Page(write_subject_report(out, "01")).text
    sidecar(out, lambda made: made.update(change))
    page = Page(write_subject_report(out, "01"))
    page.check(out)
    assert "31.2 %" not in page.text
    assert "run --compare again" in page.text


def test_histogram_has_the_counts_heights():
    counts = [0] * 20 + [10] * 20 + [5] * 20 + [0] * 20
    drawn = histogram({"Measures": {"Histogram": {"From": 0, "To": 80, "Before": counts, "After": counts[::-1]}}})
    points = [tuple(map(float, point.split(","))) for point in drawn["before"].split()]
    heights = [drawn["height"] - y for _, y in points]
    assert heights[30] == drawn["height"]
    assert heights[50] == drawn["height"] / 2
    assert heights[5] == 0
    assert [float(text) for _, text in drawn["ticks"]] == [0, 20, 40, 60, 80]
    assert re.search(r"\d", drawn["after"])
