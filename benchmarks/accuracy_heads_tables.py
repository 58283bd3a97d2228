"""Make the means, the tables and the calibration plot of benchmarks/accuracy_heads.py from its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from accuracy_tables import NAMES, Row, mean, number, simple_table, text
from foreign_fields import FOREIGN

METHODS = ("input", "n4", "n4-mask", "n4-simpleitk", "getnet-alone", "getnet")
GROUPS = {"ordinary": ("smooth20", "smooth40", "coil", "bowl"), "smooth10": ("smooth10",), "none": ("none",)}
GROUPS |= {kind: (kind,) for kind in FOREIGN}
"""Groups of fields that are averaged together."""
ALL = "all"
WANTED = (0.7, 1.4)
"""Goal for the standard deviation of the ratio of error to predicted standard deviation."""


def name_of(row: Row) -> str:
    """Return the name of a row's image."""
    part = "s" if row["part"] == "stripped" else ""
    return f"{row['subject']}{part} {row['contrast']} {row['field']}"


def cells(rows: Sequence[Row]) -> Iterator[tuple[dict[str, str], list[Row]]]:
    """Yield the groups to average (set, field, contrast, part and method) and their rows."""
    contrasts, parts, sets = (list(dict.fromkeys(r[c] for r in rows)) for c in ("contrast", "part", "set"))
    fields = [*GROUPS, *dict.fromkeys(r["field"] for r in rows if r["field"] in GROUPS["ordinary"])]
    for one, field, contrast, part, method in product(sets, fields, [*contrasts, ALL], [*parts, ALL], METHODS):
        some = [
            r
            for r in rows
            if (r["set"], r["method"]) == (one, method)
            and r["field"] in GROUPS.get(field, (field,))
            and contrast in (ALL, r["contrast"])
            and part in (ALL, r["part"])
        ]
        if some:
            yield {"set": one, "field": field, "contrast": contrast, "part": part, "method": method}, some


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Average the figures over groups of images.

    Parameters
    ----------
    rows : sequence of dict
        As in accuracy_heads.tsv.

    Returns
    -------
    list of dict
        One for each set, kind of field, contrast, part and method: number of images, means, the worst image by its
        error over the brain, the range of ``kept``, and over all foreground voxels the standard deviation of error
        over predicted standard deviation (``z_sd``; its range over the images beside it).
    """
    out = []
    for group, some in cells(rows):
        worst = max(some, key=lambda r: number(r, "field_brain"))
        kept, z = ([v for v in (number(r, c) for r in some) if not np.isnan(v)] for c in ("kept", "z_sd"))
        line: dict[str, object] = {**group, "images": len(some)}
        line |= {s: mean(number(r, s) for r in some) for s in ("field_brain", "field_head", "slope")}
        line |= {"worst_field_brain": number(worst, "field_brain"), "worst_image": name_of(worst)}
        line |= {"kept": mean(kept), "kept_min": min(kept), "kept_max": max(kept)}
        line |= {"cjv": mean(number(r, "cjv") for r in some)}
        line |= {"z_sd": float(np.sqrt(np.mean(np.square(z)))) if z else float("nan")}
        line |= {"z_sd_min": min(z, default=float("nan")), "z_sd_max": max(z, default=float("nan"))}
        line |= {"z_sd_in_range": sum(WANTED[0] <= v <= WANTED[1] for v in z) if z else float("nan")}
        line |= {"doubtful": sum(r["verdict"] == "doubtful" for r in some)}
        line |= {"seconds": mean(number(r, "seconds") for r in some)}
        out.append({column: text(value) for column, value in line.items()})
    return out


def short(row: Row, column: str, places: int) -> str:
    """Format a number of a summary as .012; empty if there is none."""
    value = number(row, column)
    return (
        "" if np.isnan(value) else f"{value:.{places}f}".replace("0.", ".", 1) if value < 1 else f"{value:.{places}f}"
    )


def as_rst(rows: Sequence[Row]) -> str:
    """Make the README's tables, one for each set."""
    summary, parts = summarise(rows), []
    head = ["field", "", "", "method", "images", "brain", "head", "worst, brain", "kept", "z"]
    for one in dict.fromkeys(r["set"] for r in rows):
        body = []
        for r in (r for r in summary if r["set"] == one and r["field"] in GROUPS):
            if r["field"] != "ordinary" and (r["contrast"], r["part"]) != (ALL, ALL):
                continue
            if (r["part"] == ALL) != (r["contrast"] == ALL):
                continue
            kept = f"{number(r, 'kept_min'):.2f} to {number(r, 'kept_max'):.2f}"
            worst = f"{short(r, 'worst_field_brain', 3)} ({r['worst_image']})"
            errors = [short(r, c, 4) for c in ("field_brain", "field_head")]
            z = "" if r["z_sd"] == "n/a" else short(r, "z_sd", 2)
            body.append(
                [r["field"], r["contrast"], r["part"], NAMES[r["method"]], r["images"], *errors, worst, kept, z]
            )
        parts.append(f"{one}:\n\n{simple_table([head, *body])}")
    return "\n".join(parts)


def draw_calibration(rows: Sequence[Row], path: Path) -> None:
    """Draw each image's actual error against the predicted one, and the distribution of their ratio.

    Parameters
    ----------
    rows : sequence of dict
        As in accuracy_heads.tsv.
    path : Path
        PNG, PDF or SVG.
    """
    from matplotlib.figure import Figure

    rows = [r for r in rows if not np.isnan(number(r, "z_sd"))]
    if not rows:
        return
    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    scatter, spread = figure.subplots(1, 2)
    groups = list(dict.fromkeys((r["set"], r["part"]) for r in rows))
    for i, group in enumerate(groups):
        some = [r for r in rows if (r["set"], r["part"]) == group]
        sd, error, z = ([number(r, c) for r in some] for c in ("sd", "error", "z_sd"))
        label = f"{', '.join(group)}: z {np.sqrt(np.mean(np.square(z))):.2f}"
        scatter.plot(sd, error, "os^Dvp"[i % 6], color=f"C{i}", markersize=4, alpha=0.7, label=label)
        jitter = i + np.linspace(-0.25, 0.25, len(z))
        spread.plot(jitter, sorted(z), "os^Dvp"[i % 6], color=f"C{i}", markersize=3.5, alpha=0.7)
    ends = np.array(scatter.get_xlim())
    ends = np.array([max(ends[0], 1e-4), ends[1]])
    scatter.plot(ends, ends, color="0.3", linewidth=1)
    for factor in WANTED:
        scatter.plot(ends, factor * ends, ":", color="0.3", linewidth=1)
    scatter.set(xscale="log", yscale="log", xlabel="predicted SD of the log field (median over the foreground)")
    scatter.set_ylabel("SD of the log field's error over the foreground")
    figure.legend(loc="outside upper center", ncols=min(2, len(groups)), frameon=False, fontsize=8)
    spread.axhspan(*WANTED, color="0.93")
    spread.set_yscale("log")
    spread.set_yticks([0.25, 0.5, 0.7, 1, 1.4, 2, 4], [".25", ".5", ".7", "1", "1.4", "2", "4"])
    spread.minorticks_off()
    names = ["\n".join([*name.replace(" by ", " by\n").split(", "), part]) for name, part in groups]
    spread.set_xticks(range(len(groups)), names, fontsize=7)
    spread.set_ylabel("SD over an image of error / predicted SD")
    for axis in (scatter, spread):
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
