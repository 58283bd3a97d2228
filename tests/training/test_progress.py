"""Progress without a terminal: lines now and then."""

from __future__ import annotations

import pytest

from getnet_bids.training import record as module
from getnet_bids.training.record import Progress


def test_lines_with_rate_and_time_left(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    progress = Progress(done=200, total=1000, every=30)
    progress.show({"loss": 0.1})
    for _ in range(4):
        now[0] += 10
        progress.update(100)
    assert progress.rate == 10
    err = capsys.readouterr().err
    assert err == "500/1000 pairs (50.0%), 10.0 pairs/s, 00:50 left; loss 0.1000\n"


def test_other_processes_are_silent(capsys: pytest.CaptureFixture) -> None:
    progress = Progress(0, 10, shown=False, every=0)
    progress.update(5)
    progress.say("x")
    progress.close()
    assert capsys.readouterr().err == ""
