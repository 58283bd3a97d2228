"""The page of a subject: each image before and after, its field, verdict, measures, provenance, and comparison."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image

from getnet_bids import __version__
from getnet_bids.bids.citation import as_html, citations
from getnet_bids.bids.dataset import GROUP_PAGE
from getnet_bids.bids.provenance import REFERENCE
from getnet_bids.columns import MEASURED
from getnet_bids.comparison.methods import METHODS
from getnet_bids.files import locked
from getnet_bids.marks import check_marked, write_marked

from .compared import STALE, compared_rows
from .page import ABSENT, data_uri, link, number, percent, render
from .pictures import COLOURS, Pictures, packed
from .plots import histogram
from .records import Entry, Record, RunHistory, anchor, is_number, records_of

COLUMN_BY_NAME = {column.name: column for column in MEASURED}
MAX_FIGURE_WIDTH = 1500
"""Largest width of the comparison's figure on the page, pixels."""
MAX_FIGURE_BYTES = 300_000
"""Largest size in bytes of a figure that is embedded in the page unchanged."""
MAX_TRACEBACK = 6000
"""Largest number of characters shown from the end of a traceback."""


@dataclass(frozen=True)
class ShownImage:
    """The content of the page for an image.

    Parameters
    ----------
    source : str
        Path in the raw dataset.
    session : str
        With ``ses-``; empty if there is none.
    anchor : str
        Its anchor on the page.
    run : str or None
        The last run that processed it.
    failure : dict or None
        Why it failed in that run.
    remarks : list of str
    verdict : str
    certainty : str
        Description of how well the field is known.
    simulated : bool
        Whether it was shaded first.
    pictures : dict or None
    measures : dict or None
        None if there is no result.
    histogram : dict or None
    provenance : list of tuple of str
        Names and values.
    comparison : dict or None
    links : list of tuple of str
        Names and addresses.
    """

    source: str
    session: str
    anchor: str
    run: str | None
    failure: dict[str, str] | None
    remarks: list[str] = field(default_factory=list)
    verdict: str = "n/a"
    certainty: str = ""
    simulated: bool = False
    pictures: dict[str, Any] | None = None
    measures: dict[str, float] | None = None
    histogram: dict[str, Any] | None = None
    provenance: list[tuple[str, str]] = field(default_factory=list)
    comparison: dict[str, Any] | None = None
    links: list[tuple[str, str]] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The file's name."""
        return Path(self.source).name


def write_subject_report(output_dir: Path, subject: str, history: RunHistory | None = None) -> Path:
    """Write a subject's page from the files on disk.

    Parameters
    ----------
    output_dir : Path
        The derivative dataset.
    subject : str
        Label, with or without ``sub-``.
    history : RunHistory, optional
        History of this dataset, which saves reading all logs for each subject.

    Returns
    -------
    Path
        ``sub-<label>.html``.

    Raises
    ------
    GetNetError
        A file of that name is a user's.
    """
    subject = f"sub-{subject.removeprefix('sub-')}"
    path = output_dir / f"{subject}.html"
    # Runs of two sessions may end at the same time, so the page must be read and written under a lock.
    with locked(path):
        check_marked(path)  # before all the work
        write_marked(path, subject_page(output_dir, subject, history or RunHistory(output_dir)))
    return path


def subject_page(output_dir: Path, subject: str, history: RunHistory) -> str:
    """Return a subject's page, made from the files on disk."""
    entries = history.of(subject)
    records = list(records_of(output_dir, subject))
    known = {record.source for record in records}
    images = [corrected_image(output_dir, record, entries.get(record.source)) for record in records]
    images += [logged_image(output_dir, s, e) for s, e in entries.items() if s not in known and e.status == "failed"]
    images.sort(key=lambda image: image.source)
    sessions: dict[str, list[ShownImage]] = {}
    for image in images:
        sessions.setdefault(image.session, []).append(image)
    return render(
        "subject.html.j2",
        "subject.js",
        subject=subject,
        version=__version__,
        sessions=sessions,
        images=images,
        failed=[image for image in images if image.failure],
        remarked=[image for image in images if image.remarks],
        citation=citation(output_dir),
        gradient=", ".join(f"rgb{colour}" for colour in COLOURS),
        group=(output_dir / GROUP_PAGE).is_file(),
    )


