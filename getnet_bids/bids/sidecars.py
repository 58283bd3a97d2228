"""What the JSON files beside the results say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from getnet_bids.files import write_text

from .discovery import Source
from .outputs import Outputs, sidecar
from .provenance import KEY

CORRECTED = (
    "{suffix} image divided by its intensity gain field (bias field), estimated by GetNet. "
    "The field is 1 in geometric mean over the foreground; corrected image times field is the source image."
)
FIELD = (
    "Intensity gain field (bias field) of the {suffix} image, estimated by GetNet: dimensionless, positive, "
    "1 in geometric mean over the foreground. Corrected image times field is the source image."
)

UNCERTAINTY = (
    "Standard deviation of the logarithm of the intensity gain field (bias field) of the {suffix} image, as estimated "
    "by GetNet: about the field's relative uncertainty, dimensionless."
)

NUMBERS = re.compile(r"\[\n\s*-?\d[^\[\]{}\":]*\]")
"""A list of numbers as the json module indents it; inside a string there are no line breaks."""


def write_sidecars(source: Source, outputs: Outputs, skull_stripped: tuple[bool, str], made: dict[str, Any]) -> None:
    """Write the sidecars of an image's results, that of the corrected image last: it says that all is complete.

    Parameters
    ----------
    source : Source
        The raw image.
    outputs : Outputs
        Its results, complete.
    skull_stripped : tuple of bool and str
        Whether it is, and how that is known.
    made : dict
        Provenance of both.
    """
    stripped, how = skull_stripped
    texts = {outputs.corrected: CORRECTED, outputs.field: FIELD, outputs.uncertainty: UNCERTAINTY}
    texts = {sidecar(path): text for path, text in texts.items()}
    for path in outputs.sidecars:
        text = texts[path]
        content = {
            "Description": text.format(suffix=source.name.suffix),
            "Sources": [source.uri],
            "SkullStripped": stripped,
            "SkullStrippedDetermination": how,
            KEY: made,
        }
        write_json(path, content)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file as people like to read it: indented, but lists of numbers on one line."""

    def on_one_line(found: re.Match[str]) -> str:
        return f"[{' '.join(found[0][1:-1].split())}]"

    write_text(path, NUMBERS.sub(on_one_line, json.dumps(content, indent=2, ensure_ascii=False)) + "\n")
