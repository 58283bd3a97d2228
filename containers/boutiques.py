"""Print the Boutiques descriptor of getnet-bids, made from its parser and its settings.

    python containers/boutiques.py [IMAGE] > getnet_bids.json && bosh validate getnet_bids.json

IMAGE is the address of the container image, such as ``ghcr.io/me/getnet_bids:1.0.0``.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from getnet_bids import __version__
from getnet_bids.cli.parser import app_parser
from getnet_bids.configuration import known
from getnet_bids.settings import LEVELS, Settings


def describe(image: str | None = None) -> dict[str, Any]:
    """Return the descriptor.

    Parameters
    ----------
    image : str, optional
        Address of the container image.

    Returns
    -------
    dict
        For Boutiques' schema 0.5.
    """
    parser = app_parser()
    inputs = list(described(parser))
    descriptor: dict[str, Any] = {
        "name": "getnet_bids",
        "description": parser.description,
        "tool-version": __version__,
        "schema-version": "0.5",
        "author": "The getnet_bids developers",
        "command-line": " ".join([parser.prog, *(one["value-key"] for one in inputs)]),
        "inputs": inputs,
        "output-files": [
            {
                "id": "results",
                "name": "Derivatives",
                "description": "Corrected images, fields, pages and logs.",
                "path-template": "[OUTPUT_DIR]",
            }
        ],
        "error-codes": [
            {"code": int(code), "description": what.strip()}
            for code, _, what in (part.strip().rstrip(".").partition(" ") for part in codes(parser).split(","))
        ],
        "tags": {"domain": ["neuroinformatics", "mri", "bids"]},
    }
    if image:
        descriptor["container-image"] = {"type": "docker", "image": image}
    return descriptor


def codes(parser: argparse.ArgumentParser) -> str:
    """Return the parser's description of the exit codes other than 0: the rest of that sentence."""
    return (parser.epilog or "").partition("Exit codes: 0 all done,")[2].partition(". ")[0]


def described(parser: argparse.ArgumentParser) -> Iterator[dict[str, Any]]:
    """Describe each option and argument."""
    kinds = known(Settings)
    for action in parser._actions:
        names = [name for name in action.option_strings if name.startswith("--")]
        if action.dest in ("help", "version"):
            continue
        if isinstance(action, argparse.BooleanOptionalAction):
            names = [name for name in names if name.startswith("--no-")]  # yes is the default
        key = names[0][2:].replace("-", "_") if names else action.dest
        setting = kinds.get(action.dest.replace("_", "-"))
        kind = setting.metadata["kind"] if setting is not None else str
        one: dict[str, Any] = {
            "id": key,
            "name": key.replace("_", " "),
            "description": (action.help or "") % {"prog": parser.prog},
            "value-key": f"[{key.upper()}]",
            "type": "String",
            "optional": bool(names),
        }
        if names:
            one["command-line-flag"] = names[0]
        if kind is bool:
            one["type"] = "Flag"
        elif kind in (int, float):
            one["type"] = "Number"
            one["integer"] = kind is int
        elif action.metavar == "FILE" or action.dest == "bids_dir":
            one["type"] = "File"
        if action.nargs == "+":
            one["list"] = True
        if action.choices:
            one["value-choices"] = list(action.choices)
        elif action.dest == "analysis_level":
            one["value-choices"] = list(LEVELS)
        yield one


if __name__ == "__main__":
    json.dump(describe(*sys.argv[1:2]), sys.stdout, indent=2)
    print()
