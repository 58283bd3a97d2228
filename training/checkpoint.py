"""Checkpoints that are whole or not there."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from getnet_bids.core.network import GetNet

from .recipe import Recipe, difference, recipe_of

NAME = "checkpoint.pt"


@dataclass
class Standing:
    """How far a training is.

    Parameters
    ----------
    step : int
        Steps done.
    minutes : float
        Minutes that they took, all sessions together.
    figures : dict of float
        What the last validation measured.
    """

    step: int = 0
    minutes: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)


def save(
    run: Path,
    network: GetNet,
    average: GetNet,
    optimiser: torch.optim.Optimizer,
    standing: Standing,
    recipe: Recipe,
) -> None:
    """Write a checkpoint beside the one before, then put it in its place."""
    state = {
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
        "recipe": asdict(recipe),
        **asdict(standing),
    }
    part = run / (NAME + ".part")
    with open(part, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(run / NAME)


def read(run: Path) -> dict[str, Any] | None:
    """Read a run's checkpoint, tensors on the CPU; None if there is none yet.

    Raises
    ------
    ValueError
        It is damaged, or something else.
    """
    path = run / NAME
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        missing = {"network", "average", "optimiser", "step", "minutes", "recipe"} - set(state)
    except Exception as error:  # torch.load documents no exceptions, and raises many kinds
        raise ValueError(f"{path}: not a whole checkpoint ({error})") from error
    if missing:
        raise ValueError(f"{path}: not a checkpoint of a training; it lacks {', '.join(sorted(missing))}")
    return state


def load(
    run: Path,
    network: GetNet,
    average: GetNet,
    optimiser: torch.optim.Optimizer,
    recipe: Recipe,
    changed_recipe: bool = False,
) -> Standing:
    """Restore a run's checkpoint if there is one.

    Random states and the place in the data need no restoring: a step's pairs are a function of the recipe's seed
    and the step's number.

    Raises
    ------
    ValueError
        The checkpoint is damaged, or from another recipe and `changed_recipe` is not set.
    """
    state = read(run)
    if state is None:
        return Standing()
    changes = difference(recipe_of(state["recipe"], str(run / NAME)), recipe)
    if changes and not changed_recipe:
        raise ValueError(
            f"{run} was begun with another recipe ({changes}): give another --run, or --changed-recipe to go on"
        )
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    return Standing(state["step"], state["minutes"], state.get("figures", {}))
