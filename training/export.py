"""Write the weights of a run for `getnet` and `getnet-bids`, with a model card."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from getnet_bids.core.network import GetNet, GetNetConfig, load_weights, pack_weights
from getnet_bids.files import write_bytes
from getnet_bids.marks import check_marked, write_marked

from . import checkpoint, record
from .checkpoint import TrainingState
from .neednet import collapsed
from .recipe import Recipe, recipe_of, to_toml

MIN_PAIRS = 50_000
"""Number of pairs below which weights count as hardly trained."""
MAX_RELATIVE_ERROR = 0.7
"""Fraction of the error of 'no field' from which a network counts as hardly better than that."""


def export(run: Path, out: Path | None = None, terms: str = "", which: str = "last") -> tuple[Path, Path, list[str]]:
    """Write a run's averaged weights as safetensors, with a model card.

    Parameters
    ----------
    run : Path
        A run's folder.
    out : Path, optional
        The weights' file; default: ``getnet.safetensors`` in the run's folder. The card has the same name, ending in
        .md.
    terms : str
        Markdown about the photographs: sources, licences, terms.
    which : {"last", "best"}
        The last checkpoint, or the one that did best on held-out photographs.

    Returns
    -------
    weights, card : Path
    warnings : list of str
        Reasons against using these weights, which are also in the card and the file's metadata.

    Raises
    ------
    ValueError
        The run has no checkpoint, or it is damaged.
    """
    out = out or run / "getnet.safetensors"
    card = out.with_suffix(".md")
    check_replaced(out, card)
    content = checkpoint.read(run, which)
    if content is None:
        name = checkpoint.FILES[which]
        raise ValueError(f"{run}: no {name} in it: not a run, or a run that was stopped before its first checkpoint")
    recipe = recipe_of(content["recipe"], str(run))
    state = checkpoint.state_of(content)
    network = GetNet(GetNetConfig(recipe.widths, recipe.depths))
    network.load_state_dict(content["average"])
    if recipe.loss == "gain":
        level_spread(network)
    out.parent.mkdir(parents=True, exist_ok=True)
    notes = {"recipe": recipe.name, "steps": str(state.step), "pairs": str(state.step * recipe.batch)}
    notes["spread"] = "untrained" if recipe.loss == "gain" else "expected absolute error"
    warnings = export_warnings(state, recipe)
    if warnings:
        notes["warning"] = "; ".join(warnings)
    write_bytes(out, pack_weights(network, notes))
    parameters = sum(p.numel() for p in network.parameters())
    write_marked(card, model_card(recipe, state, record.read(run), terms, out, parameters, warnings), HEADING.encode())
    return out, card, warnings


def export_warnings(state: checkpoint.TrainingState, recipe: Recipe) -> list[str]:
    """Return reasons against using a run's weights: a collapse, or hardly any training.

    Examples
    --------
    >>> from getnet_bids.training.recipe import load_recipe
    >>> export_warnings(checkpoint.TrainingState(step=10), load_recipe("default", ["batch=16"]))
    ['trained on 160 pairs only', 'never validated']
    """
    found = []
    if state.step * recipe.batch < MIN_PAIRS:
        found.append(f"trained on {state.step * recipe.batch} pairs only")
    figures = state.figures
    if not figures:
        return [*found, "never validated"]
    if collapsed(figures):
        found.append(f"collapsed: image_leakage is {figures['image_leakage']:.2f}, so it takes the picture for a field")
    if math.isnan(figures["image_leakage"]):
        found.append("a collapse could not be measured: the recipe has no pictures without a field")
    if not figures["field_mae"] <= MAX_RELATIVE_ERROR * figures["field_size"]:
        found.append("on photographs held out it is hardly better than no field at all, or this could not be measured")
    return found


def check_replaced(out: Path, card: Path) -> None:
    """Raise ValueError if weights and card would replace files of another kind, or a card that was edited."""
    if out.is_dir():
        raise ValueError(f"{out}: is a folder; give --out the name of a file")
    if out == card:
        raise ValueError(f"{out}: the name of weights must end in .safetensors")
    if out.exists():
        try:
            load_weights(out)
        except ValueError:
            raise ValueError(f"{out}: is an existing file without weights of GetNet; give another --out") from None
    if card.exists() and not card.read_bytes().startswith(HEADING.encode()):
        raise ValueError(f"{card}: is an existing file, not a model card, and would be replaced; give another --out")
    check_marked(card, HEADING.encode())


def level_spread(network: GetNet) -> None:
    """Set the second output, which the loss ``gain`` does not train, to the same number everywhere.

    With a constant expected error all cells have the same weight.
    """
    with torch.no_grad():
        network.head.weight[1].zero_()
        network.head.bias[1].zero_()  # type: ignore[index]


MEANING = {
    "ratio_mae": "mean absolute error of log N(v, k), the paper's loss in logarithms, on plain photographs",
    "field_mae": "mean absolute error of the log field on posterised photographs, whose field is known",
    "field_size": "mean absolute size of those fields: the error of the answer 'no field'",
    "false_field": "mean absolute log field that is estimated where there is none",
    "image_leakage": "slope of that field on the picture's own brightness: 0 is right, about 1 for a low-pass filter",
    "rim_leakage": "the same on pictures that all have rims",
    "core_leakage": "the same on pictures that all have cores that follow the outline",
    "variation_leakage": "slope of the error on smooth changes within classes, which are not a field",
    "error_over_spread": "mean of the absolute error over the error that the network expects: 1 is right",
}

HEADING = "# Model card: "
NOT_RECORDED = "Photographs only; their number was not recorded."
STARTED = (
    "The training started from the weights with SHA-256 `{}`. Their photographs and terms apply to these weights, too; "
    "they are in the model card of those weights."
)
TEMPLATE = """# Model card: {name}

