"""The dataset's table of measures, and a page with distributions and outliers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from getnet_bids import __version__
from getnet_bids.bids.dataset import GROUP_PAGE, GROUP_TABLE
from getnet_bids.bids.names import suffix_of
from getnet_bids.bids.ownership import check_table, sealed
from getnet_bids.bids.provenance import INCOMPLETE, KEY, record
from getnet_bids.bids.sidecars import STOPPED, write_json
from getnet_bids.columns import (
    CJV,
    CV,
    ENTIRE,
    FIELD_CV,
    FIELD_RANGE,
    FIELD_SD,
    FOREGROUND,
    MEDIAN,
    SECONDS,
    VOLUME,
    descriptions,
    group_columns,
)
from getnet_bids.comparison.methods import names
from getnet_bids.core import DOUBTFUL
from getnet_bids.files import atomic, locked
from getnet_bids.marks import check_marked, write_marked

from .compared import compared_rows
from .outliers import OUTLIER_Z, RULE, robust_z
from .page import as_json, link, render
from .plots import Dot, Plot, plot
from .records import Record, RunHistory, all_records, anchor, is_number, value_of
from .visits import NOTE, Difference, Visit, differences

MEASURES = {
    "range": (FIELD_RANGE.title, FIELD_RANGE.summary),
    "field_cv": (FIELD_CV.title, FIELD_CV.summary),
    "field_sd": (FIELD_SD.title, FIELD_SD.summary),
    "cv_before": (f"{CV.title} before", f"{CV.summary}, of the foreground before correction"),
    "cv_after": (f"{CV.title} after", "the same after correction"),
    "cjv_before": (f"{CJV.title} before", f"{CJV.summary}, before correction"),
    **{f"cjv_{name.lower()}": (f"{CJV.title} {name}", f"the same after {name}") for name in names()},
    "median": (f"{MEDIAN.title} before", f"{MEDIAN.summary} before correction"),
    "volume": (VOLUME.title, VOLUME.summary),
    "seconds": (SECONDS.title, SECONDS.summary),
}
"""Title and description of each measure on the page."""
MAX_LINES = 16
"""Largest number of pairs of suffix and session for which each pair has its own row in the plots; otherwise each suffix
has one."""
MAX_LISTED = 30
"""Largest number of outliers in the list, the most extreme first; the table has all."""


@dataclass
class ImageRow:
    """An image on the page.

    Parameters
    ----------
    source : str
    subject, session, suffix : str
    state : str
        The verdict (``done`` or ``remarks`` of earlier versions), ``failed`` or ``missing``.
    values : dict of float or None
        Values by measure.
    outlying : dict of float
        Robust z for the measures in which the image is an outlier.
    reasons : list of str
        Why it failed or is doubtful.
    """

    source: str
    subject: str
    session: str
    suffix: str
    state: str
    values: dict[str, float | None] = field(default_factory=dict)
    outlying: dict[str, float] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    @property
    def page(self) -> str:
        """Link to the image on its subject's page."""
        return f"{link(self.subject)}.html#{anchor(self.source)}"

    @property
    def furthest(self) -> list[tuple[str, float | None, float]]:
        """The measures in which the image is an outlier, the most extreme first, with value and robust z."""
        ordered = sorted(self.outlying.items(), key=lambda item: -abs(item[1]))
        return [(MEASURES[measure][0], self.values[measure], z) for measure, z in ordered]

    @property
    def title(self) -> str:
        """The file's name without extension."""
        return Path(self.source).name.partition(".")[0]


