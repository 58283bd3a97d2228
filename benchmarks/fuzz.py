"""Small valid images spoiled at random and read, a share of them corrected: whether all that happens is foreseen.

    python benchmarks/fuzz.py [--cases 100000] [--seed 0] [--failures DIR]

A case is read, or refused with one line (an GetNetError or a ValueError of the package). What is read is written and
read again, and must be the same; every so many are corrected, and corrected times field must be the image. All else
is a failure: another error, a warning, more memory or time than the limits, the end of the process. A failure is
printed with its case, which is the same for the same seed, and its bytes are kept with --failures. The table goes to
benchmarks/fuzz.tsv.
"""

from __future__ import annotations

import argparse
import csv
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from fuzz_mutations import KINDS, spoiled
from tqdm import tqdm

TABLE = Path(__file__).with_suffix(".tsv")
COLUMNS = ("spoiled", "cases", "read", "corrected", "refused", "failures", "slowest_read", "slowest_corrected")
EVERY = 25
"""Of the cases that are read, so many by their number are corrected."""
MEMORY = 2**30
"""Bytes that a case may take, beside what the process has when it begins."""
SECONDS = 20.0
"""A case may take so long; a tiny image is corrected in a fraction of a second."""


def main() -> int:
    """Run the cases and write the table; 1 if there were failures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--failures", type=Path, help="folder for the files of failures")
    parser.add_argument("--table", type=Path, default=TABLE)
    args = parser.parse_args()
    counts: dict[str, Counter] = defaultdict(Counter)
    slowest: dict[tuple[str, str], float] = defaultdict(float)
    for case, kind, outcome, seconds, reason in tqdm(run(args.cases, args.seed), total=args.cases, mininterval=2):
        counts[kind].update(["cases", outcome])
        slowest[kind, outcome] = max(slowest[kind, outcome], seconds)
        if outcome == "failures":
            tqdm.write(f"case {case}, seed {args.seed}, {kind}: {reason}", file=sys.stderr)
            if args.failures:
                args.failures.mkdir(parents=True, exist_ok=True)
                (args.failures / f"{args.seed}-{case}.bin").write_bytes(spoiled(case, args.seed)[1])
    rows = []
    for kind in sorted(counts):
        read = max(slowest[kind, "read"], slowest[kind, "refused"])
        seconds = f"{read:.3f}", f"{slowest[kind, 'corrected']:.2f}"
        rows.append([kind, *(counts[kind][column] for column in COLUMNS[1:6]), *seconds])
    total = ["all", *(sum(row[i] for row in rows) for i in range(1, 6)), *(max(row[i] for row in rows) for i in (6, 7))]
    with open(args.table, "w", newline="") as file:
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows([COLUMNS, *rows, total])
    print(", ".join(f"{value} {name}" for name, value in zip(COLUMNS[1:], total[1:], strict=True)))
    return int(total[5] > 0)


def run(
    cases: int, seed: int, worker: Callable[..., None] | None = None, patience: float = SECONDS + 60
) -> Iterator[tuple[int, str, str, float, str]]:
    """Run cases in a process that is begun anew when one of them ends it or hangs.

    Parameters
    ----------
    cases, seed : int
    worker : callable, optional
        What the process does; default `work`.
    patience : float
        Seconds that an answer may take; the first has to wait for the imports.

    Yields
    ------
    case : int
    kind : str
        What was done to the file.
    outcome : {"read", "corrected", "refused", "failures"}
    seconds : float
    reason : str
        Of a refusal or failure.
    """
    context = get_context("spawn")
    case = 0
    while case < cases:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=worker or work, args=(theirs, case, cases, seed), daemon=True)
        process.start()
        theirs.close()
        try:
            while case < cases and ours.poll(patience):
                yield case, *ours.recv()
                case += 1
        except EOFError:
            pass
        if case < cases:
            process.join(1)
            why = "hangs" if process.is_alive() else f"ended the process with {process.exitcode}"
            process.kill()
            yield case, spoiled(case, seed)[0], "failures", patience, why
            case += 1
        process.join()


def work(answers: Connection, first: int, last: int, seed: int) -> None:
    """Do cases in this process and answer for each: the worker of `run`."""
    import logging

    import torch

    from getnet_bids.weights import load_network

    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    network = load_network(None, "cpu")
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        for case in range(first, last):
            kind, data = spoiled(case, seed)
            started = time.monotonic()
            outcome, reason = validate(data, network if (case // len(KINDS)) % EVERY == 0 else None, Path(folder))
            seconds = time.monotonic() - started
            if seconds > SECONDS:
                outcome, reason = "failures", f"takes {seconds:.0f} s"
            answers.send((kind, outcome, seconds, reason))


def validate(data: bytes, network: object | None, folder: Path) -> tuple[str, str]:
    """Tell what becomes of a file.

    Parameters
    ----------
    data : bytes
        Its content.
    network : GetNet, optional
        If it is to be corrected.
    folder : Path
        For what is written.

    Returns
    -------
    outcome : {"read", "corrected", "refused", "failures"}
    reason : str
    """
    from fuzz_checks import correct_and_check, read_and_check

    from getnet_bids.errors import GetNetError
    from getnet_bids.images import silence_nibabel

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            silence_nibabel()
            image = read_and_check(data)
            if network is not None:
                correct_and_check(image, network, folder)
    except Exception as error:
        text = str(error)
        if isinstance(error, GetNetError) and "\n" not in text:
            return "refused", text
        return "failures", f"{type(error).__name__}: {text or 'no text'}"
    return ("read" if network is None else "corrected"), ""


if __name__ == "__main__":
    sys.exit(main())
