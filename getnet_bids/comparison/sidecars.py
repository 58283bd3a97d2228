"""The JSON files beside the results of a comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from getnet_bids.bids.outputs import sidecar
from getnet_bids.bids.ownership import sealed
from getnet_bids.bids.provenance import KEY
from getnet_bids.bids.sidecars import write_json

from .methods import GETNET
from .outputs import Comparison

NOT_AS_SCANNED = (
    " It was shaded by a simulated gain field first, so this is not a correction of the image as it was scanned."
)
CORRECTED_TEXT = (
    "{image} divided by its bias field, estimated by {method}. Corrected image times field is the {what} image."
)
FIELD_TEXT = "Bias field of the {image}, estimated by {method}: dimensionless, positive.{scale}"
SCALE = "It is 1 in geometric mean over the foreground."
SHADED_TEXT = "{suffix} image times a simulated gain field, which spans {low:g} to {high:g} over what has signal."
SIMULATED_FIELD_TEXT = (
    "The simulated gain field that the image was multiplied by: {low:g} to {high:g} over what has signal."
)
SEGMENTATION_SOURCES = {
    "derivatives": "taken from the derivatives that its sources name",
    "atropos": "of the image divided by the geometric mean of GetNet's and {method}'s fields, by a template and "
    "Atropos",
    "classes": "of the image divided by the geometric mean of GetNet's and {method}'s fields, by Atropos without "
    "priors: ranges of intensity, no tissues",
}
SEGMENTATION_TEXTS = {
    "dseg": "Labels, {how}. The table beside it names them.",
    "probseg": "Probability of {tissue}, {how}.",
    "mask": "Brain mask: where the tissues' probabilities add up to more than 0.5; {how}.",
}


def correction_sidecars(
    comparison: Comparison, own: bool, skull: dict[str, Any], made: dict[str, Any]
) -> dict[Path, dict[str, Any]]:
    """Return the sidecars of a method's corrected image and field.

    Parameters
    ----------
    comparison : Comparison
    own : bool
        Whether the correction is that of GetNet rather than the other method.
    skull : dict
        The sidecar's entries on skull-stripping.
    made : dict
        Provenance.

    Returns
    -------
    dict of dict
        Content by file; that of the corrected image is the last.
    """
    image = f"{comparison.source.name.suffix} image"
    outputs = comparison.getnet if own else comparison.other
    method, scale = (GETNET, SCALE) if own else (comparison.method.name, comparison.method.scale)
    what = "shaded" if comparison.simulated else "source"
    note = NOT_AS_SCANNED if comparison.simulated else ""
    texts = {
        outputs.field: FIELD_TEXT.format(image=image, method=method, scale=f" {scale}") + note,
        outputs.corrected: CORRECTED_TEXT.format(image=image, method=method, what=what) + note,
    }
    return {
        sidecar(path): {"Description": texts[path], "Sources": [comparison.source.uri], **skull, KEY: made}
        for path in reversed(outputs.images)
    }


def shaded_sidecars(
    comparison: Comparison, percent: float, seed: int, skull: dict[str, Any]
) -> dict[Path, dict[str, Any]]:
    """Return the sidecars of the shaded image and the simulated field, as `correction_sidecars` does."""
    span = {"low": 1 - percent / 100, "high": 1 + percent / 100, "suffix": comparison.source.name.suffix}
    about = {"Sources": [comparison.source.uri], **skull, "SimulatedGain": {"Percent": percent, "Seed": seed}}
    shaded = comparison.shaded
    return {
        sidecar(shaded.field): {"Description": SIMULATED_FIELD_TEXT.format(**span), **about},
        sidecar(shaded.corrected): {"Description": SHADED_TEXT.format(**span), **about},
    }


def segmentation_sidecars(
    comparison: Comparison,
    method: str,
    tissues: list[str],
    given: list[str],
    note: str | None,
    skull: dict[str, Any],
) -> dict[Path, dict[str, Any]]:
    """Return the sidecars of labels, probabilities and the brain mask.

    Parameters
    ----------
    comparison : Comparison
    method : {"derivatives", "atropos", "classes"}
    tissues : list of str
    given : list of str
        URIs of the user's files that were used.
    note : str or None
        A remark for the reader.
    skull : dict
        As for `correction_sidecars`.

    Returns
    -------
    dict of dict
        Content by file.
    """
    source = comparison.source
    sources = given if method == "derivatives" else [source.uri, *given]
    about = {"Sources": sources, "SpatialReference": source.uri, **skull}
    if note:
        about["Note"] = note
    how = SEGMENTATION_SOURCES[method].format(method=comparison.method.name) + (
        "; of the shaded image" if comparison.simulated and method != "derivatives" else ""
    )
    described = {
        sidecar(comparison.dseg): {"Description": SEGMENTATION_TEXTS["dseg"].format(how=how), "Manual": False, **about},
        sidecar(comparison.mask): {"Description": SEGMENTATION_TEXTS["mask"].format(how=how), "Type": "Brain", **about},
    }
    for tissue in tissues:
        text = SEGMENTATION_TEXTS["probseg"].format(tissue=tissue, how=how)
        described[sidecar(comparison.probseg(tissue))] = {"Description": text, "Manual": False, **about}
    if method == "classes":
        del described[sidecar(comparison.mask)]
    return described


def write_sidecars(described: dict[Path, dict[str, Any]]) -> None:
    """Write sidecars in the order of the dict."""
    for path, content in described.items():
        write_json(path, sealed(content))
