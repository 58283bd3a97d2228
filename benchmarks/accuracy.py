"""Measure the accuracy of corrections on simulated heads with a known field, and on real images if there are any.

    python benchmarks/accuracy.py --brainweb DIR --out DIR [--bids DATASET ...] [--jobs 2] [--tables benchmarks]
    python benchmarks/accuracy.py --table benchmarks/accuracy.tsv

DIR contains BrainWeb's anatomical models, subjectNN_crisp_v.mnc.gz. Every image is corrected by every method and
compared with the truth. Measurements are kept in OUT/accuracy_rows.tsv, and are only repeated if the weights, the
options or GetNet's code have changed. The results are accuracy.tsv (means), accuracy_images.tsv and accuracy.png. The
second form prints the tables of the README. benchmarks/README.rst defines the measures.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import astuple, dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from accuracy_goals import goals
from accuracy_methods import Method, make_methods, missing
from accuracy_tables import NAMES, Row, as_rst, draw, read, summarise, text, write
from label_field import HALF_WAVE
from tqdm import tqdm

from getnet_bids.core import metrics
from getnet_bids.training.evaluation.brainweb import (
    CONTRASTS,
    FIELDS,
    TISSUES,
    VOXEL,
    Head,
    Volume,
    gain_field,
    hashed,
    read_heads,
    shaded,
)

ROWS = "accuracy_rows.tsv"
KEY = ("subject", "contrast", "field", "noise", "seed", "method", "fingerprint")
ANY = "any"
"""Text in place of a fingerprint."""
SCORES = (
    *("field_brain", "field_head", "slope"),
    *(f"mae_{region}" for region in (*TISSUES, "head")),
    *("cv_GM", "cv_WM", "cjv", "roughness", "roughness_truth", "field_cv", "second_cv", "seconds"),
)


class Arguments:
    """The values of the command line."""

    brainweb: Path
    bids: list[Path]
    subjects: list[str]
    contrasts: list[str]
    fields: list[str]
    noise: list[float]
    seed: int
    methods: list[str]
    reuse: list[str]
    weights: Path | None
    device: str
    jobs: int
    out: Path
    tables: Path | None
    table: Path | None


@dataclass(frozen=True)
class Case:
    """A simulated image: its subject and contrast, and its field and noise."""

    subject: str
    contrast: str
    field: str
    noise: float
    seed: int

    def simulate(self, models: Path) -> tuple[Head, Volume, Volume]:
        """Return the head, its bias field, and the image."""
        heads = heads_of(model(models, self.subject))
        seed = [self.seed, int(self.subject)]
        head = heads[self.contrast]
        # One mask for all contrasts, so that they share the field.
        gain = gain_field(self.field, heads[CONTRASTS[0]].head, seed)
        return head, gain, shaded(head, gain, self.noise, [*seed, hashed(self.field), hashed(self.contrast)])


def model(models: Path, subject: str) -> Path:
    """Return the path of a subject's anatomical model."""
    return models / f"subject{subject}_crisp_v.mnc.gz"


@lru_cache(maxsize=1)
def heads_of(path: Path) -> dict[str, Head]:
    """Read a model in all contrasts; the last one is cached."""
    return read_heads(path, CONTRASTS)


def scores(head: Head, truth: Volume, image: Volume, field: Volume) -> dict[str, float]:
    """Measure an estimated field and the image that it corrects."""
    where, brain = head.head, head.brain
    corrected = image / field
    corrected = corrected * metrics.best_scale(corrected, head.original, where)
    gray, white = head.pure("GM"), head.pure("WM")
    out = {
        "field_brain": metrics.field_error(field, truth, brain),
        "field_head": metrics.field_error(field, truth, where),
        "slope": metrics.slope(field, truth, where) if truth.std() > 0 else np.nan,
        "cv_GM": metrics.cv(corrected, gray),
        "cv_WM": metrics.cv(corrected, white),
        "cjv": metrics.cjv(corrected, gray, white),
        "roughness": metrics.roughness(field, VOXEL, HALF_WAVE, where),
        "roughness_truth": metrics.roughness(truth, VOXEL, HALF_WAVE, where),
        "field_cv": metrics.cv(field, brain),
    }
    for name, region in ({tissue: head.pure(tissue) for tissue in TISSUES} | {"head": where}).items():
        out[f"mae_{name}"] = metrics.relative_mae(corrected, head.original, region, scale="none")
    return out


