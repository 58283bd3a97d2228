"""What needs no correction stays as it is, within the limits that benchmarks/reliability.py is held to."""

from __future__ import annotations

from reliability_harm import GOAL, of_synthetic


def test_no_field_and_a_second_time():
    figures = {what: value for what, _, value, _ in of_synthetic(2.0)}
    assert len(figures) == 2
    assert all(0 < value <= GOAL for value in figures.values()), figures
