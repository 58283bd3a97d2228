"""The progress and the records of a run: its recipe, its sessions, figures and learning curves."""

from __future__ import annotations

import csv
import io
import json
import platform
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightning
import torch
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from getnet_bids.files import HIDDEN, LOCK, acquire_lock, atomic, has_name, remove_lock, sweep, write_text
from getnet_bids.machine import processor_name

from .recipe import Recipe, load_recipe, to_toml

NAME = "run.json"
RECIPE = "recipe.toml"
FIGURES = "figures.csv"
CURVES = "curves.png"
REPLACED = (FIGURES, NAME, CURVES, "best.pt")
"""Files that a run replaces, besides its last checkpoint, which it reads first."""
COLUMNS = (
    "step", "kind", "minutes", "learning_rate", "pairs_per_second", "loss", "ratio_mae", "field_mae", "field_size",
    "false_field", "image_leakage", "rim_leakage", "core_leakage", "variation_leakage", "error_over_spread",
)  # fmt: skip


@contextmanager
def alone(run: Path) -> Iterator[None]:
    """Hold the lock of a run's folder; it is released when the process ends for any reason.

    Parameters
    ----------
    run : Path
        The run's folder. If it does not exist, it is made, and removed if nothing has been written into it.

    Raises
    ------
    ValueError
        Another process has the lock. On a file system without locks this is not noticed.
    """
    new = not run.exists()
    run.mkdir(parents=True, exist_ok=True)
    lock = run / f"{HIDDEN}run{LOCK}"
    with open(lock, "ab") as file:
        # A lock without a name was removed a moment ago by a process that had it.
        if acquire_lock(file, wait=False) is False or not has_name(file, lock):
            raise ValueError(f"{run}: another process is training in this folder")
        try:
            yield
        finally:
            remove_lock(lock)
            if new:
                with suppress(OSError):
                    run.rmdir()


def begin(
    run: Path, recipe: Recipe, data: dict[str, Any], hardware: str, step: int, changed_recipe: bool = False
) -> None:
    """Write a run's recipe, record what it is trained on, and add a session to its record.

    Parameters
    ----------
    run : Path
        The run's folder, for ``recipe.toml`` and ``run.json``.
    recipe : Recipe
    data : dict
        Facts about the photographs.
    hardware : str
        Description of the devices.
    step : int
        First step of the session.
    changed_recipe : bool
        Go on even if the run was begun with other photographs.

    Raises
    ------
    ValueError
        The folder is not that of a run, and contains files that would be replaced; or the run was begun with other
        photographs.
    """
    before = read(run)
    other = step > 0 and crcs(before.get("data")) not in (None, crcs(data))
    if other and not changed_recipe:
        raise ValueError(
            f"{run} was begun with other photographs ({in_words(before['data'])}; now {in_words(data)}): give the same "
            "--data, another --run, or --changed-recipe to go on"
        )
    if not is_recipe(run / RECIPE, recipe):
        check_folder(run)
        write_text(run / RECIPE, to_toml(recipe))
    else:
        check_folder(run, REPLACED)
    sweep(run, ())  # parts of files that a killed session has left
    started = datetime.now(UTC).isoformat(timespec="seconds")
    session = {"started": started, "from_step": step, "hardware": hardware, "versions": software_versions()}
    facts = {"data": data, "sessions": [*before.get("sessions", []), session]}
    earlier = [*before.get("earlier_data", []), *([before["data"]] if other else [])]
    if step > 0 and earlier:
        facts["earlier_data"] = earlier
    write_text(run / NAME, json.dumps(facts, indent=2) + "\n")


def crcs(data: Any) -> tuple[int, int] | None:
    """Return the checksums of a cache of photographs; None if they were not recorded."""
    if not isinstance(data, dict) or not {"crc32_index", "crc32_pixels"} <= data.keys():
        return None
    return data["crc32_index"], data["crc32_pixels"]


def in_words(data: dict[str, Any]) -> str:
    """Return the number of photographs and the names of their sources."""
    return f"{data.get('photographs')} from {', '.join(Path(source).name for source in data.get('sources', []))}"


def is_recipe(path: Path, recipe: Recipe) -> bool:
    """Return whether a file contains a recipe, which is then not changed, since a user may have written it."""
    try:
        return path.exists() and load_recipe(path) == recipe
    except ValueError:
        return False


def check_folder(run: Path, names: Iterable[str] = (RECIPE, *REPLACED)) -> None:
    """Raise ValueError if a folder contains files of the given names but is not that of a run."""
    there = [name for name in names if (run / name).exists()]
    if there and "sessions" not in read(run):
        raise ValueError(f"{run}: is not a run, and its {there[0]} would be replaced; give another --run")


