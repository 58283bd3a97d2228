from __future__ import annotations

import json
import os

import numpy as np
import pytest
from PIL import Image

from getnet_bids.bids.discovery import find_images
from getnet_bids.bids.ownership import sealed
from getnet_bids.bids.status import RunLog
from getnet_bids.images import like, magnitudes, read, write
from getnet_bids.reports import write_missing_reports, write_reports
from getnet_bids.reports.pages import Pages

from .conftest import gain

ONE, TWO, OTHER = (f"sub-0{i}/anat/sub-0{i}_T{j}w.nii.gz" for i, j in ((1, 1), (1, 2), (2, 1)))


def test_pictures_and_measures_that_are_missing_are_made_again(derived):
    raw, out = derived(ONE)
    path = out / "sub-01/anat/sub-01_desc-preproc_T1w.json"
    before = json.loads(path.read_text())
    pictures = sorted((out / "sub-01/figures").iterdir())
    for picture in pictures:
        picture.unlink()
    changed = {**before, "GetNet": {k: v for k, v in before["GetNet"].items() if k not in ("Measures", "Figures")}}
    path.write_text(json.dumps(sealed(changed)))
    assert write_reports(out, find_images(raw).sources) == [out / "sub-01.html"]
    assert sorted((out / "sub-01/figures").iterdir()) == pictures
    after = json.loads(path.read_text())
    # The foreground is found anew; what was made from the same voxels is as it was.
    assert after["GetNet"]["Measures"]["FieldP99"] == pytest.approx(before["GetNet"]["Measures"]["FieldP99"], rel=0.05)
    assert {k: v for k, v in after.items() if k != "GetNet"} == {k: v for k, v in before.items() if k != "GetNet"}
    assert after["GetNet"]["Outputs"] == before["GetNet"]["Outputs"]


def test_without_the_field_file_the_field_is_taken_from_the_images(derived):
    raw, out = derived(ONE)
    next(out.rglob("*_biasfield.nii.gz")).unlink()
    picture = next(out.rglob("*_field.jpg"))
    kept = np.asarray(Image.open(picture)).astype(float)
    picture.unlink()
    write_reports(out, find_images(raw).sources)
    assert np.abs(np.asarray(Image.open(picture)) - kept).mean() < 5


def test_images_that_are_gone_leave_a_page_without_pictures(derived, caplog):
    raw, out = derived(ONE)
    sources = find_images(raw).sources
    for picture in (out / "sub-01/figures").iterdir():
        picture.unlink()
    (raw / ONE).unlink()
    assert write_reports(out, sources) == [out / "sub-01.html"]
    assert "no pictures" in caplog.text
    assert "--reports-only" in (out / "sub-01.html").read_text()


def test_a_page_is_written_when_the_last_image_has_ended(derived):
    raw, out = derived(ONE, TWO, OTHER)
    one, two, other = find_images(raw).sources
    pages = Pages(out, [one, two, other])
    pages.ended(one)
    assert not list(out.glob("*.html"))
    pages.ended(two)
    assert [path.name for path in out.glob("*.html")] == ["sub-01.html"]
    pages.ended(other)
    assert len(list(out.glob("*.html"))) == 2


def test_a_page_that_cannot_be_written_is_only_warned_of(derived, caplog):
    raw, out = derived(ONE)
    (out / "sub-01.html").mkdir()
    Pages(out, find_images(raw).sources).ended(find_images(raw).sources[0])
    assert "sub-01: no page" in caplog.text


def test_missing_and_stale_pages_are_made_and_no_others(derived):
    raw, out = derived(ONE, OTHER)
    sources = find_images(raw).sources
    assert len(write_missing_reports(out, sources)) == 2
    assert write_missing_reports(out, sources) == []
    sidecar = out / "sub-02/anat/sub-02_desc-preproc_T1w.json"
    later = (out / "sub-02.html").stat().st_mtime_ns + 10**9
    os.utime(sidecar, ns=(later, later))
    assert write_missing_reports(out, sources) == [out / "sub-02.html"]


def test_a_failed_image_without_results_has_its_page(derived):
    raw, out = derived(ONE, OTHER, without=1)
    sources = find_images(raw).sources
    RunLog(out / "logs").add(OTHER, "failed", reason="cut short")
    assert [path.name for path in write_reports(out, sources)] == ["sub-01.html", "sub-02.html"]
    assert "cut short" in (out / "sub-02.html").read_text()


def test_a_simulated_gain_has_its_pictures(derived):
    raw, out = derived(ONE, without=1)
    folder = out / "sub-01" / "anat"
    folder.mkdir(parents=True)
    image = read(raw / ONE)
    field = gain(image.shape)
    shaded = {"simulated": magnitudes(image) * field, "simulatedGetNet": magnitudes(image)}
    for desc, data in shaded.items():
        write(like(image, data), folder / f"sub-01_desc-{desc}_T1w.nii.gz")
    write(like(image, field), folder / "sub-01_mod-T1w_desc-simulatedGetNet_biasfield.nii.gz")
    about = {"Sources": [f"bids:raw:{ONE}"], "GetNet": {"Seconds": 2.0}}
    (folder / "sub-01_desc-simulatedGetNet_T1w.json").write_text(json.dumps(about))
    write_reports(out, find_images(raw).sources)
    page = (out / "sub-01.html").read_text()
    assert page.count("data:image/jpeg") == 3
    assert '"before" is the shaded image' in page
    measures = json.loads((folder / "sub-01_desc-simulatedGetNet_T1w.json").read_text())["GetNet"]["Measures"]
    # The head has 0.85 of the grid's extent, along which the field's logarithm rises by 0.6.
    assert measures["FieldMaximum"] / measures["FieldMinimum"] == pytest.approx(np.exp(0.6 * 0.85), rel=0.05)
