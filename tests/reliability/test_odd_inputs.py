"""What people really feed it: each kind of image has its error and its verdict, and none is left worse than it was."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import odd_inputs  # noqa: E402

CASES = list(odd_inputs.cases())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_error_and_verdict(case):
    row = case.correct()
    assert row["verdict"] in case.verdicts, row
    if row["verdict"] == "refused":
        return
    assert float(row["error"]) <= min(case.bound, max(case.uncorrected, 0.02)), row
    assert bool(row["said"]) == (row["verdict"] == "doubtful")


def test_the_table_is_of_these_cases():
    with open(odd_inputs.TABLE, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [(row["kind"], row["case"]) for row in rows] == [(case.kind, case.name) for case in CASES]
    for row, case in zip(rows, CASES, strict=True):
        assert row["verdict"] in case.verdicts
