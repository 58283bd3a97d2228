"""Write and read checkpoints atomically."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from getnet_bids.core.network import GetNet
from getnet_bids.files import atomic

from .recipe import Recipe, difference, recipe_of

LAST, BEST = "checkpoint.pt", "best.pt"
"""Files with all that is needed to resume, and with the averaged weights that did best on held-out photographs."""
FILES = {"last": LAST, "best": BEST}
FIXED = ("widths", "depths", "optimiser")
"""Settings that cannot be changed in a run, since its tensors depend on them."""


@dataclass
class TrainingState:
    """The progress of a training.

    Parameters
    ----------
    step : int
        Number of steps done.
    minutes : float
        Minutes that they took in all sessions.
    figures : dict of float
        Figures of the last validation.
    best : float
        Smallest error of all validations, whose weights are kept as `BEST`; see `decisive_figure`.
    """

    step: int = 0
    minutes: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)
    best: float = math.inf


def decisive_figure(recipe: Recipe) -> str:
    """Return the held-out figure by which the best checkpoint is chosen, which corresponds to the recipe's loss."""
    return "ratio_mae" if recipe.loss == "gain" else "field_mae"


def save(
    run: Path,
    network: GetNet,
    average: GetNet,
    optimiser: torch.optim.Optimizer,
    state: TrainingState,
    recipe: Recipe,
) -> None:
    """Write the checkpoint for resuming, which replaces the previous one."""
    weights = {
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    write(run / LAST, weights | {"recipe": asdict(recipe), **asdict(state)})


def save_best(run: Path, average: GetNet, state: TrainingState, recipe: Recipe) -> None:
    """Write the averaged weights that are the best so far."""
    write(run / BEST, {"average": average.state_dict(), "recipe": asdict(recipe), **asdict(state)})


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a file of tensors atomically."""
    with atomic(path) as file:
        torch.save(content, file)


def read(run: Path, which: str = "last") -> dict[str, Any] | None:
    """Read a run's checkpoint, tensors on the CPU; None if there is none yet.

    Parameters
    ----------
    run : Path
    which : {"last", "best"}

    Raises
    ------
    ValueError
        The file is damaged, or not a checkpoint.
    """
    path = run / FILES[which]
    if not path.exists():
        return None
    needed = {"average", "step", "minutes", "recipe"} | ({"network", "optimiser"} if which == "last" else set())
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        missing = needed - set(content)
    except Exception as error:  # torch.load documents no exceptions, and raises many kinds
        remedy = "remove it to begin again, or export --checkpoint best" if which == "last" else "leave it out"
        raise ValueError(f"{path}: not a whole checkpoint ({error}): {remedy}") from error
    if missing:
        raise ValueError(f"{path}: not a checkpoint of a training; it lacks {', '.join(sorted(missing))}")
    return content


def state_of(content: dict[str, Any]) -> TrainingState:
    """Return the progress of the training that is stored in a checkpoint."""
    return TrainingState(content["step"], content["minutes"], content.get("figures", {}), content.get("best", math.inf))


def load(
    run: Path,
    network: GetNet,
    average: GetNet,
    optimiser: torch.optim.Optimizer,
    recipe: Recipe,
    changed_recipe: bool = False,
) -> TrainingState:
    """Restore a run's checkpoint if there is one.

    Random states and the position in the data need not be restored, since the pairs of a step are a function of the
    recipe's seed and the number of the step.

    Raises
    ------
    ValueError
        The checkpoint is damaged, or from another recipe and `changed_recipe` is not set.
    """
    content = read(run)
    if content is None:
        return TrainingState()
    before = recipe_of(content["recipe"], str(run / LAST))
    changes = difference(before, recipe)
    if changes and not changed_recipe:
        raise ValueError(
            f"{run} was begun with another recipe ({changes}): give another --run, or --changed-recipe to go on"
        )
    if fixed := [name for name in FIXED if getattr(before, name) != getattr(recipe, name)]:
        raise ValueError(f"{run}: {' and '.join(fixed)} of a run cannot be changed: give another --run")
    network.load_state_dict(content["network"])
    average.load_state_dict(content["average"])
    optimiser.load_state_dict(content["optimiser"])
    return state_of(content)
