from __future__ import annotations

import tomllib
from pathlib import Path

from getnet_bids.bids.status import RunLog, reason_of, toml
from getnet_bids.errors import ImageError


def test_a_line_an_image_at_once(tmp_path):
    log = RunLog(tmp_path)
    assert log.exit_code == 0
    log.add("a", "done", 1.234)
    log.add("b", "failed", reason="one\ttwo\nthree")
    assert log.status.read_text().splitlines() == [
        "source\tstatus\tseconds\treason",
        "a\tdone\t1.23\tn/a",
        "b\tfailed\tn/a\tone two three",
    ]
    assert log.exit_code == 1


def test_runs_have_folders_of_their_own(tmp_path):
    assert len({RunLog(tmp_path).folder for _ in range(5)}) == 5


def test_options_are_toml():
    values = {"a": True, "b": 1.5, "c": 3, "d": ["x", 'quote " back \\ ünï 😀'], "e": Path("p/q"), "f": None, "g": []}
    assert tomllib.loads(toml(values)) == {**{k: v for k, v in values.items() if v is not None}, "e": "p/q"}


def test_reasons():
    assert reason_of(ImageError("name", "truncated")) == "truncated"
    assert reason_of(OSError(28, "No space left on device")) == "No space left on device"
    assert "memory" in reason_of(MemoryError())
    assert reason_of(KeyError()) == "KeyError"
