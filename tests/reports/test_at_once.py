"""Two runs that write the same page or table at the same time: the last one written knows all that there is."""

from __future__ import annotations

import threading

import pytest

from getnet_bids.bids.discovery import find_images
from getnet_bids.reports import group, subject
from tests.datasets import read_table

from .conftest import derive

SESSIONS = [f"sub-01/ses-{s}/anat/sub-01_ses-{s}_T1w.nii.gz" for s in "ab"]
PATIENCE = 1.5
"""Seconds that the first writer waits for the second, which must not overtake it."""


@pytest.fixture
def overtaken(derived, monkeypatch):
    """Return a function that lets a writer be overtaken, once it has read, by another that has one more result."""

    def run(module, name, write):
        raw, out = derived(*SESSIONS, without=1)
        (last,) = [source for source in find_images(raw).sources if source.relative == SESSIONS[1]]
        others: list[threading.Thread] = []
        made = getattr(module, name)

        def pause(*args, **kwargs):
            content = made(*args, **kwargs)
            if not others:
                derive(last, out)
                others.append(threading.Thread(target=write, args=(out,)))
                others[0].start()
                others[0].join(PATIENCE)
            return content

        monkeypatch.setattr(module, name, pause)
        write(out)
        others[0].join()
        assert not list(out.glob(".getnet-*"))
        return out

    return run


def test_two_sessions_of_a_subject(overtaken):
    out = overtaken(subject, "render", lambda out: subject.write_subject_report(out, "01"))
    page = (out / "sub-01.html").read_text()
    assert all(f"sub-01_ses-{s}_T1w" in page for s in "ab")


def test_the_groups_table(overtaken):
    out = overtaken(group, "differences", group.write_group_report)
    assert {row["session_id"] for row in read_table(out / "desc-inu_metrics.tsv")} == {"ses-a", "ses-b"}
    assert "sub-01_ses-b_T1w" in (out / "group_metrics.html").read_text()
