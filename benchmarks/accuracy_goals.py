"""The goals for corrections, and whether the rows of benchmarks/accuracy.py meet them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from accuracy_tables import GROUPS, Row, image_of, mean, number

TISSUE_SCORES = ("mae_CSF", "mae_GM", "mae_WM", "cjv")


def goals(rows: Sequence[Row]) -> Iterator[str]:
    """Compare GetNet with N4's defaults and with the goals.

    Parameters
    ----------
    rows : sequence of dict
        As in accuracy_images.tsv.

    Yields
    ------
    str
        A line for each goal: whether it is met, what it is, and the value. Goals relative to N4 need rows of N4.
    """
    ordinary, strong = (pairs(rows, GROUPS[group]) for group in ("ordinary", "strong"))
    alone, default = ordinary["getnet-alone"], ordinary["getnet"]
    for score in ("field_brain", "field_head"):
        yield verdict(f"GetNet alone, mean {score} over N4's", ratio(alone, score), high=1.0)
    yield verdict("GetNet alone, mean slope", slope(alone), low=0.95, high=1.05)
    for score, most in (("field_brain", 0.6), ("field_head", 0.5)):
        yield verdict(f"GetNet, mean {score} over N4's", ratio(default, score), high=most)
        yield verdict(f"GetNet, worst image's {score} over N4's", worst(default, score), high=1.0)
    yield verdict("GetNet, mean slope", slope(default), low=0.97, high=1.03)
    for score in TISSUE_SCORES:
        yield verdict(f"GetNet, mean {score} over N4's", ratio(default, score), high=1.0)
    for score in ("field_brain", "field_head"):
        yield verdict(f"GetNet, strong fields, mean {score} over N4's", ratio(strong["getnet"], score), high=0.5)
    ours = [r for r in rows if r["method"] == "getnet"]
    unharmed = [number(r, "field_cv") for r in ours if r["field"] in GROUPS["none"]]
    yield verdict("GetNet, no field: largest CV of what it finds", max(unharmed, default=np.nan), high=0.01)
    twice = [number(r, "second_cv") for r in ours]
    yield verdict("GetNet, largest CV of the second pass's field", max(twice, default=np.nan), high=0.01)


def pairs(rows: Sequence[Row], fields: tuple[str, ...]) -> dict[str, list[tuple[Row, Row]]]:
    """Return each method's rows of some fields, each with N4's of the same image."""
    some = [r for r in rows if r["field"] in fields]
    n4 = {image_of(r): r for r in some if r["method"] == "n4"}
    return {
        method: [(r, n4[image_of(r)]) for r in some if r["method"] == method and image_of(r) in n4]
        for method in ("getnet-alone", "getnet")
    }


def ratio(both: list[tuple[Row, Row]], score: str) -> float:
    """Return the ratio of a score's mean to N4's mean."""
    return mean(number(a, score) for a, _ in both) / mean(number(b, score) for _, b in both)


def worst(both: list[tuple[Row, Row]], score: str) -> float:
    """Return the largest ratio of any image."""
    return max((number(a, score) / number(b, score) for a, b in both), default=np.nan)


def slope(both: list[tuple[Row, Row]]) -> float:
    """Mean slope."""
    return mean(number(a, "slope") for a, _ in both)


def verdict(what: str, value: float, high: float, low: float = -np.inf) -> str:
    """Format the line of a goal."""
    wanted = f"at most {high:g}" if np.isinf(low) else f"{low:g} to {high:g}"
    met = "not measured" if np.isnan(value) else "met" if low <= value <= high else "NOT MET"
    return f"{met:12}  {what}: {value:.3f} (wanted: {wanted})"
