"""From a run to weights that `getnet` and `getnet-bids` take, with the model card beside them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from getnet_bids.core.network import GetNet, GetNetConfig, load_weights, save_weights

from . import checkpoint, record
from .checkpoint import TrainingState
from .neednet import collapsed
from .recipe import Recipe, recipe_of, to_toml

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
    """Return what speaks against using a run's weights: a collapse, or hardly any training.

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


MEANING = {
    "ratio_mae": "mean absolute error of log N(v, k), the paper's loss in logarithms, on plain photographs",
    "field_mae": "mean absolute error of the log field on posterised photographs, whose field is known",
    "field_size": "mean absolute size of those fields: what an answer of 'no field' would score",
    "false_field": "mean absolute log field claimed where there is none",
    "image_leakage": "slope of that claim on the picture's own brightness: 0 is right, a low-pass filter has about 1",
    "rim_leakage": "the same on pictures that all have rims",
    "core_leakage": "the same on pictures that all have cores that follow the outline",
    "variation_leakage": "slope of the error on smooth changes within classes, which are no field",
    "error_over_spread": "mean of the absolute error over what the network expects of itself: 1 is right",
}

HEADING = "# Model card: "
TEMPLATE = """# Model card: {name}

GetNet (Simko et al., "A Generalized Network for MRI Intensity Normalization", MIDL 2019): a slice of 256x256 pixels
in, its gain field on 16x16 cells out. {parameters} Made by `getnet-train` of getnet_bids.

- File: `{file}`, SHA-256 `{digest}`
- Use: `getnet --weights {file} IN OUT`, `getnet-bids --weights {file} BIDS OUT participant`
{warnings}
## Intended use and limits

For the correction of shading in magnitude MR images, any contrast and anatomy; research use, not a medical device.
The fields that it knows are those of the recipe below; stronger or finer ones it underestimates. No medical image
was used for training or for choosing among checkpoints.

## Training

| | |
|---|---|
| Recipe | {recipe} |
| Steps | {step:,} of {steps:,} |
| Pairs of slices seen | {pairs:,} |
| Time | {hours:.2f} hours |
| Hardware | {hardware} |
| Software | {software} |

Exported are {exported}.

## Photographs

{data}

{terms}

## Figures on held-out photographs

{figures}

## All settings

```toml
{settings}```
"""


def model_card(
    recipe: Recipe,
    state: TrainingState,
    record: dict[str, Any],
    terms: str,
    weights: Path,
    parameters: int,
    warnings: Sequence[str] = (),
) -> str:
    """Write a model card.

    Parameters
    ----------
    recipe : Recipe
    state : TrainingState
        Steps, time and the last validation's figures.
    record : dict
        The run's `record`.
    terms : str
        Markdown on the photographs' sources and terms.
    weights : Path
        The file that the card is for.
    parameters : int
        Of the network.
    warnings : sequence of str
        What speaks against using the weights.

    Returns
    -------
    str
        Markdown.
    """
    sessions = record.get("sessions", [])
    rows = [f"| {name} | {value:.4f} | {MEANING[name]} |" for name, value in state.figures.items()]
    return TEMPLATE.format(
        warnings="".join(f"\n**Warning: {warning}.**\n" for warning in warnings),
        name=f"GetNet, recipe {recipe.name}",
        parameters=f"{parameters / 1e6:.1f} million parameters.",
        file=weights.name,
        digest=hashlib.sha256(weights.read_bytes()).hexdigest(),
        recipe=recipe.name,
        step=state.step,
        steps=recipe.steps,
        pairs=state.step * recipe.batch,
        hours=state.minutes / 60,
        hardware="; ".join(dict.fromkeys(s["hardware"] for s in sessions)) or "not recorded",
        software="; ".join(dict.fromkeys(one_line(s["versions"]) for s in sessions)) or "not recorded",
        exported=f"the weights' moving average (decay {recipe.ema:g} a step)" if recipe.ema else "the last weights",
        data=about_data(record.get("data", {}), recipe),
        terms=terms.strip() or "Their terms were not stated when these weights were exported.",
        figures="\n".join(["| | | |", "|---|---|---|", *rows]) if rows else "None were recorded.",
        settings=to_toml(recipe),
    )


def about_data(facts: dict[str, Any], recipe: Recipe) -> str:
    """Return how many photographs there were, and from where."""
    if not facts:
        return "Photographs only; their number was not recorded."
    sources = ", ".join(f"`{Path(source).name}`" for source in facts["sources"])
    return (
        f"{facts['photographs']:,} photographs from {sources}; {facts['duplicates']:,} duplicates and "
        f"{facts['skipped']:,} unreadable files left out. {recipe.validation:.1%} of them, chosen by a hash of their "
        "content, were held out. Medical images are refused by the training."
    )


def one_line(versions: dict[str, str]) -> str:
    """Put versions on a line."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())
