"""What accuracy_heads.py and accuracy_labels.py share: their command line, and a table of what has been measured."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from accuracy_tables import Row, read, text, write


def make_parser(description: str | None, datasets: str, methods: Iterable[str], table: str) -> argparse.ArgumentParser:
    """Make the parser of the options that both have.

    Parameters
    ----------
    description : str
        Of the benchmark.
    datasets : str
        What the datasets are of.
    methods : iterable of str
        That can be chosen.
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
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of what is written")
    parser.add_argument("--table", type=Path, metavar="FILE", help=f"print a {table} as RST, no more")
    return parser


def parse(
    parser: argparse.ArgumentParser, argv: list[str] | None, as_rst: Callable[[Sequence[Row]], str]
) -> argparse.Namespace | None:
    """Read the command line; print the table that ``--table`` names and return None if there is one."""
    args = parser.parse_args(argv)
    if args.table:
        print(as_rst(read(args.table)))
        return None
    if args.out is None or not args.bids:
        parser.error("name a dataset and --out")
    return args


class Measured:
    """Rows that have been measured, in a file that is written anew with each of them.

    Parameters
    ----------
    table : Path
        Read if it is there.
    key : sequence of str
        Columns that tell what was measured; the last, the fingerprint, by which version of the method.
    scores : sequence of str
        The other columns.
    """

    def __init__(self, table: Path, key: Sequence[str], scores: Sequence[str]) -> None:
        self.table, self.key, self.scores = table, key, scores
        self.rows: list[Row] = read(table) if table.exists() else []

    def __contains__(self, key: tuple[str, ...]) -> bool:
        """Whether this has been measured, by this version."""
        return any(tuple(row[k] for k in self.key) == key for row in self.rows)

    def add(self, key: tuple[str, ...], scores: Mapping[str, object]) -> None:
        """Put a row in the place of those of other weights, options or code."""
        self.rows = [row for row in self.rows if tuple(row[k] for k in self.key[:-1]) != key[:-1]]
        self.rows.append(dict(zip(self.key, key, strict=True)) | {s: text(scores.get(s)) for s in self.scores})
        write(self.rows, self.table)