def corrected_image(output_dir: Path, record: Record, entry: Entry | None) -> ShownImage:
    """Collect the page's content for a corrected image."""
    names = [record.corrected, record.field, record.field.derived(stat="std")]
    names.append(record.corrected.derived(extension=".json"))
    for method in METHODS.values():
        names.append(record.name.derived(desc=method.name))
        names.append(record.name.derived("biasfield", mod=record.name.suffix, desc=method.name))
    present = [str(name) for name in names if (output_dir / record.folder / str(name)).is_file()]
    compared, stale = compared_rows(output_dir, record)
    return replace(
        logged_image(output_dir, record.source, entry),
        remarks=record.remarks + notes_of(entry, record.remarks) + [STALE] * stale,
        verdict=record.verdict,
        certainty=certainty(record.made),
        simulated=record.desc != "preproc",
        pictures=pictures_of(output_dir, record),
        measures=record.measures,
        histogram=histogram(record.made),
        provenance=provenance(record.made),
        comparison=comparison_context(output_dir, record, compared) if compared else None,
        links=[(name, link(f"{record.folder}/{name}")) for name in present],
    )


def notes_of(entry: Entry | None, reasons: list[str]) -> list[str]:
    """Return the log's remarks on an image that is done, without the reasons of its verdict."""
    if entry is None or entry.status != "done":
        return []
    note = entry.reason
    for reason in reasons:
        note = note.replace(" ".join(reason.split()), "").strip("; ")
    return [note] if note else []


def certainty(made: dict[str, Any]) -> str:
    """Describe how well a field is known; empty if that was not computed."""
    median, p95 = made.get("FieldSDMedian"), made.get("FieldSDP95")
    if not is_number(median) or not is_number(p95):
        return ""
    return f"The field is known to {median:.1%} (standard deviation, median; 95th percentile {p95:.1%})."


def logged_image(output_dir: Path, source: str, entry: Entry | None) -> ShownImage:
    """Collect the page's content for an image that is only in the logs."""
    session = re.search(r"/(ses-[^/]+)/", source)
    failed = entry is not None and entry.status == "failed"
    return ShownImage(
        source,
        session[1] if session else "",
        anchor(source),
        entry.run if entry else None,
        failure(output_dir, source, entry) if entry and failed else None,
    )


def failure(output_dir: Path, source: str, entry: Entry) -> dict[str, str]:
    """Return why an image failed, with the end of the traceback if there is one."""
    named = re.search(r"(crash-[^/\s]+\.txt)", entry.reason)
    file = named[1] if named else f"crash-{Path(source).name.partition('.')[0]}.txt"
    path = output_dir / "logs" / entry.run / file
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {"reason": entry.reason, "crash": "", "link": ""}
    return {"reason": entry.reason, "crash": text[-MAX_TRACEBACK:], "link": link(relative(path, output_dir))}


def pictures_of(output_dir: Path, record: Record) -> dict[str, Any] | None:
    """Read an image's pictures; None if one is missing."""
    pictures = Pictures.of(record.name, output_dir, record.desc)
    figures = record.made.get("Figures")
    if not isinstance(figures, dict):
        return None  # those that are there show something else
    try:
        with Image.open(pictures.before) as image:
            width, height = image.size
        content = [path.read_bytes() for path in pictures.all]
    except OSError:
        return None
    columns = figures.get("Columns")
    planes = figures.get("Planes")
    kinds = ["image/jpeg"] * 3 + ["image/png"]
    names = ["before", "after", "field", "outline"]
    return {
        **{name: data_uri(data, kind) for name, data, kind in zip(names, content, kinds, strict=True)},
        "width": width,
        "height": height,
        "columns": columns if isinstance(columns, int) and 0 < columns < 100 else 1,
        "planes": ", ".join(map(str, planes)) if isinstance(planes, list) else "",
        "window": pair(figures.get("Window")),
        "colours": pair(figures.get("FieldColours")),
    }