def measure(case: Case, methods: dict[str, Method], models: Path, rows: Path) -> Case:
    """Correct an image by the given methods, and append a row after each."""
    head, truth, image = case.simulate(models)
    for name, method in methods.items():
        if key_of(case, name, method) in read_rows(rows):
            continue  # by another run at the same time
        began = time.process_time()
        field = method.run(image, VOXEL, *([head.brain] if method.needs_brain else []))
        seconds = time.process_time() - began
        found = scores(head, truth, image, field) | {"seconds": seconds}
        if method.ours:
            found["second_cv"] = metrics.cv(method.run(image / field, VOXEL), head.brain)
        values = [f"{found[s]:.5g}" if np.isfinite(found.get(s, np.nan)) else "n/a" for s in SCORES]
        line = "\t".join([*map(str, astuple(case)), name, method.fingerprint, *values]) + "\n"
        with open(rows, "a") as file:
            file.write(line)  # in one piece, since other processes may be writing
    return case


def key_of(case: Case, name: str, method: Method) -> tuple[str, ...]:
    """Return the key that identifies a row."""
    return (*map(str, astuple(case)), name, method.fingerprint)


def read_rows(path: Path) -> dict[tuple[str, ...], Row]:
    """Read the measurements, by key."""
    return {tuple(row[k] for k in KEY): row for row in read(path)}


def run_all(cases: list[Case], methods: dict[str, Method], args: Arguments) -> list[Row]:
    """Make all missing measurements, and return the rows of all cases and methods."""
    rows = args.out / ROWS
    lines = rows.read_text() if rows.exists() else ""
    if not lines.endswith("\n"):  # new, or killed in the middle of a line
        rows.write_text(lines[: lines.rfind("\n") + 1] or "\t".join([*KEY, *SCORES]) + "\n")
    known = read_rows(rows)
    wanted = {name: method for name, method in methods.items() if name not in args.reuse}
    missed = [(case, {n for n, m in wanted.items() if key_of(case, n, m) not in known}) for case in cases]
    work = [(case, names) for case, names in missed if names]
    with tqdm(total=len(cases), initial=len(cases) - len(work), unit="image") as progress:
        for case in measured(work, args, rows):
            progress.set_postfix_str(f"{case.subject} {case.contrast} {case.field}", refresh=False)
            progress.update()
    known = read_rows(rows)
    for key, row in list(known.items()):
        known[*key[:-1], ANY] = row  # the latest there is
    keys = (
        (*key_of(case, n, m)[:-1], ANY) if n in args.reuse else key_of(case, n, m)
        for case, (n, m) in itertools.product(cases, methods.items())
    )
    return [known[key] for key in keys if key in known]


def measured(work: list[tuple[Case, set[str]]], args: Arguments, rows: Path) -> Iterator[Case]:
    """Yield the measurements of images, one after the other or several at a time."""
    jobs = ((case, names, args.brainweb, args.weights, args.device, rows) for case, names in work)
    if args.jobs == 1:
        yield from itertools.starmap(measure_some, jobs)
        return
    with ProcessPoolExecutor(args.jobs, get_context("spawn")) as pool:
        for future in as_completed([pool.submit(measure_some, *job) for job in jobs]):
            yield future.result()


