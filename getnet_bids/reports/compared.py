"""The table of an image's comparison, unless it belongs to another correction of the image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from getnet_bids.bids.metadata import read_object
from getnet_bids.bids.provenance import KEY, REFERENCE
from getnet_bids.comparison.methods import METHODS, OPTIONS

from .records import Record, read_table

STALE = "a comparison of another image, or with other options, is left out; run --compare again"
"""Remark on an image whose comparison belongs to another correction."""


def compared_rows(output_dir: Path, record: Record) -> tuple[list[dict[str, str]], bool]:
    """Read the table of an image's comparison.

    Returns
    -------
    rows : list of dict of str
        Values by column, for each method and region; empty if there is no comparison or if it is stale.
    stale : bool
        Whether there is a comparison that belongs to another correction.
    """
    rows = read_table(output_dir / record.folder / str(record.metrics))
    stale = bool(rows) and not is_current(output_dir, record, rows)
    return ([] if stale else rows), stale


def is_current(output_dir: Path, record: Record, rows: list[dict[str, str]]) -> bool:
    """Return whether the sidecars of all methods in a table agree with that of GetNet's present result."""
    named = {row.get("method") for row in rows}
    prefix = record.desc.removesuffix("GetNet").removesuffix("preproc")
    found = [
        read_object(output_dir / record.folder / str(record.name.derived(extension=".json", desc=prefix + method.name)))
        for method in METHODS.values()
        if method.name in named
    ]
    return bool(found) and all(origin(content.get(KEY)) == origin(record.made) for content in found)


def origin(made: Any) -> dict[str, Any]:
    """Return what a result was made from, of a sidecar's provenance: image, algorithm, weights, options of correction.

    Examples
    --------
    >>> before = {"InputHash": "sha256:0", "Options": {"refine": True}}
    >>> origin(before) == origin({"InputHash": "sha256:0", "Options": {"refine": True, "compare": "n4"}})
    True
    """
    if not isinstance(made, dict):
        return {}
    options = made.get("Options")
    if isinstance(options, dict):
        options = {name: value for name, value in options.items() if name not in OPTIONS}
    keys = ("InputHash", "Algorithm", "WeightsHash", REFERENCE)
    return {"Options": options, **{key: made.get(key) for key in keys}}
