"""Make the tables and the figure of benchmarks/accuracy.py from its rows."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

Row = dict[str, str]
NAMES = {
    "input": "input",
    "n4": "N4 (defaults)",
    "n4-mask": "N4 (foreground)",
    "n4-brain": "N4 (true brain)",
    "n4-simpleitk": "N4 (SimpleITK)",
    "n4ax": "n4ax",
    "getnet-alone": "GetNet alone",
    "getnet": "GetNet",
}
GROUPS = {"ordinary": ("smooth20", "smooth40", "coil"), "strong": ("smooth80", "steep"), "none": ("none",)}
ALL = "all"
MEANS = (
    *("field_brain", "field_head", "slope", "mae_CSF", "mae_GM", "mae_WM", "mae_head", "cv_GM", "cv_WM", "cjv"),
    *("roughness", "roughness_truth", "field_cv", "second_cv", "seconds"),
)
RATIOS = ("field_brain", "field_head")
SUMMARY = (
    *("contrast", "field", "noise", "method", "images", *MEANS),
    *(f"{kind}_{score}" for score in RATIOS for kind in ("to_n4", "worst_to_n4", "worst_to_input")),
)
COLOURS = {
    "input": "0.6",
    "n4": "#e08214",
    "n4-mask": "#8c510a",
    "n4-brain": "#bf812d",
    "n4-simpleitk": "#fee0b6",
    "n4ax": "#fdb863",
    "getnet-alone": "#92c5de",
    "getnet": "#2166ac",
}
MARKERS = {
    "input": "_",
    "n4": "s",
    "n4-mask": "D",
    "n4-brain": "P",
    "n4-simpleitk": "X",
    "n4ax": "^",
    "getnet-alone": "v",
    "getnet": "o",
}


def number(row: Row, column: str) -> float:
    """Return a cell as a number, NaN if there is none."""
    return float("nan") if row[column] == "n/a" else float(row[column])


def image_of(row: Row) -> tuple[str, ...]:
    """Return the key of a row's image."""
    return row["subject"], row["contrast"], row["field"], row["noise"], row["seed"]


def mean(values: Iterable[float]) -> float:
    """Compute the mean of the numbers among the values; NaN if there are none."""
    found = [v for v in values if not np.isnan(v)]
    return float(np.mean(found)) if found else float("nan")


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Average the rows of each contrast, field and method, and of groups of them.

    Parameters
    ----------
    rows : sequence of dict
        As in accuracy_images.tsv.

    Returns
    -------
    list of dict
        Columns `SUMMARY`. ``to_n4`` is the mean over N4's (defaults), ``worst_to_n4`` the largest of the images' own
        ratios, over the images that both have.
    """
    summary = []
    for contrasts, fields, noise in cells(rows):
        some = [r for r in rows if r["contrast"] in contrasts[1] and r["field"] in fields[1] and r["noise"] == noise]
        by_method = {m: {image_of(r): r for r in some if r["method"] == m} for m in NAMES}
        for method, own in by_method.items():
            if not own:
                continue
            line: dict[str, Any] = {"contrast": contrasts[0], "field": fields[0], "noise": noise, "method": method}
            line |= {"images": len(own), **{s: mean(number(r, s) for r in own.values()) for s in MEANS}}
            for score in RATIOS:
                for other in ("n4", "input"):
                    both = [(number(own[i], score), number(r, score)) for i, r in by_method[other].items() if i in own]
                    pairs = np.array([p for p in both if p[1] > 0]).reshape(-1, 2)
                    if len(pairs):
                        line[f"worst_to_{other}_{score}"] = float((pairs[:, 0] / pairs[:, 1]).max())
                        line[f"to_{other}_{score}"] = float(pairs[:, 0].mean() / pairs[:, 1].mean())
            summary.append({column: text(line.get(column)) for column in SUMMARY})
    return summary


def cells(rows: Sequence[Row]) -> list[tuple[tuple[str, tuple], tuple[str, tuple], str]]:
    """List the groups to average: names and members of contrasts and fields, and the noise."""

    def values(column: str) -> list[str]:
        return list(dict.fromkeys(r[column] for r in rows))

    contrasts = [(c, (c,)) for c in values("contrast")]
    contrasts += [(ALL, tuple(values("contrast")))] if len(contrasts) > 1 else []
    fields = [(f, (f,)) for f in values("field")]
    fields += [g for g in GROUPS.items() if len(g[1]) > 1 and set(g[1]) & set(values("field"))]
    return [(c, f, n) for n in values("noise") for c in contrasts for f in fields]


def text(value: Any) -> str:
    """Format a cell."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "n/a"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def read(path: Path) -> list[Row]:
    """Read a table."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def write(rows: Sequence[Row], path: Path) -> None:
    """Write a table, unless it has no rows."""
    if rows:
        with open(path, "w", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
            table.writeheader()
            table.writerows(rows)


def as_rst(summary: Sequence[Row]) -> str:
    """Make the README's tables of a summary."""
    parts = []
    for noise in dict.fromkeys(r["noise"] for r in summary):
        some = [r for r in summary if r["noise"] == noise]
        for group, columns in TABLES.items():
            lines = [r for r in some if r["field"] == group]
            if lines:
                title = f"{TITLES[group]}; noise {float(noise):.0%}:"
                body = [[r["contrast"], NAMES[r["method"]], *(cell(r) for _, cell in columns)] for r in lines]
                parts.append(f"{title}\n\n{simple_table([['', 'method', *(name for name, _ in columns)], *body])}")
    return "\n".join(parts)


