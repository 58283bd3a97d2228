"""From a run to weights that `getnet` and `getnet-bids` take, and a model card beside them."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from getnet_bids.core.network import GetNet, GetNetConfig, load_weights, save_weights

from . import checkpoint, record
from .card import HEADING, model_card
from .recipe import Recipe, recipe_of
from .validation import collapsed

HARDLY = 50_000
"""Weights of fewer pairs than this are said to be hardly trained."""
FLAT = 0.7
"""So much of the error of 'no field' is said to be hardly better."""


def export(run: Path, out: Path | None = None, terms: str = "", which: str = "last") -> tuple[Path, Path, list[str]]:
    """Write a run's averaged weights as safetensors, and its model card.

    Parameters
    ----------
    run : Path
        A run's folder.
    out : Path, optional
        The weights' file; default ``getnet.safetensors`` in the run's folder. The card lies beside it, ending in .md.
    terms : str
        Markdown on the photographs: sources, licences, terms.
    which : {"last", "best"}
        The last checkpoint, or the one that did best on the photographs held out.

    Returns
    -------
    weights, card : Path
    warnings : list of str
        What speaks against using these weights; it also stands in the card and the file's metadata.

    Raises
    ------
    ValueError
        The run has no checkpoint, or a damaged one.
    """
    out = out or run / "getnet.safetensors"
    card = out.with_suffix(".md")
    check_replaced(out, card)
    content = checkpoint.read(run, which)
    if content is None:
        name = checkpoint.FILES[which]
        raise ValueError(f"{run}: no {name} in it: not a run, or one that was stopped before it saved")
    recipe = recipe_of(content["recipe"], str(run))
    state = checkpoint.state_of(content)
    network = GetNet(GetNetConfig(recipe.widths, recipe.depths))
    network.load_state_dict(content["average"])
    if recipe.loss == "gain":
        level_spread(network)
    out.parent.mkdir(parents=True, exist_ok=True)
    notes = {"recipe": recipe.name, "steps": str(state.step), "pairs": str(state.step * recipe.batch)}
    notes["spread"] = "untrained" if recipe.loss == "gain" else "expected absolute error"
    warnings = doubts(state, recipe)
    if warnings:
        notes["warning"] = "; ".join(warnings)
    part = out.with_name(out.name + ".part")
    save_weights(network, part, notes)
    os.replace(part, out)
    parameters = sum(p.numel() for p in network.parameters())
    record.write(card, model_card(recipe, state, record.read(run), terms, out, parameters, warnings))
    return out, card, warnings


def doubts(state: checkpoint.TrainingState, recipe: Recipe) -> list[str]:
    """Say what speaks against using a run's weights: a collapse, or hardly any training.

    Examples
    --------
    >>> from getnet_bids.training.recipe import load_recipe
    >>> doubts(checkpoint.TrainingState(step=10), load_recipe("default", ["batch=16"]))
    ['trained on 160 pairs only', 'never validated']
    """
    found = []
    if state.step * recipe.batch < HARDLY:
        found.append(f"trained on {state.step * recipe.batch} pairs only")
    figures = state.figures
    if not figures:
        return [*found, "never validated"]
    if collapsed(figures):
        found.append(f"collapsed: image_leakage is {figures['image_leakage']:.2f}, so it takes the picture for a field")
    if figures["field_mae"] > FLAT * figures["field_size"]:
        found.append("on photographs held out it is hardly better than no field at all")
    return found


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
