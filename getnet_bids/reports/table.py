"""The dataset's table of measures: a row for each image, method and tissue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from getnet_bids.comparison.methods import names

from .comparison import ENTIRE
from .records import Record, read_table

FOREGROUND = ENTIRE[1]
SAMPLED = "Over the foreground: every voxel, or every second, third ... along each axis of a large image."
# None is named like an entity of BIDS: PyBIDS takes a described column for metadata, and refuses two values of one key.
COLUMNS: dict[str, dict[str, Any]] = {
    "participant_id": {"Description": "The subject."},
    "session_id": {"Description": "The session; n/a if the image is in none."},
    "source": {"Description": "The image, as its path in the raw dataset."},
    "contrast": {"Description": "The image's suffix, which tells its contrast, such as T1w."},
    "method": {"Description": "What the image was corrected by; 'input' is the image before."},
    "tissue": {
        "Description": "Where it was measured: 'foreground' is what has signal; of compared images also tissues "
        "(voxels of probability above 0.9), 'GM+WM' for both jointly."
    },
    "voxels": {"Description": "Number of voxels of the tissue.", "Units": "1"},
    "cv": {
        "Description": "Coefficient of variation: standard deviation over mean. Smaller is more homogeneous.",
        "Units": "1",
    },
    "cv_noise_controlled": {
        "Description": "The same after averaging the noise away within the tissue, of compared images.",
        "Units": "1",
    },
    "cjv": {
        "Description": "Coefficient of joint variation, (sd GM + sd WM) / |mean GM - mean WM|, of compared images. "
        "Smaller is better.",
        "Units": "1",
    },
    "cjv_noise_controlled": {
        "Description": "The same after averaging the noise away within each tissue.",
        "Units": "1",
    },
    "relative_mae": {
        "Description": "Where a gain field was simulated: mean absolute error relative to the image without. "
        "0 is perfect.",
        "Units": "1",
    },
    "field_p95_p5": {"Description": "95th over 5th percentile of the estimated field.", "Units": "1"},
    "seconds": {"Description": "Time of the correction of the whole image, files apart.", "Units": "s"},
    "disagreement_with_input": {
        "Description": "Mean absolute relative difference from the image before, both brought to one mean.",
        "Units": "1",
    },
    **{
        f"disagreement_with_{name}": {
            "Description": f"Mean absolute relative difference from the image by {name}, both brought to one mean.",
            "Units": "1",
        }
        for name in names()
    },
    "field_minimum": {"Description": f"Smallest value of GetNet's field. {SAMPLED}", "Units": "1"},
    "field_p1": {"Description": f"1st percentile of GetNet's field. {SAMPLED}", "Units": "1"},
    "field_p99": {"Description": f"99th percentile of GetNet's field. {SAMPLED}", "Units": "1"},
    "field_maximum": {"Description": f"Largest value of GetNet's field. {SAMPLED}", "Units": "1"},
    "field_cv": {"Description": f"Coefficient of variation of GetNet's field. {SAMPLED}", "Units": "1"},
    "field_sd_median": {
        "Description": "Standard deviation of the estimate of the log field, about its relative uncertainty: median "
        "over the foreground.",
        "Units": "1",
    },
    "field_sd_p95": {"Description": "The same: 95th percentile over the foreground.", "Units": "1"},
    "verdict": {
        "Description": "What GetNet's result is worth: corrected, nothing to correct (the field is within its "
        "uncertainty of flat) or doubtful; the sidecar and the page tell why."
    },
    "inu_range": {
        "Description": f"MRIQC's name: 95th minus 5th percentile of GetNet's field. {SAMPLED} MRIQC's is of the brain.",
        "Units": "1",
    },
    "inu_med": {
        "Description": f"MRIQC's name: median of GetNet's field. {SAMPLED} MRIQC's is over the brain.",
        "Units": "1",
    },
    "median": {
        "Description": f"Median intensity, in the image's own units. {SAMPLED}",
        "Units": "arbitrary",
    },
    "foreground_volume": {"Description": "Volume of the foreground.", "Units": "mL"},
}
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
        entire = region in ENTIRE
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
    return "\t".join(" ".join(row.get(column, "n/a").split()) or "n/a" for column in COLUMNS) + "\n"
