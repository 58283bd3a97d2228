"""The JSON files beside the results."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from getnet_bids.files import write_text

from .discovery import Source
from .names import SERIES
from .outputs import Outputs, sidecar
from .ownership import sealed
from .provenance import INCOMPLETE, KEY

IMAGE_TEXT = (
    "{suffix} image divided by its bias field, estimated by GetNet. "
    "The field is 1 in geometric mean over the foreground; corrected image times field is the source image."
)
SERIES_TEXT = (
    "{suffix} image divided, each volume by the same bias field, estimated by GetNet. "
    "The field is 1 in geometric mean over the foreground; each corrected volume times field is the source's."
)
MEAN_TEXT = (
    "Mean of volumes of the {suffix} series, divided by its bias field, estimated by GetNet. "
    "The field is 1 in geometric mean over the foreground."
)
FIELD_TEXT = (
    "Bias field of the {suffix} image, estimated by GetNet: dimensionless, positive, "
    "1 in geometric mean over the foreground. Corrected image times field is the source image."
)

UNCERTAINTY_TEXT = (
    "Standard deviation of the logarithm of the bias field of the {suffix} image, as estimated "
    "by GetNet: about the field's relative uncertainty, dimensionless."
)

NUMBERS = re.compile(r"\[\n\s*-?\d[^\[\]{}\":]*\]")
"""A list of numbers as the json module indents it; strings in JSON have no line breaks."""


STOPPED = "getnet_bids is writing this result, or was stopped while it did; run the same command again"


@contextmanager
def marked_incomplete(results: Sequence[Outputs]) -> Iterator[None]:
    """Write sidecars that say that results are being written, and by which program.

    After an error, those of images that were not written are removed.
    """
    paths = [image for outputs in results for image in outputs.images]
    for path in paths:
        write_json(sidecar(path), {INCOMPLETE: STOPPED})
    try:
        yield
    except BaseException:
        for path in paths:
            if not path.exists():
                sidecar(path).unlink(missing_ok=True)
        raise


def write_sidecars(
    source: Source,
    outputs: Outputs,
    skull_stripped: tuple[bool, str],
    made: dict[str, Any],
    *,
    references: Sequence[Source] = (),
    metadata: dict[str, Any] | None = None,
    with_field: bool = True,
) -> None:
    """Write the sidecars of an image's results; that of the corrected image comes last and marks the image as done.

    Parameters
    ----------
    source : Source
        The raw image.
    outputs : Outputs
        Its complete results.
    skull_stripped : tuple of bool and str
        Whether the image is skull-stripped, and how that was determined.
    made : dict
        Provenance of the results.
    references : sequence of Source
        The images from which the field was estimated; default: only `source`.
    metadata : dict, optional
        Metadata of the raw image to keep with the corrected one.
    with_field : bool
        Whether to write the field's sidecars as well; those of a shared field are written once.
    """
    stripped, how = skull_stripped
    corrected = MEAN_TEXT if outputs.reference_only else SERIES_TEXT if source.name.suffix in SERIES else IMAGE_TEXT
    texts = {outputs.corrected: corrected, outputs.field: FIELD_TEXT, outputs.uncertainty: UNCERTAINTY_TEXT}
    texts = {sidecar(path): text for path, text in texts.items()}
    used = list(references) or [source]
    last = sidecar(outputs.corrected)
    for path in outputs.sidecars if with_field else [last]:
        of = [source, *(one for one in used if one != source)] if path == last else used
        content = {
            **(without_links(metadata) if path == last and metadata else {}),
            "Description": texts[path].format(suffix=of[0].name.suffix),
            "Sources": [one.uri for one in of],
            "SkullStripped": stripped,
            "SkullStrippedDetermination": how,
            KEY: made,
        }
        write_json(path, sealed(content))


def without_links(metadata: dict[str, Any]) -> dict[str, Any]:
    """Remove metadata that refer to other files of the raw dataset, which the derivative one does not have."""
    return {key: value for key, value in metadata.items() if key not in ("IntendedFor", "AssociatedEmptyRoom")}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a readable JSON file: indented, but with lists of numbers on one line."""

    def on_one_line(found: re.Match[str]) -> str:
        return f"[{' '.join(found[0][1:-1].split())}]"

    write_text(path, NUMBERS.sub(on_one_line, json.dumps(content, indent=2, ensure_ascii=False)) + "\n")
