"""The model card: what a network is, what it was trained on and how, and how well it did."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .checkpoint import TrainingState
from .recipe import Recipe, to_toml

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
    """Say how many photographs there were, and from where."""
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
