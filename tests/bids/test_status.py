from __future__ import annotations

import pytest

from getnet_bids.bids.status import RunLog
from getnet_bids.errors import GetNetError, reason_of


def test_a_line_an_image_at_once(tmp_path):
    log = RunLog(tmp_path)
    assert log.exit_code == 0
    log.add("a", "done", 1.234)
    log.add("b", "failed", reason="one\ttwo\nthree")
    assert log.status.read_text().splitlines() == [
        "source\tstatus\tseconds\treason\tverdict",
        "a\tdone\t1.23\tn/a\tn/a",
        "b\tfailed\tn/a\tone two three\tn/a",
    ]
    assert log.exit_code == 1


def test_runs_have_folders_of_their_own(tmp_path):
    assert len({RunLog(tmp_path).folder for _ in range(5)}) == 5


def test_a_run_after_the_clock_went_back_comes_last(tmp_path):
    earlier = tmp_path / "20991231T235959-ffff"
    earlier.mkdir()
    (tmp_path / "CITATION.md").touch()
    first, second = (RunLog(tmp_path).folder.name for _ in range(2))
    assert (first[:15], second[:15]) == ("21000101T000000", "21000101T000001")


def test_a_name_that_is_no_text_has_its_line(tmp_path):
    log = RunLog(tmp_path)
    log.add("sub-\udcff/anat", "failed", reason="cannot be read: Permission denied")
    last = log.status.read_text().splitlines()[-1]
    assert last == "sub-\\udcff/anat\tfailed\tn/a\tcannot be read: Permission denied\tn/a"


def test_a_log_that_is_gone_is_named(tmp_path):
    log = RunLog(tmp_path)
    log.status.unlink()
    log.folder.rmdir()
    with pytest.raises(OSError, match=r"No such file.*status\.tsv"):
        log.add("a", "done")


def test_reasons():
    assert reason_of(GetNetError("truncated", "name")) == "truncated"
    assert reason_of(OSError(28, "No space left on device")) == "No space left on device; make room, and run it again"
    assert "memory" in reason_of(MemoryError())
    assert reason_of(KeyError()) == "KeyError"