def write_group_report(output_dir: Path, missing: Mapping[str, str] | None = None) -> list[Path]:
    """Collect the measures of all images in a derivative dataset.

    Parameters
    ----------
    output_dir : Path
    missing : mapping of str, optional
        Images without a complete result, and the reasons; the page lists them.

    Returns
    -------
    list of Path
        The table, its sidecar and the page.

    Raises
    ------
    GetNetError
        One of them is a user's file.
    """
    table, page = output_dir / GROUP_TABLE, output_dir / GROUP_PAGE
    about, columns = table.with_suffix(".json"), descriptions(COLUMNS)
    with locked(table):  # so that the table and the page come from the same run
        check_table(table, columns)
        check_marked(page)
        failed = RunHistory(output_dir).failed()
        images, visits = [], []
        with atomic(table) as file:
            file.write(("\t".join(column.name for column in COLUMNS) + "\n").encode())
            for one in all_records(output_dir):
                rows = list(image_rows(output_dir, one))
                file.write("".join(map(as_line, rows)).encode())
                images.append(image_row(one, rows, one.source in failed))
                visits.append(Visit.of(one))
            write_json(about, {INCOMPLETE: STOPPED})
        write_json(about, sealed({**columns, KEY: record([table])}))
        known = {image.source for image in images}
        missing = missing or {}
        images += [failed_row(source) for source in sorted(failed.keys() - known)]
        for image in images:
            if image.source in failed:
                image.reasons = [failed[image.source].reason or "see the logs"]
        images += [replace(failed_row(s), state="missing") for s in sorted(missing.keys() - known - failed.keys())]
        images.sort(key=lambda image: image.source)
        mark_outliers(images)
        write_marked(page, group_page(images, output_dir, missing, differences(visits)))
    return [table, about, page]


def image_row(record: Record, rows: list[dict[str, str]], failed: bool) -> ImageRow:
    """Return the row of an image that has a result."""
    measures = record.measures
    low, high = measures.get("FieldP1"), measures.get("FieldP99")
    cjv = {row.get("method"): value_of(row["cjv"]) for row in rows if row.get("cjv", "n/a") != "n/a"}
    return ImageRow(
        record.source,
        f"sub-{record.name.entities['sub']}",
        f"ses-{record.session}" if record.session else "",
        record.name.suffix,
        "failed" if failed else state_of(record),
        {
            "range": high / low if low and high else None,
            "field_cv": measures.get("FieldCV"),
            "field_sd": sd if is_number(sd := record.made.get("FieldSDMedian")) else None,
            "cv_before": measures.get("CVBefore"),
            "cv_after": measures.get("CVAfter"),
            "cjv_before": cjv.get("input"),
            **{f"cjv_{name.lower()}": cjv.get(name) for name in names()},
            "median": measures.get("MedianBefore"),
            "volume": measures.get("ForegroundVolume"),
            "seconds": record.seconds,
        },
        reasons=record.remarks,
    )


def state_of(record: Record) -> str:
    """Return the state of an image that has a result: its verdict, if there is one."""
    if record.verdict != "n/a":
        return record.verdict
    return "remarks" if record.remarks else "done"


def failed_row(source: str) -> ImageRow:
    """Return the row of an image that has no result."""
    parts = source.split("/")
    session = parts[1] if len(parts) > 1 and parts[1].startswith("ses-") else ""
    return ImageRow(source, parts[0], session, suffix_of(parts[-1]), "failed", dict.fromkeys(MEASURES))


def mark_outliers(images: list[ImageRow]) -> None:
    """Find the measures in which each image is an outlier among the images with its suffix."""
    suffixes: dict[str, list[ImageRow]] = {}
    for image in images:
        suffixes.setdefault(image.suffix, []).append(image)
    for alike in suffixes.values():
        for measure in MEASURES.keys() - {"seconds"}:  # the time says nothing about an image
            scores = robust_z([image.values[measure] for image in alike])
            for image, z in zip(alike, scores, strict=True):
                if z is not None and abs(z) > OUTLIER_Z:
                    image.outlying[measure] = round(z, 1)


