"""getnet-bids: correct the images of a dataset."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from getnet_bids import __version__

from . import exits
from .parser import app_parser

if TYPE_CHECKING:
    from getnet_bids.bids.discovery import Found, Source
    from getnet_bids.bids.outputs import Outputs
    from getnet_bids.bids.provenance import Recipe
    from getnet_bids.bids.status import RunLog

PROGRAM = "getnet-bids"
SHOWN = 5
"""So many of the files that are passed over are named without --verbose."""


class Interrupted(BaseException):
    """A signal asked the program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


def main(argv: list[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    args = app_parser().parse_args(argv)
    try:
        with interruptible():
            return participant(args, argv)
    except exits.CommandError as error:
        exits.say(PROGRAM, str(error))
        return error.code
    except Interrupted as interrupted:
        exits.say(PROGRAM, f"{interrupted}: stopped; run the same command again to go on")
        return interrupted.code
    except OSError as error:
        exits.say(PROGRAM, str(error))
        return exits.IO_ERROR


def participant(args: Namespace, argv: list[str]) -> int:
    """Do the participant level; gives the exit code."""
    started = time.monotonic()
    check(args)
    found = find(args)
    recipe = recipe_of(args)
    jobs = plan(found, args, recipe)
    if args.dry_run:
        print_jobs(jobs)
        return exits.DONE
    log = run(jobs, recipe, args, argv)
    counts = ", ".join(f"{count} {what}" for what, count in log.counts.items())
    exits.say(PROGRAM, f"{counts} in {time.monotonic() - started:.1f} s; see {log.status}")
    return log.exit_code


def check(args: Namespace) -> None:
    """Refuse what cannot work before anything is looked for."""
    from getnet_bids.bids.dataset import check_input, check_output

    if args.analysis_level != "participant":
        text = f"analysis level {args.analysis_level!r} is not known; use participant"
        raise exits.CommandError(exits.UNKNOWN_LEVEL, text)
    if not args.bids_dir.is_dir():
        raise exits.CommandError(exits.NO_INPUT, f"{args.bids_dir}: no such folder")
    if not args.skip_bids_validation and (problem := check_input(args.bids_dir)):
        raise exits.CommandError(exits.NOT_BIDS, problem)
    if problem := check_output(args.bids_dir, args.output_dir):
        raise exits.CommandError(exits.CANNOT_CREATE, problem)
    if args.weights is not None and not args.weights.is_file():
        raise exits.CommandError(exits.NO_INPUT, f"{args.weights}: no such file")


def labels(given: list[str] | None, prefix: str) -> list[str] | None:
    """Clean labels of their prefix; a text file stands for those in it.

    Examples
    --------
    >>> labels(["sub-01", "02"], "sub-")
    ['01', '02']
    """
    if given is None:
        return None
    if len(given) == 1 and Path(given[0]).is_file():
        given = Path(given[0]).read_text(encoding="utf-8").split()
    clean = [label.removeprefix(prefix) for label in given]
    for label in clean:
        if not re.fullmatch("[0-9a-zA-Z+]+", label):
            raise exits.CommandError(
                exits.USAGE, f"{label!r} is no label ({prefix}<letters and digits>), nor a file of them"
            )
    return clean


def find(args: Namespace) -> Found:
    """Find the images, and tell of those that are not taken."""
    from getnet_bids.bids.discovery import find_images

    subjects, sessions = labels(args.participant_label, "sub-"), labels(args.session_label, "ses-")
    missing = [label for label in subjects or [] if not (args.bids_dir / f"sub-{label}").is_dir()]
    if missing:
        raise exits.CommandError(exits.NOTHING_MATCHED, f"{args.bids_dir} has no sub-{', sub-'.join(missing)}")
    found = find_images(args.bids_dir, subjects, sessions, args.modalities)
    for i, (relative, reason) in enumerate(found.passed_over.items()):
        if i == SHOWN and not args.verbose:
            exits.say(PROGRAM, f"... and {len(found.passed_over) - SHOWN} more passed over; -v names all")
            break
        exits.say(PROGRAM, f"{relative}: passed over: {reason}")
    if found.others:
        counts = ", ".join(f"{count} {suffix}" for suffix, count in sorted(found.others.items()))
        exits.say(PROGRAM, f"not taken unless named with --modalities: {counts}")
    if not found.sources:
        raise exits.CommandError(
            exits.NOTHING_MATCHED, f"{args.bids_dir}: no image matches; looked for {args.modalities}"
        )
    return found


def recipe_of(args: Namespace) -> Recipe:
    """Give what fixes the results."""
    from getnet_bids.bids.provenance import Recipe
    from getnet_bids.files import hash_file
    from getnet_bids.weights import default_weights

    try:
        weights = args.weights or default_weights()
    except FileNotFoundError as error:
        raise exits.CommandError(exits.NO_INPUT, str(error)) from None
    options = {"smoothness": args.smoothness, "refine": args.refine, "precision": args.precision}
    return Recipe(weights, hash_file(weights), options)


def plan(found: Found, args: Namespace, recipe: Recipe) -> list[tuple[Source, Outputs, bool]]:
    """Give each image, its outputs, and whether they are done."""
    from getnet_bids.bids.outputs import Outputs
    from getnet_bids.bids.provenance import is_done

    jobs = []
    for source in found.sources:
        outputs = Outputs.of(source, args.output_dir, not args.no_field)
        done = not args.force and source.path.exists() and is_done(source.path, outputs, recipe)
        jobs.append((source, outputs, done))
    return jobs


def print_jobs(jobs: list[tuple[Source, Outputs, bool]]) -> None:
    """Print the jobs as a table."""
    from getnet_bids.bids.discovery import not_fetched

    print("source\tcorrected\tfield\tstate")
    for source, outputs, done in jobs:
        field = outputs.field if outputs.with_field else "n/a"
        state = "done" if done else "not fetched" if not_fetched(source.path) else "to do"
        print(source.relative, outputs.corrected, field, state, sep="\t")


def run(jobs: list[tuple[Source, Outputs, bool]], recipe: Recipe, args: Namespace, argv: list[str]) -> RunLog:
    """Do the jobs that are not done; gives what became of all."""
    from getnet_bids.bids.dataset import prepare_output
    from getnet_bids.bids.status import RunLog

    try:
        prepare_output(args.bids_dir, args.output_dir)
        log = RunLog(args.output_dir / "logs")
        log.write_options({"version": __version__, "command": argv, **vars(args), "weights": recipe.weights})
    except OSError as error:
        raise exits.CommandError(exits.CANNOT_CREATE, f"{args.output_dir}: cannot be written to: {error}") from None
    for source, _, done in jobs:
        if done:
            log.add(source.relative, "skipped", reason="done before, from the same image, weights and options")
    if not all(done for *_, done in jobs):
        correct_images([(source, outputs) for source, outputs, done in jobs if not done], recipe, args, log)
    return log


def correct_images(todo: list[tuple[Source, Outputs]], recipe: Recipe, args: Namespace, log: RunLog) -> None:
    """Load the network and do some images."""
    # OpenMP's idle threads sleep rather than spin: the reader and the writer need the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # These take seconds to import: not before it is known that there is something to do.
    import torch

    from getnet_bids.core.correction import Options
    from getnet_bids.core.device import resolve_device
    from getnet_bids.weights import load_network

    from .run import Job, run_jobs

    if args.threads:
        torch.set_num_threads(args.threads)
    try:
        resolve_device(args.device)
    except ValueError as error:
        raise exits.CommandError(exits.USAGE, str(error)) from None
    try:
        network = load_network(recipe.weights, args.device)
    except ValueError as error:
        raise exits.CommandError(exits.BAD_DATA, str(error)) from None
    options = Options(**recipe.options, batch_size=args.batch_size)
    jobs = [Job(source, outputs) for source, outputs in todo]
    run_jobs(jobs, network, options, recipe, log, args.stop_on_first_crash)


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into `Interrupted`, so that both end the run alike and cleanly."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