def decimals(column: str, places: int = 3) -> Callable[[Row], str]:
    """Make a function that formats a column's number as .012."""

    def cell(row: Row) -> str:
        value = number(row, column)
        return "" if np.isnan(value) else f"{value:.{places}f}".replace("0.", ".", 1) if value < 1 else f"{value:.2f}"

    return cell


def percent(column: str) -> Callable[[Row], str]:
    """Make a function that formats a column's number in per cent."""

    def cell(row: Row) -> str:
        value = number(row, column)
        return "" if np.isnan(value) else f"{100 * value:.1f} %"

    return cell


def to_n4(kind: str) -> Callable[[Row], str]:
    """Make a function that formats errors relative to N4's, brain / head, if there are any."""

    def cell(row: Row) -> str:
        both = [decimals(f"{kind}_{score}", 2)(row) for score in RATIOS]
        return " / ".join(both) if all(both) else ""

    return cell


FIELD_COLUMNS = [
    ("images", lambda row: row["images"]),
    ("brain", decimals("field_brain", 4)),
    ("head", decimals("field_head", 4)),
    ("slope", decimals("slope", 2)),
    ("of N4's", to_n4("to_n4")),
    ("worst", to_n4("worst_to_n4")),
    ("rough", percent("roughness")),
]
TABLES = {
    "ordinary": [
        *FIELD_COLUMNS,
        *((f"MAE {name}", decimals(f"mae_{name}")) for name in ("CSF", "GM", "WM", "head")),
        ("CV GM", decimals("cv_GM")),
        ("CV WM", decimals("cv_WM")),
        ("CJV", decimals("cjv")),
        ("s", lambda row: f"{number(row, 'seconds'):.0f}"),
    ],
    "strong": FIELD_COLUMNS,
    "none": [
        ("images", lambda row: row["images"]),
        ("field's CV", percent("field_cv")),
        ("second field's CV", percent("second_cv")),
        ("CJV", decimals("cjv")),
    ],
}
TITLES = {
    "ordinary": "Fields smooth20, smooth40 and coil",
    "strong": "Fields smooth80 and steep",
    "none": "No field",
}


def simple_table(rows: Sequence[Sequence[str]]) -> str:
    r"""Format rows, of which the first is the header, as a simple table in reStructuredText.

    Examples
    --------
    >>> print(simple_table([["", "a"], ["x", ""]]))
    ==  ==
    \   a
    ==  ==
    x   \
    ==  ==
    <BLANKLINE>
    """
    full = [[cell or "\\" for cell in row] for row in rows]
    widths = [max(2, *(len(row[i]) for row in full)) for i in range(len(full[0]))]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in full]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule, ""])


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw each image's field error and the means over brain and head, with a panel for each contrast.

    Parameters
    ----------
    rows : sequence of dict
        As in accuracy_images.tsv.
    path : Path
        PNG, PDF or SVG.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    rows = [r for r in rows if r["field"] != "none"]
    contrasts, fields = (list(dict.fromkeys(r[c] for r in rows)) for c in ("contrast", "field"))
    methods = [m for m in NAMES if any(r["method"] == m for r in rows)]
    found: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for r in rows:
        found[r["contrast"], r["field"], r["method"]].append(r)
    figure = Figure(figsize=(2 + 0.8 * len(fields) * len(contrasts), 7), layout="constrained")
    axes = figure.subplots(2, len(contrasts), squeeze=False, sharex=True, sharey="row")
    for column, contrast in enumerate(contrasts):
        for line, (score, region) in enumerate(zip(RATIOS, ("brain", "head"), strict=True)):
            ax = axes[line, column]
            for (i, method), (x, field) in product(enumerate(methods), enumerate(fields)):
                y = [number(r, score) for r in found[contrast, field, method]]
                if y:
                    at = x + (i - (len(methods) - 1) / 2) * 0.75 / len(methods)
                    look = {"color": COLOURS[method], "clip_on": False}
                    ax.plot([at] * len(y), y, ".", markersize=3.5, alpha=0.6, **look)
                    ax.plot(at, np.mean(y), MARKERS[method], markersize=7, markeredgewidth=1.5, **look)
            ax.set_yscale("log")
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
            ax.yaxis.set_minor_locator(NullLocator())
            ax.grid(axis="y", color="0.88", linewidth=0.6)
            for x in range(1, len(fields)):
                ax.axvline(x - 0.5, color="0.88", linewidth=0.6)
            ax.set_axisbelow(True)
            ax.spines[["top", "right"]].set_visible(False)
            ax.set_xticks(range(len(fields)), fields)
            ax.tick_params(axis="x", length=0)
            if line == 0:
                ax.set_title(contrast)
            if column == 0:
                ax.set_ylabel(f"field error over the {region} (SD of log)")
    handles = [
        Line2D([], [], color=COLOURS[m], marker=MARKERS[m], markeredgewidth=1.5, linestyle="", label=NAMES[m])
        for m in methods
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(methods), frameon=False)
    figure.savefig(path, dpi=150)