def read(run: Path) -> dict[str, Any]:
    """Read a run's record; empty if there is none, or the file is something else."""
    try:
        content = json.loads((run / NAME).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def describe_hardware(device: torch.device, processes: int) -> str:
    """Describe the devices of a training.

    Examples
    --------
    >>> describe_hardware(torch.device("cpu"), 2).startswith("2 x ")
    True
    """
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    elif device.type == "cpu":
        name = f"{processor_name()}, {torch.get_num_threads()} threads"
    else:
        name = device.type
    return f"{processes} x {name}"


def software_versions() -> dict[str, str]:
    """Return the versions that may affect the result."""
    from getnet_bids import __version__

    return {
        "getnet_bids": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "system": sys.platform,
    }


class Journal:
    """Writes the figures of a run.

    Parameters
    ----------
    run : Path
        The run's folder, for ``figures.csv`` and ``tensorboard/``.
    step : int
        Step from which the run continues. Rows of later steps, written by a session that was killed, are removed.
    """

    def __init__(self, run: Path, step: int) -> None:
        self.path = run / FIGURES
        rows = []
        if self.path.exists():
            with open(self.path, newline="") as file:
                rows = [row for row in csv.DictReader(file) if is_up_to(row["step"] or "", step)]
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.path, text.getvalue())
        self.board = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1, flush_secs=30)

    def write(self, step: int, kind: str, figures: dict[str, float]) -> None:
        """Add a row; `kind` is ``training`` or ``validation``."""
        with open(self.path, "a", newline="") as file:
            row = {"step": step, "kind": kind} | {name: f"{value:.6g}" for name, value in figures.items()}
            csv.DictWriter(file, COLUMNS).writerow(row)
        for name, value in figures.items():
            self.board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Flush and close TensorBoard."""
        self.board.close()


def is_up_to(text: str, step: int) -> bool:
    """Return whether the step of a row in the file is a whole number and not after a given step."""
    return text.isdigit() and int(text) <= step


class Progress:
    """Shows pairs done, pairs per second and the time left on standard error.

    Parameters
    ----------
    done, total : int
        Number of pairs.
    shown : bool
        Whether to show anything; true for one process only.
    every : float
        Seconds between lines, if there is no terminal.
    """

    def __init__(self, done: int, total: int, shown: bool = True, every: float = 30.0) -> None:
        self.first, self.done, self.total, self.every = done, done, total, every
        self.began = self.last = time.monotonic()
        self.shown, self.figures = shown, ""
        terminal = shown and sys.stderr.isatty()
        self.bar = tqdm(total=total, initial=done, unit=" pairs", mininterval=1.0) if terminal else None

    @property
    def rate(self) -> float:
        """Pairs per second since the start of this session."""
        return (self.done - self.first) / max(time.monotonic() - self.began, 1e-9)

    def update(self, pairs: int) -> None:
        """Count pairs."""
        self.done += pairs
        now = time.monotonic()
        if self.bar is not None:
            self.bar.update(pairs)
        elif self.shown and now - self.last >= self.every:
            self.last = now
            left = tqdm.format_interval((self.total - self.done) / max(self.rate, 1e-9))
            share = self.done / self.total
            self.say(
                f"{self.done}/{self.total} pairs ({share:.1%}), {self.rate:.1f} pairs/s, {left} left{self.figures}"
            )

    def show(self, figures: dict[str, float]) -> None:
        """Set the figures to show from now on."""
        text = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        self.figures = f"; {text}"
        if self.bar is not None:
            self.bar.set_postfix_str(text)

    def say(self, text: str) -> None:
        """Print a line."""
        if self.shown:
            tqdm.write(text, file=sys.stderr)

    def close(self) -> None:
        """Close the bar without removing it."""
        if self.bar is not None:
            self.bar.close()


PANELS = {
    "Error of the field and of its ratio (log)": ("ratio_mae", "field_mae", "field_size", "false_field"),
    "Slopes, 0 is right": ("image_leakage", "rim_leakage", "core_leakage", "variation_leakage"),
}


def draw_curves(run: Path) -> None:
    """Draw a run's held-out figures and training loss by step, as ``curves.png`` in its folder.

    Parameters
    ----------
    run : Path
        The run's folder with ``figures.csv``.
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
    with atomic(run / CURVES) as file:
        figure.savefig(file, format="png", dpi=100)


def series(rows: list[dict[str, str]], kind: str, name: str) -> tuple[list[int], list[float]]:
    """Return the steps for which a figure was written, and its values.

    Examples
    --------
    >>> rows = [{"step": "5", "kind": "validation", "loss": ""}, {"step": "5", "kind": "training", "loss": "0.5"}]
    >>> series(rows, "training", "loss")
    ([5], [0.5])
    """
    some = [(int(row["step"]), float(row[name])) for row in rows if row["kind"] == kind and row.get(name)]
    return [step for step, _ in some], [value for _, value in some]