def group_page(
    images: list[ImageRow],
    output_dir: Path,
    missing: Mapping[str, str] | None = None,
    visits: Sequence[Difference] = (),
) -> str:
    """Render the page."""
    measures = [m for m in MEASURES if any(image.values[m] is not None for image in images)]
    outliers = [image for image in images if image.outlying]
    outliers.sort(key=lambda image: (-max(map(abs, image.outlying.values())), image.source))
    columns = ["Image", "Subject", "Session", "Suffix", "State", *(MEASURES[m][0] for m in measures)]
    rows = [
        [image.title, image.subject, image.session, image.suffix, image.state]
        + [None if (value := image.values[m]) is None else float(f"{value:.5g}") for m in measures]
        + [anchor(image.source), [measures.index(m) for m in image.outlying]]
        for image in images
    ]
    return render(
        "group.html.j2",
        "group.js",
        version=__version__,
        images=images,
        subjects=len({image.subject for image in images}),
        failed=[image for image in images if image.state == "failed"],
        doubtful=[image for image in images if image.state == DOUBTFUL],
        missing=[(s, reason) for s, reason in sorted((missing or {}).items()) if not reason.startswith("failed: ")],
        outliers=outliers[:MAX_LISTED],
        outlying=len(outliers),
        plots=draw_plots(images, measures),
        rule=RULE,
        visits=visits[:MAX_LISTED],
        compared=len(visits),
        visits_note=NOTE,
        suffixes=sorted({image.suffix for image in images}),
        data=as_json({"columns": columns, "texts": 5, "rows": rows}),
        name=output_dir.resolve().name,
        table=GROUP_TABLE,
    )


def draw_plots(images: list[ImageRow], measures: list[str]) -> list[Plot]:
    """Draw the distribution of each measure, by suffix, and by session if there are not too many."""

    def both(image: ImageRow) -> str:
        return f"{image.suffix} {image.session}".strip()

    by_session = len({both(image) for image in images}) <= MAX_LINES
    groups: dict[str, list[ImageRow]] = {}
    for image in sorted(images, key=lambda image: (image.suffix, image.session)):
        groups.setdefault(both(image) if by_session else image.suffix, []).append(image)
    plots = []
    for measure in measures:
        dots: dict[str, list[Dot]] = {
            name: [
                Dot(value, measure in image.outlying, image.title, image.page)
                for image in members
                if (value := image.values[measure]) is not None and value > 0
            ]
            for name, members in groups.items()
        }
        plots.append(plot(*MEASURES[measure], dots))
    return [drawn for drawn in plots if drawn is not None]


COLUMNS = group_columns(names())
FIELD = {
    "field_minimum": "FieldMinimum",
    "field_p1": "FieldP1",
    "field_p99": "FieldP99",
    "field_maximum": "FieldMaximum",
    "field_cv": "FieldCV",
}


def image_rows(output_dir: Path, record: Record) -> Iterator[dict[str, str]]:
    """Yield an image's rows: those of its comparison, or else those of the foreground before and after.

    Parameters
    ----------
    output_dir : Path
        The derivative dataset.
    record : Record

    Yields
    ------
    dict of str
        Values by column; unknown values are left out.
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
        "known_fields_found": text(record.made.get("KnownFieldsFound")),
        "verdict": record.verdict,
        "inu_range": text(None if p5 is None or p95 is None else abs(p95 - p5)),
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
    compared, _ = compared_rows(output_dir, record)
    for row in compared:
        region = row.get("region", "n/a")
        entire = region in (ENTIRE, FOREGROUND)
        extra = own.get(row.get("method", ""), {}) if entire else {}
        yield {**row, **about, **extra, "tissue": FOREGROUND if entire else region}
    if compared or not measures:
        return
    voxels = {"voxels": text(record.made.get("ForegroundVoxels")), "tissue": FOREGROUND}
    yield {**about, **voxels, **own["input"], "method": "input", "cv": text(measures.get("CVBefore"))}
    yield {
        **about,
        **voxels,
        **own["GetNet"],
        "method": "GetNet",
        "cv": text(measures.get("CVAfter")),
        "field_p95_p5": text(p95 / p5 if p5 and p95 else None),
        "seconds": text(record.seconds),
    }


def text(value: Any) -> str:
    """Format a number for a table.

    Examples
    --------
    >>> text(0.1234567), text(1234567), text(None)
    ('0.123457', '1234567', 'n/a')
    """
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else "n/a"


def as_line(row: dict[str, str]) -> str:
    r"""Format a row of the table.

    Examples
    --------
    >>> as_line({"participant_id": "sub-01"})[:10]
    'sub-01\tn/a'
    """
    return "\t".join(" ".join(row.get(column.name, "n/a").split()) or "n/a" for column in COLUMNS) + "\n"
