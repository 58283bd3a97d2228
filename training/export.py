"""From a run to weights that `getnet` and `getnet-bids` take, and a model card beside them."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from getnet_bids.core.network import GetNet, GetNetConfig, load_weights, save_weights

from . import checkpoint, record
from .card import HEADING, model_card
from .recipe import recipe_of


def export(run: Path, out: Path | None = None, terms: str = "") -> tuple[Path, Path]:
    """Write a run's averaged weights as safetensors, and its model card.

    Parameters
    ----------
    run : Path
        A run's folder.
    out : Path, optional
        The weights' file; default ``getnet.safetensors`` in the run's folder. The card lies beside it, ending in .md.
    terms : str
        Markdown on the photographs: sources, licences, terms.

    Returns
    -------
    weights, card : Path

    Raises
    ------
    ValueError
        The run has no checkpoint, or a damaged one.
    """
    out = out or run / "getnet.safetensors"
    card = out.with_suffix(".md")
    check_replaced(out, card)
    state = checkpoint.read(run)
    if state is None:
        raise ValueError(f"{run}: no {checkpoint.NAME} in it: not a run, or one that was stopped before it saved")
    recipe = recipe_of(state["recipe"], str(run))
    network = GetNet(GetNetConfig(recipe.widths, recipe.depths))
    network.load_state_dict(state["average"])
    if recipe.loss == "gain":
        level_spread(network)
    out.parent.mkdir(parents=True, exist_ok=True)
    notes = {"recipe": recipe.name, "steps": str(state["step"]), "pairs": str(state["step"] * recipe.batch)}
    notes["spread"] = "untrained" if recipe.loss == "gain" else "expected absolute error"
    part = out.with_name(out.name + ".part")
    save_weights(network, part, notes)
    os.replace(part, out)
    standing = checkpoint.Standing(state["step"], state["minutes"], state.get("figures", {}))
    parameters = sum(p.numel() for p in network.parameters())
    record.write(card, model_card(recipe, standing, record.read(run), terms, out, parameters))
    return out, card


def check_replaced(out: Path, card: Path) -> None:
    """Raise ValueError if weights and card would replace files that are something else."""
    if out == card:
        raise ValueError(f"{out}: a name of weights ends in .safetensors")
    if out.exists():
        try:
            load_weights(out)
        except ValueError:
            raise ValueError(f"{out}: is there and holds no weights of GetNet; give another --out") from None
    if card.exists() and not card.read_bytes().startswith(HEADING.encode()):
        raise ValueError(f"{card}: is there and is no model card, which would replace it; give another --out")


def level_spread(network: GetNet) -> None:
    """Make the second output, which the loss ``gain`` leaves as it began, the same number everywhere.

    A constant says nothing about where the first output is better, so that it weighs nothing.
    """
    with torch.no_grad():
        network.head.weight[1].zero_()
        network.head.bias[1].zero_()  # type: ignore[index]
