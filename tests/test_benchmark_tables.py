"""The tables in benchmarks/README.rst and README.rst are those of the TSV files beside them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import accuracy_heads_tables
import accuracy_labels
import accuracy_tables
import pytest
import series

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
TABLE = re.compile(r"^(=+ [= ]*\n.*\n=+ [= ]*\n(?:.+\n)*=+ [= ]*\n)", re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "as_rst"),
    [
        ("accuracy.tsv", accuracy_tables.as_rst),
        ("accuracy_heads.tsv", accuracy_heads_tables.as_rst),
        ("accuracy_labels.tsv", accuracy_labels.as_rst),
        ("series.tsv", series.as_rst),
    ],
)
def test_the_benchmarks_readme_has_the_tables_as_they_are_made(name: str, as_rst: Callable[[list], str]) -> None:
    text = (BENCHMARKS / "README.rst").read_text()
    tables = TABLE.findall(as_rst(accuracy_tables.read(BENCHMARKS / name)))
    assert tables
    for table in tables:
        assert table in text, f"python -m benchmarks ... --table benchmarks/{name} prints another table:\n{table}"


def test_the_page_on_series_has_these_figures() -> None:
    rows = accuracy_tables.read(BENCHMARKS / "series.tsv")
    error = {(row["image"], row["method"]): f"{float(row['error']):.3f}".lstrip("0") for row in rows}
    text = " ".join((ROOT / "docs" / "series.rst").read_text().split())
    said = {
        "phantom, noise 3 %": "{getnet} at 3 % noise (N4: {n4-mrtrix} and {n4-fmriprep})",
        "phantom, noise 5 %": "{getnet} at 5 % noise ({n4-mrtrix} and {n4-fmriprep})",
        "phantom, ghost 5 %": "{getnet} with a ghost of 5 % ({n4-mrtrix} and {n4-fmriprep})",
        "sub-bzero_dwi": "{getnet} is missed without a mask and {getnet-mask} with one: {getnet %} and "
        "{getnet-mask %} % (N4: {n4-mrtrix} and {n4-fmriprep}, {n4-mrtrix %} and {n4-fmriprep %} %)",
    }
    for image, words in said.items():
        of_image = {row["method"]: float(row["error"]) for row in rows if row["image"] == image}
        whole = of_image["input"]
        shares = {f"{method} %": f"{value / whole:.0%}".rstrip("%") for method, value in of_image.items()}
        figures = {method: value for (of, method), value in error.items() if of == image}
        sentence = words.format(**figures, **shares)
        assert sentence in text, f"series.tsv says: {sentence}"


METHODS = {
    "uncorrected": "input",
    "N4 (antspyx, defaults)": "n4",
    "N4, told the true brain": "n4-brain",
    "N4 (SimpleITK)": "n4-simpleitk",
    "GetNet alone (``--no-refine``)": "getnet-alone",
    "getnet_bids": "getnet",
}
"""The README's names of methods."""
PAPER = {"N4 (antspyx, defaults)": "N4, defaults", "GetNet alone (``--no-refine``)": "GetNet alone"}
"""Those of the paper that differ."""


def figures(name: str, wanted: dict[str, str], columns: list[str]) -> dict[str, list[str]]:
    """Return the figures of each method in a table of means, as they are printed."""
    rows = accuracy_tables.read(BENCHMARKS / name)
    some = [row for row in rows if all(row[column] == value for column, value in wanted.items())]
    return {
        row["method"]: [
            f"{float(row[column]):.{2 if column in ('kept', 'cjv') else 3}f}".lstrip("0") for column in columns
        ]
        for row in some
    }


def shown() -> list[tuple[str, dict[str, list[str]], dict[str, list[str]]]]:
    """List the tables of README and paper: what of, the README's figures by method, and the paper's."""
    places = ["field_brain", "field_head"]
    some = {"set": "heads, with N4", "field": "ordinary", "part": "all"}
    heads = [figures("accuracy_heads_means.tsv", some | {"contrast": c}, places) for c in ("T1w", "T2w", "PDw")]
    both = {method: [figure for one in heads for figure in one[method]] for method in heads[0]}
    scans = figures("accuracy_labels_means.tsv", {"scans": "manual labels"}, ["labels", "kept", "cjv"])
    flat = figures("accuracy.tsv", {"contrast": "T1w", "field": "ordinary", "noise": "0.03"}, places)
    return [
        ("heads", both, {method: row[::2] for method, row in both.items()}),
        ("scans", scans, {method: [row[0], row[2]] for method, row in scans.items()}),
        ("flat heads", flat, flat),
    ]


@pytest.mark.parametrize(
    ("name", "readme", "paper"), shown(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_readme_and_paper_have_these_figures(name: str, readme: dict, paper: dict) -> None:
    lines = [" ".join(line.split()) for line in (ROOT / "README.rst").read_text().splitlines()]
    cells = (ROOT / "paper" / "paper.md").read_text().splitlines()
    tried = 0
    for label, method in METHODS.items():
        if method in readme:
            tried += 1
            assert " ".join([label, *readme[method]]) in lines, name
            assert f"| {' | '.join([PAPER.get(label, label), *paper[method]])} |" in cells, name
    assert tried >= 3


IN_TABLE_1 = {
    "uncorrected": "Gain",
    "N4, tuned": "N4 tuned",
    "GetNet alone (``--no-refine``)": "GetNet",
    "getnet_bids": "getnet_bids",
}
"""The README's names of the methods in the paper's Table 1."""


def table_1(noise: str, scale: str) -> dict[str, str]:
    """Return the figures of each method in a block of table1.tsv, as they are printed."""
    rows = accuracy_tables.read(BENCHMARKS / "table1.tsv")
    return {
        row["method"]: " ".join(f"{float(row[c]):.3f}".lstrip("0") for c in ("entire image", "CSF", "GM", "WM"))
        for row in rows
        if (row["noise"], row["scale"]) == (noise, scale)
    }


def lines_of(path: Path) -> list[str]:
    """Return a file's lines with single spaces."""
    return [" ".join(line.split()) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(("noise", "scale"), [("0", "best scale"), ("0.03", "best scale"), ("0", "as is")])
def test_the_benchmarks_readme_has_table_1(noise: str, scale: str) -> None:
    figures = table_1(noise, scale)
    assert len(figures) == 7
    lines = lines_of(BENCHMARKS / "README.rst")
    for method, printed in figures.items():
        assert any(line.startswith(f"{method} {printed}") for line in lines), method


def test_the_readme_has_table_1() -> None:
    lines, figures = lines_of(ROOT / "README.rst"), table_1("0", "best scale")
    for label, method in IN_TABLE_1.items():
        assert f"{label} {figures[method]}" in lines


@pytest.mark.parametrize("name", ["accuracy_heads", "accuracy_labels"])
def test_means_are_those_of_the_rows(name: str) -> None:
    rows = accuracy_tables.read(BENCHMARKS / f"{name}.tsv")
    summarise = accuracy_heads_tables.summarise if name == "accuracy_heads" else accuracy_labels.summarise
    assert summarise(rows) == accuracy_tables.read(BENCHMARKS / f"{name}_means.tsv")
