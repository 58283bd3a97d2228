"""Figures on file: rows of after the checkpoint are dropped when a run goes on."""

from __future__ import annotations

from pathlib import Path

from getnet_bids.training.record import Journal


def test_rows_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 0)
    for step in (1, 2, 3):
        journal.write(step, "training", {"loss": 1 / step})
    journal.close()
    with open(tmp_path / "figures.csv", "a") as file:
        file.write("4,trai")  # killed while it wrote
    journal = Journal(tmp_path, 2)
    journal.write(3, "validation", {"ratio_mae": 0.5})
    journal.close()
    lines = (tmp_path / "figures.csv").read_text().splitlines()
    assert lines[0].startswith("step,kind,minutes")
    assert [line.split(",")[:2] for line in lines[1:]] == [["1", "training"], ["2", "training"], ["3", "validation"]]
    assert len({line.count(",") for line in lines}) == 1
