"""The record of a run: its recipe, its photographs, and the sessions that it was trained in."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .hardware import versions
from .recipe import Recipe, load_recipe, to_toml

NAME = "run.json"
RECIPE = "recipe.toml"
FIGURES = "figures.csv"


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
    session = {"started": started, "from_step": step, "hardware": hardware, "versions": versions()}
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