def pair(value: Any) -> list[float] | None:
    """Return a value from a file if it is two numbers."""
    return value if isinstance(value, list) and len(value) == 2 and all(map(is_number, value)) else None


def provenance(made: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the provenance of a result as names and values."""
    rows = []
    titles = {
        "Device": "Device",
        "Seconds": "Seconds of computation",
        "Weights": "Weights",
        "WeightsHash": "Hash of the weights",
        "InputHash": "Hash of the source",
        "InputSize": "Bytes of the source",
        "OptionsHash": "Hash of the options",
    }
    for key, title in titles.items():
        if key in made:
            rows.append((title, number(made[key]) if key == "Seconds" else str(made[key])))
    reference = made.get(REFERENCE)
    if isinstance(reference, dict):
        sources = reference.get("Sources")
        listed = ", ".join(map(str, sources)) if isinstance(sources, list) else ""
        rows.append(("Field estimated from", f"{reference.get('Method', '')} {listed}".strip()))
        receive = reference.get("Receive")
        if isinstance(receive, dict):
            rows.append(("Measured receive field", str(receive.get("Use", ""))))
    for key, title in (("Options", "Options"), ("Software", "Software")):
        if isinstance(made.get(key), dict):
            pairs = (f"{k} {v if isinstance(v, str) else json.dumps(v)}" for k, v in made[key].items())
            rows.append((title, "; ".join(pairs)))
    return rows


def citation(output_dir: Path) -> Markup:
    """Read the dataset's ``CITATION.md`` as HTML."""
    try:
        text = (output_dir / "logs" / "CITATION.md").read_text(encoding="utf-8")
    except OSError:
        text = citations()["CITATION.md"]
    return Markup(as_html(text))


def comparison_context(output_dir: Path, record: Record, rows: list[dict[str, str]]) -> dict[str, Any]:
    """Return the template's variables for an image's comparison, with the rows of its table."""
    # Sorted by region, so that the methods are below each other.
    regions = list(dict.fromkeys(row.get("region", "") for row in rows))
    rows.sort(key=lambda row: regions.index(row.get("region", "")))
    columns = [key for key in COLUMN_BY_NAME if any(row.get(key, "n/a") != "n/a" for row in rows)]
    lines = []
    for i, row in enumerate(rows):
        region = row.get("region", "")
        first = i == 0 or rows[i - 1].get("region", "") != region
        lines.append(
            {
                "region": region if first else "",
                "span": sum(other.get("region", "") == region for other in rows),
                "method": row.get("method", ""),
                "cells": [comparison_cell(key, row.get(key, "n/a")) for key in columns],
            }
        )
    return {
        "columns": [(COLUMN_BY_NAME[key].title, COLUMN_BY_NAME[key].summary) for key in columns],
        "rows": lines,
        "figure": comparison_figure(output_dir, record),
        "table": link(f"{record.folder}/{record.metrics}"),
    }


def comparison_cell(key: str, text: str) -> str:
    """Format a cell of the table for readers.

    Examples
    --------
    >>> comparison_cell("cv", "0.0521"), comparison_cell("voxels", "123456"), comparison_cell("cjv", "n/a")
    ('5.2 %', '123456', '–')
    """  # noqa: RUF002
    try:
        value = float(text)
    except ValueError:
        return ABSENT if text == "n/a" else text
    return percent(value) if COLUMN_BY_NAME[key].percent else number(value)


def comparison_figure(output_dir: Path, record: Record) -> dict[str, Any] | None:
    """Read the comparison's figure, reduced to a size suitable for a page; None if there is none."""
    name = str(record.name.derived("comparison", ".png", mod=record.name.suffix, desc="inu"))
    path = output_dir / record.folder.partition("/")[0] / "figures" / name
    try:
        content = path.read_bytes()
        image = Image.open(io.BytesIO(content))
        kind, size = "image/png", image.size
        if len(content) > MAX_FIGURE_BYTES:
            shown = image.convert("RGB")
            shown.thumbnail((MAX_FIGURE_WIDTH, 10 * MAX_FIGURE_WIDTH))
            content, kind, size = packed(shown, "JPEG", quality=80), "image/jpeg", shown.size
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