def measure_some(case: Case, names: set[str], models: Path, weights: Path | None, device: str, rows: Path) -> Case:
    """Measure an image, in any process."""
    chosen = {name: method for name, method in make_methods(weights, device).items() if name in names}
    return measure(case, chosen, models, rows)


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brainweb", type=Path, metavar="DIR", help="folder of subjectNN_crisp_v.mnc.gz files")
    parser.add_argument("--bids", type=Path, nargs="+", default=[], metavar="DATASET", help="datasets of real images")
    parser.add_argument("--subjects", nargs="+", default=["04", "20", "41"], metavar="NN", help="[04 20 41]")
    parser.add_argument("--contrasts", nargs="+", default=list(CONTRASTS), choices=CONTRASTS)
    parser.add_argument("--fields", nargs="+", default=list(FIELDS), metavar="KIND", help=f"[{' '.join(FIELDS)}]")
    parser.add_argument(
        "--noise",
        type=float,
        nargs="+",
        default=[0.03],
        help="noise, as a fraction of the brightest tissue's signal [0.03]",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of fields and noise [%(default)s]")
    parser.add_argument("--methods", nargs="+", default=list(NAMES), choices=list(NAMES))
    parser.add_argument(
        "--reuse",
        nargs="+",
        default=[],
        choices=list(NAMES),
        metavar="METHOD",
        help="use existing rows of any version",
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="safetensors [default: the package's]")
    parser.add_argument("--device", default="cpu", help="device of GetNet [%(default)s]")
    parser.add_argument("--jobs", type=int, default=1, help="number of images at a time [%(default)s]")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the measurements")
    parser.add_argument("--tables", type=Path, metavar="DIR", help="folder for the results [that of --out]")
    parser.add_argument(
        "--table", type=Path, metavar="FILE", help="only print an accuracy.tsv as tables for the README"
    )
    return parser


def chosen_methods(args: Arguments) -> dict[str, Method]:
    """Return the methods asked for that can run here."""
    methods = make_methods(args.weights, args.device)
    for name in args.methods:
        why = None if name in args.reuse else missing(name)
        if why:
            print(f"{name} is left out: {why}", file=sys.stderr)
            del methods[name]
    return {name: method for name, method in methods.items() if name in args.methods}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = make_parser()
    args = parser.parse_args(argv, Arguments())
    if args.table:
        print(as_rst(read(args.table)))
        return 0
    if args.out is None or not (args.brainweb or args.bids):
        parser.error("give --out, and --brainweb or --bids or both")
    absent = [s for s in args.subjects if args.brainweb and not model(args.brainweb, s).exists()]
    if absent:
        parser.error(f"{model(args.brainweb, absent[0])}: there is no such model; see --subjects")
    args.out.mkdir(parents=True, exist_ok=True)
    tables = args.tables or args.out
    tables.mkdir(parents=True, exist_ok=True)
    methods = chosen_methods(args)
    try:
        run(args, methods, tables)
    except (ValueError, OSError) as error:
        print(f"accuracy.py: {error}", file=sys.stderr)
        return 1
    return 0


def run(args: Arguments, methods: dict[str, Method], tables: Path) -> None:
    """Measure, and write and print the results."""
    if args.brainweb:
        combinations = itertools.product(args.subjects, args.contrasts, args.fields, args.noise)
        rows = run_all([Case(*one, args.seed) for one in combinations], methods, args)
        summary = summarise(rows)
        write(rows, tables / "accuracy_images.tsv")
        write(summary, tables / "accuracy.tsv")
        draw(rows, tables / "accuracy.png")
        print(as_rst(summary))
        print("\n".join(goals(rows)))
    if args.bids:
        from accuracy_real import real_rows

        able = {name: method for name, method in methods.items() if not method.needs_brain}
        found = [{k: text(v) for k, v in row.items()} for row in real_rows(args.bids, able, args.out / "real")]
        write(found, tables / "accuracy_real.tsv")


if __name__ == "__main__":
    sys.exit(main())
