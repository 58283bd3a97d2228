"""What a run leaves to be looked at: its recipe, the sessions that it was trained in and on what, and its figures."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightning
import torch
from torch.utils.tensorboard import SummaryWriter

from .recipe import Recipe, load_recipe, to_toml

NAME = "run.json"
RECIPE = "recipe.toml"
FIGURES = "figures.csv"
COLUMNS = (
    "step", "kind", "minutes", "learning_rate", "pairs_per_second", "loss", "ratio_mae", "field_mae", "field_size",
    "false_field", "image_leakage", "rim_leakage", "core_leakage", "variation_leakage", "error_over_spread",
)  # fmt: skip


def begin(run: Path, recipe: Recipe, data: dict[str, Any], hardware: str, step: int) -> None:
    """Write a run's recipe, note what it is trained on, and add a session to its record.

    Parameters
    ----------
    run : Path
        The run's folder; gets ``recipe.toml`` and ``run.json``.
    recipe : Recipe
    data : dict
        Facts on the photographs.
    hardware : str
        The devices in words.
    step : int
        Where the session begins.

    Raises
    ------
    ValueError
        The folder is not of a run, and holds files that would be replaced.
    """
    if not is_recipe(run / RECIPE, recipe):
        check_folder(run)
        write(run / RECIPE, to_toml(recipe))
    else:
        check_folder(run, (FIGURES, NAME))
    started = datetime.now(UTC).isoformat(timespec="seconds")
    session = {"started": started, "from_step": step, "hardware": hardware, "versions": software_versions()}
    facts = {"data": data, "sessions": [*read(run).get("sessions", []), session]}
    write(run / NAME, json.dumps(facts, indent=2) + "\n")


def is_recipe(path: Path, recipe: Recipe) -> bool:
    """Tell whether a file holds a recipe, which then stays as it is: somebody may have written it by hand."""
    try:
        return path.exists() and load_recipe(path) == recipe
    except ValueError:
        return False


def check_folder(run: Path, names: Iterable[str] = (RECIPE, FIGURES, NAME)) -> None:
    """Raise ValueError if a folder holds files of some names and is no run's."""
    there = [name for name in names if (run / name).exists()]
    if there and "sessions" not in read(run):
        raise ValueError(f"{run}: is no run, and its {there[0]} would be replaced; give another --run")


def read(run: Path) -> dict[str, Any]:
    """Read a run's record; empty if it has none, or the file is something else."""
    try:
        content = json.loads((run / NAME).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    os.replace(part, path)


def describe_hardware(device: torch.device, processes: int) -> str:
    """Name the devices that a training runs on.

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


def processor_name() -> str:
    """Name the processor."""
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def software_versions() -> dict[str, str]:
    """Versions of what the result may depend on."""
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
        The run's folder; gets ``figures.csv`` and ``tensorboard/``.
    step : int
        Where the run goes on. What was written of later steps, by a session that then was killed, is dropped.
    """

    def __init__(self, run: Path, step: int) -> None:
        self.path = run / FIGURES
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
