"""A comparison's table and figure, for the subject's page."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image

from getnet_bids.columns import MEASURED

from .page import ABSENT, data_uri, link, number, percent
from .records import Record, read_table

COLUMNS = {column.name: column for column in MEASURED}
MAX_WIDTH = 1500
"""A figure is made no wider for the page, pixels."""
MAX_BYTES = 300_000
"""A figure with fewer bytes is taken as it is."""


def comparison_context(output_dir: Path, record: Record) -> dict[str, Any] | None:
    """Collect what a comparison left of an image; None if there was none.

    Parameters
    ----------
    output_dir : Path
        The derivative dataset.
    record : Record

    Returns
    -------
    dict or None
        For the template.
    """
    rows = read_table(output_dir / record.folder / str(record.metrics))
    if not rows:
        return None
    # By region, so that the methods stand below each other.
    regions = list(dict.fromkeys(row.get("region", "") for row in rows))
    rows.sort(key=lambda row: regions.index(row.get("region", "")))
    columns = [key for key in COLUMNS if any(row.get(key, "n/a") != "n/a" for row in rows)]
    lines = []
    for i, row in enumerate(rows):
        region = row.get("region", "")
        first = i == 0 or rows[i - 1].get("region", "") != region
        lines.append(
            {
                "region": region if first else "",
                "span": sum(other.get("region", "") == region for other in rows),
                "method": row.get("method", ""),
                "cells": [cell(key, row.get(key, "n/a")) for key in columns],
            }
        )
    return {
        "columns": [(COLUMNS[key].title, COLUMNS[key].summary) for key in columns],
        "rows": lines,
        "figure": figure(output_dir, record),
        "table": link(f"{record.folder}/{record.metrics}"),
    }


def cell(key: str, text: str) -> str:
    """Write a cell of the table as people read it.

    Examples
    --------
    >>> cell("cv", "0.0521"), cell("voxels", "123456"), cell("cjv", "n/a")
    ('5.2 %', '123456', '–')
    """  # noqa: RUF002
    try:
        value = float(text)
    except ValueError:
        return ABSENT if text == "n/a" else text
    return percent(value) if COLUMNS[key].percent else number(value)


def figure(output_dir: Path, record: Record) -> dict[str, Any] | None:
    """Read the comparison's figure, made small enough for a page; None if there is none."""
    name = str(record.name.derived("comparison", ".png", mod=record.name.suffix, desc="inu"))
    path = output_dir / record.folder.partition("/")[0] / "figures" / name
    try:
        content = path.read_bytes()
        image = Image.open(io.BytesIO(content))
        kind, size = "image/png", image.size
        if len(content) > MAX_BYTES:
            shown = image.convert("RGB")
            shown.thumbnail((MAX_WIDTH, 10 * MAX_WIDTH))
            packed = io.BytesIO()
            shown.save(packed, "JPEG", quality=80)
            content, kind, size = packed.getvalue(), "image/jpeg", shown.size
    except OSError:
        return None
    return {
        "data": data_uri(content, kind),
        "width": size[0],
        "height": size[1],
        "link": link(relative(path, output_dir)),
    }


def relative(path: Path, output_dir: Path) -> str:
    """Return a file's path from the dataset's root, with forward slashes."""
    return path.relative_to(output_dir).as_posix()
