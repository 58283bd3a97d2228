"""Checkpoints that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from getnet_bids.core.network import GetNet

NAME = "checkpoint.pt"


def save(
    run: Path,
    network: GetNet,
    average: GetNet,
    optimiser: torch.optim.Optimizer,
    step: int,
    minutes: float,
    recipe: dict[str, Any],
) -> None:
    """Write a checkpoint beside the one before, then put it in its place."""
    state = {
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": step,
        "minutes": minutes,
        "recipe": recipe,
    }
    part = run / (NAME + ".part")
    with open(part, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(run / NAME)


def load(run: Path, network: GetNet, average: GetNet, optimiser: torch.optim.Optimizer) -> tuple[int, float]:
    """Restore a run's checkpoint if there is one.

    Returns
    -------
    step : int
        Steps done.
    minutes : float
        Minutes that they took.
    """
    if not (run / NAME).exists():
        return 0, 0.0
    state = torch.load(run / NAME, map_location="cpu", weights_only=True)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    return state["step"], state["minutes"]
