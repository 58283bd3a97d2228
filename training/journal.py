"""What a training leaves to be looked at: a CSV file and TensorBoard's."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

NAME = "figures.csv"
COLUMNS = (
    "step", "kind", "minutes", "learning_rate", "pairs_per_second", "loss", "ratio_mae", "field_mae", "field_size",
    "false_field", "image_leakage", "rim_leakage", "core_leakage", "variation_leakage", "error_over_spread",
)  # fmt: skip


class Journal:
    """Writes the figures of a run.

    Parameters
    ----------
    run : Path
        The run's folder; gets ``figures.csv`` and ``tensorboard/``.
    step : int
        Where the run goes on. What was written of later steps, by a session that then was killed, is dropped.
    """

    def __init__(self, run: Path, step: int) -> None:
        self.path = run / NAME
        rows = []
        if self.path.exists():
            with open(self.path, newline="") as file:
                rows = [row for row in csv.DictReader(file) if not_after(row["step"] or "", step)]
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        part = self.path.with_suffix(".part")
        part.write_text(text.getvalue())
        part.replace(self.path)
        self.board = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1, flush_secs=30)

    def write(self, step: int, kind: str, figures: dict[str, float]) -> None:
        """Add a row; `kind` is ``training`` or ``validation``."""
        with open(self.path, "a", newline="") as file:
            row = {"step": step, "kind": kind} | {name: f"{value:.6g}" for name, value in figures.items()}
            csv.DictWriter(file, COLUMNS).writerow(row)
        for name, value in figures.items():
            self.board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Write out what TensorBoard still holds."""
        self.board.close()


def not_after(text: str, step: int) -> bool:
    """Whether a row's step, as it stands in the file, is whole and not after a step."""
    return text.isdigit() and int(text) <= step
