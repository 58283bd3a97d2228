"""Common parts of accuracy_heads.py and accuracy_labels.py: the command line, and the table of measurements."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from accuracy_tables import Row, read, text, write


class Arguments:
    """The values of the common options."""

    bids: list[Path]
    methods: list[str]
    weights: Path | None
    out: Path
    table: Path | None


Given = TypeVar("Given", bound=Arguments)


def make_parser(description: str | None, datasets: str, methods: Iterable[str], table: str) -> argparse.ArgumentParser:
    """Make the parser of the common options.

    Parameters
    ----------
    description : str
        Description of the benchmark.
    datasets : str
        Description of the datasets' content.
    methods : iterable of str
        Methods to choose from.
    table : str
        Name of the table.

    Returns
    -------
    ArgumentParser
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bids", type=Path, nargs="*", metavar="BIDS", help=f"datasets of {datasets}")
    parser.add_argument("--methods", nargs="+", default=["input", "getnet-alone", "getnet"], choices=list(methods))
    parser.add_argument("--weights", type=Path, metavar="FILE", help="safetensors [the package's]")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the results")
    parser.add_argument("--table", type=Path, metavar="FILE", help=f"only print a {table} as RST")
    return parser


def parse(
    parser: argparse.ArgumentParser, argv: list[str] | None, given: Given, as_rst: Callable[[Sequence[Row]], str]
) -> Given | None:
    """Read the command line into `given`; with ``--table``, print that table and return None."""
    args = parser.parse_args(argv, given)
    if args.table:
        print(as_rst(read(args.table)))
        return None
    if args.out is None or not args.bids:
        parser.error("name a dataset and --out")
    return args


class Measured:
    """The rows of all measurements, in a file that is rewritten after each.

    Parameters
    ----------
    table : Path
        Read if it exists.
    key : sequence of str
        Columns that identify a measurement; the last is the fingerprint of the method's version.
    scores : sequence of str
        The other columns.
    """

    def __init__(self, table: Path, key: Sequence[str], scores: Sequence[str]) -> None:
        self.table, self.key, self.scores = table, key, scores
        self.rows: list[Row] = read(table) if table.exists() else []

    def __contains__(self, key: tuple[str, ...]) -> bool:
        """Return whether this has been measured with this version."""
        return any(tuple(row[k] for k in self.key) == key for row in self.rows)

    def add(self, key: tuple[str, ...], scores: Mapping[str, object]) -> None:
        """Add a row, replacing those of other weights, options or code."""
        self.rows = [row for row in self.rows if tuple(row[k] for k in self.key[:-1]) != key[:-1]]
        self.rows.append(dict(zip(self.key, key, strict=True)) | {s: text(scores.get(s)) for s in self.scores})
        write(self.rows, self.table)
