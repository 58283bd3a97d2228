"""What people really feed it: each kind of image has its error and its verdict, and none is left worse than it was."""

from __future__ import annotations

import odd_inputs
import pytest

from tests.datasets import read_table

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
    rows = read_table(odd_inputs.TABLE)
    assert [(row["kind"], row["case"]) for row in rows] == [(case.kind, case.name) for case in CASES]
    for row, case in zip(rows, CASES, strict=True):
        assert row["verdict"] in case.verdicts
