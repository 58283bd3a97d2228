"""The dataset's table of measures: a row for each image, method and tissue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from getnet_bids.columns import ENTIRE, FOREGROUND, group_columns
from getnet_bids.comparison.methods import names

from .records import Record, read_table

COLUMNS = group_columns(names())
FIELD = {
    "field_minimum": "FieldMinimum",
    "field_p1": "FieldP1",
    "field_p99": "FieldP99",
    "field_maximum": "FieldMaximum",
    "field_cv": "FieldCV",
}


def image_rows(output_dir: Path, record: Record) -> Iterator[dict[str, str]]:
    """Return an image's rows: those of its comparison, else of its foreground before and after.

    Parameters
    ----------
    output_dir : Path
        The derivative dataset.
    record : Record

    Yields
    ------
    dict of str
        By column; what is not known is missing.
    """
    measures = record.measures
    about = {
        "participant_id": f"sub-{record.name.entities['sub']}",
        "session_id": f"ses-{record.session}" if record.session else "n/a",
        "source": record.source,
        "contrast": record.name.suffix,
    }
    volume = {"foreground_volume": text(measures.get("ForegroundVolume"))}
    p5, p95 = measures.get("FieldP5"), measures.get("FieldP95")
    quality = {
        "field_sd_median": text(record.made.get("FieldSDMedian")),
        "field_sd_p95": text(record.made.get("FieldSDP95")),
        "verdict": record.verdict,
        "inu_range": text(abs(p95 - p5) if p95 is not None and p5 is not None else None),
        "inu_med": text(measures.get("FieldMedian")),
    }
    own = {
        "input": {"median": text(measures.get("MedianBefore")), **volume},
        "GetNet": {
            "median": text(measures.get("MedianAfter")),
            **volume,
            **{column: text(measures.get(key)) for column, key in FIELD.items()},
            **quality,
        },
    }
    compared = read_table(output_dir / record.folder / str(record.metrics))
    for row in compared:
        region = row.get("region", "n/a")
        entire = region in (ENTIRE, FOREGROUND)
        extra = own.get(row.get("method", ""), {}) if entire else {}
        yield {**row, **about, **extra, "tissue": FOREGROUND if entire else region}
    if compared or not measures:
        return
    low, high = measures.get("FieldP5"), measures.get("FieldP95")
    voxels = {"voxels": text(record.made.get("ForegroundVoxels")), "tissue": FOREGROUND}
    yield {**about, **voxels, **own["input"], "method": "input", "cv": text(measures.get("CVBefore"))}
    yield {
        **about,
        **voxels,
        **own["GetNet"],
        "method": "GetNet",
        "cv": text(measures.get("CVAfter")),
        "field_p95_p5": text(high / low if low and high else None),
        "seconds": text(record.seconds),
    }


def text(value: Any) -> str:
    """Write a number for a table.

    Examples
    --------
    >>> text(0.1234567), text(1234567), text(None)
    ('0.123457', '1234567', 'n/a')
    """
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else "n/a"


def as_line(row: dict[str, str]) -> str:
    r"""Write a row.

    Examples
    --------
    >>> as_line({"participant_id": "sub-01"})[:10]
    'sub-01\tn/a'
    """
    return "\t".join(" ".join(row.get(column.name, "n/a").split()) or "n/a" for column in COLUMNS) + "\n"
