"""The record of a run: its recipe, its photographs, and the sessions that it was trained in."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .hardware import versions
from .recipe import Recipe, to_toml

NAME = "run.json"
RECIPE = "recipe.toml"


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
    """
    write(run / RECIPE, to_toml(recipe))
    started = datetime.now(UTC).isoformat(timespec="seconds")
    session = {"started": started, "from_step": step, "hardware": hardware, "versions": versions()}
    facts = {"data": data, "sessions": [*read(run).get("sessions", []), session]}
    write(run / NAME, json.dumps(facts, indent=2) + "\n")


def read(run: Path) -> dict[str, Any]:
    """Give a run's record; empty if it has none."""
    path = run / NAME
    return json.loads(path.read_text()) if path.exists() else {}


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    os.replace(part, path)
