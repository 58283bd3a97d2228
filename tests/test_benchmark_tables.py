"""The tables in benchmarks/README.rst and README.rst are those of the TSV files beside them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import accuracy_heads_tables
import accuracy_labels
import accuracy_tables
import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
TABLE = re.compile(r"^(=+ [= ]*\n.*\n=+ [= ]*\n(?:.+\n)*=+ [= ]*\n)", re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "as_rst"),
    [
        ("accuracy.tsv", accuracy_tables.as_rst),
        ("accuracy_heads.tsv", accuracy_heads_tables.as_rst),
        ("accuracy_labels.tsv", accuracy_labels.as_rst),
    ],
)
def test_the_benchmarks_readme_has_the_tables_as_they_are_made(name: str, as_rst: Callable[[list], str]) -> None:
    text = (BENCHMARKS / "README.rst").read_text()
    tables = TABLE.findall(as_rst(accuracy_tables.read(BENCHMARKS / name)))
    assert tables
    for table in tables:
        assert table in text, f"python -m benchmarks ... --table benchmarks/{name} prints another table:\n{table}"


@pytest.mark.parametrize("name", ["accuracy_heads", "accuracy_labels"])
def test_means_are_those_of_the_rows(name: str) -> None:
    rows = accuracy_tables.read(BENCHMARKS / f"{name}.tsv")
    summarise = accuracy_heads_tables.summarise if name == "accuracy_heads" else accuracy_labels.summarise
    assert summarise(rows) == accuracy_tables.read(BENCHMARKS / f"{name}_means.tsv")
