"""What must not change a field, what it does where there is nothing to correct, and a long run with bad images.

    python benchmarks/reliability.py [--brainweb DIR] [--only invariances harm soak] [--images 2000] [--out benchmarks]

DIR holds BrainWeb's anatomical models, subjectNN_crisp_v.mnc.gz; without it a synthetic head alone is measured. Writes
reliability.tsv, and reliability.png of the long run. Sections that are not run keep the rows that the table has. What
is measured: benchmarks/README.rst. About an hour on one core.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import reliability_harm as harm_of
import reliability_soak
from reliability_heads import Subject, brainweb, synthetic
from reliability_invariances import INVARIANCES

from getnet_bids.training.evaluation.brainweb import CONTRASTS

HERE = Path(__file__).resolve().parent
HEADER = ("section", "what", "image", "value", "goal", "unit")
Row = tuple[str, ...]
HEADS = (("04", "T1w", "smooth40"), ("20", "T1w", "coil"), ("20", "T2w", "coil"), ("41", "PDw", "coil"))
FLAT = 5.0
"""Most that memory may grow, MB in 1,000 images: ten thousand take a seventh more at the end than at the beginning."""


def row(section: str, what: str, image: str, value: float, goal: float | None, unit: str) -> Row:
    """Make a row, and print it."""
    made = (section, what, image, f"{value:.3g}", "n/a" if goal is None else f"{goal:g}", unit)
    missed = "  MISSED" if goal is not None and value > goal else ""
    print(f"{section:<12}{what:<54}{image:<18}{made[3]:>9}{made[4]:>8} {unit}{missed}", flush=True)
    return made


def percent(section: str, what: str, image: str, value: float, goal: float | None) -> Row:
    """Make a row of a share of 1."""
    return row(section, what, image, 100 * value, None if goal is None else 100 * goal, "%")


def invariances(models: Path | None) -> Iterator[Row]:
    """Measure what changes a field that should not."""
    for subject in subjects(models):
        for invariance in INVARIANCES:
            found = invariance.measure(subject)
            figures = {"SD": found.spread, "greatest": found.most, "SD over the brain": found.brain}
            for name, value in figures.items():
                yield percent("invariances", f"{invariance.name}: {name}", subject.name, value, invariance.goal)


def subjects(models: Path | None) -> Iterator[Subject]:
    """Give the heads, one after the other."""
    yield synthetic()
    for case in HEADS if models else ():
        assert models is not None
        yield brainweb(models, *case)


def harm(models: Path | None) -> Iterator[Row]:
    """Measure what is done to images that need no correction."""
    figures = [harm_of.of_synthetic()]
    if models:
        figures += [harm_of.of_heads(models, CONTRASTS), harm_of.of_n4(models)]
    for some in figures:
        for figure in some:
            yield percent("harm", *figure)


def soak(count: int, picture: Path) -> Iterator[Row]:
    """Do a long run, and draw it."""
    with tempfile.TemporaryDirectory() as folder:
        done = reliability_soak.run(Path(folder), count)
    reliability_soak.draw(done, picture)
    for what in done.wrong:
        print(what, file=sys.stderr)
    name, memory = f"{count} images", [sample[1] for sample in done.samples]
    yield row("soak", "bad images", name, done.bad, None, "images")
    yield row("soak", "good images wrong, bad ones without a reason", name, len(done.wrong), 0, "images")
    yield row("soak", "exit code", name, done.code, 1, "")
    yield row("soak", "time", name, done.seconds, None, "s")
    yield row("soak", "most memory", name, max(memory), None, "MB")
    yield row("soak", "growth of memory", name, done.slope(1), FLAT, "MB / 1,000 images")
    yield row("soak", "most open file handles", name, max(sample[2] for sample in done.samples), None, "handles")
    yield row("soak", "growth of open file handles", name, done.slope(2), 0.5, "handles / 1,000 images")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brainweb", type=Path, metavar="DIR", help="folder of subjectNN_crisp_v.mnc.gz files")
    sections = ("invariances", "harm", "soak")
    parser.add_argument("--only", nargs="+", choices=sections, default=sections, metavar="SECTION", help=str(sections))
    parser.add_argument("--images", type=int, default=2000, help="of the long run [%(default)s]")
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR", help="where the results are written")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    table = args.out / "reliability.tsv"
    for name in sections:
        if name in args.only:
            measured = {
                "invariances": lambda: invariances(args.brainweb),
                "harm": lambda: harm(args.brainweb),
                "soak": lambda: soak(args.images, args.out / "reliability.png"),
            }[name]()
            write(table, name, list(measured), sections)


def write(table: Path, section: str, rows: list[Row], order: tuple[str, ...]) -> None:
    """Put the rows of a section into the table, in the place of those that it has."""
    kept: list[Row] = []
    if table.exists():
        with open(table, newline="", encoding="utf-8") as file:
            kept = [tuple(old) for old in list(csv.reader(file, delimiter="\t"))[1:] if old[0] != section]
    content = sorted([*kept, *rows], key=lambda one: order.index(one[0]))
    with open(table, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows([HEADER, *content])


if __name__ == "__main__":
    main()
