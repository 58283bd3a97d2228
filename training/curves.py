"""Learning curves of a run, as a picture."""

from __future__ import annotations

import csv
from pathlib import Path

from .record import FIGURES

NAME = "curves.png"
PANELS = {
    "Error of the field and of its ratio (log)": ("ratio_mae", "field_mae", "field_size", "false_field"),
    "Slopes, 0 is right": ("image_leakage", "rim_leakage", "core_leakage", "variation_leakage"),
}


def draw(run: Path) -> None:
    """Draw a run's held-out figures by step, and the training loss, to ``curves.png`` in its folder.

    Parameters
    ----------
    run : Path
        The run's folder, with ``figures.csv``.
    """
    from matplotlib.figure import Figure

    with open(run / FIGURES, newline="") as file:
        rows = list(csv.DictReader(file))
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, len(PANELS))
    for axis, (title, names) in zip(axes, PANELS.items(), strict=True):
        for name in names:
            steps, values = series(rows, "validation", name)
            axis.plot(steps, values, marker=".", label=name)
        axis.set(title=title, xlabel="step")
    axes[0].plot(*series(rows, "training", "loss"), color="0.7", zorder=0, label="training loss")
    axes[0].set_ylim(bottom=0)
    axes[1].axhline(0, color="0.7", zorder=0)
    for axis in axes:
        axis.legend(frameon=False, fontsize="small")
    part = run / (NAME + ".part")
    figure.savefig(part, format="png", dpi=100)
    part.replace(run / NAME)


def series(rows: list[dict[str, str]], kind: str, name: str) -> tuple[list[int], list[float]]:
    """Return the steps at which a figure was written, and its values.

    Examples
    --------
    >>> rows = [{"step": "5", "kind": "validation", "loss": ""}, {"step": "5", "kind": "training", "loss": "0.5"}]
    >>> series(rows, "training", "loss")
    ([5], [0.5])
    """
    some = [(int(row["step"]), float(row[name])) for row in rows if row["kind"] == kind and row.get(name)]
    return [step for step, _ in some], [value for _, value in some]