GetNet (Simko et al., "A Generalized Network for MRI Intensity Normalization", MIDL 2019): it maps a slice of
256x256 pixels to its gain field on 16x16 cells. {parameters} Made by `getnet-train` of getnet_bids.

- File: `{file}`, SHA-256 `{digest}`
- Use: `getnet --weights {file} IN OUT`, `getnet-bids --weights {file} BIDS OUT participant`
{warnings}
## Intended use and limits

For the correction of shading in magnitude MR images of any contrast and anatomy; for research use, not a medical
device. It was trained on the fields of the recipe below, and underestimates stronger or finer ones. No medical image
was used for training {here}or for choosing among checkpoints.

## Training

| | |
|---|---|
| Recipe | {recipe} |
| Steps | {step:,} of {steps:,} |
| Pairs of slices seen | {pairs:,} |
| Time | {hours:.2f} hours |
| Hardware | {hardware} |
| Software | {software} |

The exported weights are {exported}.

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
        Steps, time and the figures of the last validation.
    record : dict
        The run's `record`.
    terms : str
        Markdown about the photographs' sources and terms.
    weights : Path
        The file described by the card.
    parameters : int
        Number of the network's parameters.
    warnings : sequence of str
        Reasons against using the weights.

    Returns
    -------
    str
        Markdown.
    """
    sessions = record.get("sessions", [])
    data = [*record.get("earlier_data", []), *([record["data"]] if record.get("data") else [])]
    if recipe.start:
        terms = f"{STARTED.format(recipe.start)}\n\n{terms}"
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
        exported=f"a moving average (decay {recipe.ema:g} per step)" if recipe.ema else "those of the last step",
        here="in this run " if recipe.start else "",
        data="\n\n".join(about_data(facts, recipe) for facts in data) or NOT_RECORDED,
        terms=terms.strip() or "Their terms were not stated when these weights were exported.",
        figures="\n".join(["| | | |", "|---|---|---|", *rows]) if rows else "None were recorded.",
        settings=to_toml(recipe),
    )


def about_data(facts: dict[str, Any], recipe: Recipe) -> str:
    """Describe the number and the sources of the photographs."""
    sources = ", ".join(f"`{Path(source).name}`" for source in facts["sources"])
    return (
        f"{facts['photographs']:,} photographs from {sources}; {facts['duplicates']:,} duplicates and "
        f"{facts['skipped']:,} unreadable files left out. {recipe.validation:.1%} of them, chosen by a hash of their "
        "content, were held out. Medical images are refused by the training."
    )


def one_line(versions: dict[str, str]) -> str:
    """Format versions on one line."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())
