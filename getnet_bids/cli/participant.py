"""The participant level: find the images, see what is done, do the others."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from . import config, exits
from .memory import MEMORY, take_big_pages

if TYPE_CHECKING:
    from getnet_bids.bids.discovery import Found, Source
    from getnet_bids.bids.outputs import Outputs
    from getnet_bids.bids.provenance import Recipe
    from getnet_bids.bids.status import RunLog

PROGRAM = exits.APP
SHOWN = 5
"""So many of the files that are passed over are named without --verbose."""


def participant_level(args: Namespace, argv: list[str]) -> int:
    """Do the participant level.

    Parameters
    ----------
    args : Namespace
        Checked.
    argv : list of str
        The command line as it was given, for the log.

    Returns
    -------
    int
        The exit code.
    """
    started = time.monotonic()
    found = find(args)
    if args.reports_only:
        return write_reports(found, args)
    recipe = recipe_of(args)
    jobs = plan(found, args, recipe)
    if args.dry_run:
        print_jobs(jobs)
        return exits.DONE
    log = run(jobs, found.unreadable, recipe, args, argv)
    counts = ", ".join(f"{count} {what}" for what, count in log.counts.items())
    exits.say(PROGRAM, f"{counts} in {time.monotonic() - started:.1f} s; see {log.status}")
    return log.exit_code


def find(args: Namespace) -> Found:
    """Find the images, and tell of those that are not taken."""
    missing = [label for label in args.participant_label or [] if not (args.bids_dir / f"sub-{label}").is_dir()]
    if missing:
        raise exits.CommandError(exits.NOTHING_MATCHED, f"{args.bids_dir} has no sub-{', sub-'.join(missing)}")
    found = search(args)
    for i, (relative, reason) in enumerate(found.passed_over.items()):
        if i == SHOWN and not args.verbose:
            exits.say(PROGRAM, f"... and {len(found.passed_over) - SHOWN} more passed over; -v names all")
            break
        exits.say(PROGRAM, f"{relative}: passed over: {reason}")
    for folder, reason in found.unreadable.items():
        exits.say(PROGRAM, f"{folder}: {reason}")
    if any(found.others.values()):
        counts = ", ".join(f"{count} {suffix}" for suffix, count in sorted(found.others.items()) if count)
        exits.say(PROGRAM, f"not taken unless named with --modalities: {counts}")
    if found.unreadable and not found.sources:
        raise exits.CommandError(exits.IO_ERROR, f"{args.bids_dir}: no image can be read; see to the permissions")
    if not found.sources:
        raise exits.CommandError(
            exits.NOTHING_MATCHED, f"{args.bids_dir}: no image matches; looked for {' '.join(args.modalities)}"
        )
    return found


def search(args: Namespace) -> Found:
    """Look into the dataset's folders, or ask PyBIDS where its language or its database is given."""
    from getnet_bids.bids.discovery import find_images

    if args.bids_filter_file is None and args.bids_database_dir is None:
        return find_images(args.bids_dir, args.participant_label, args.session_label, args.modalities)
    from getnet_bids.bids import layout

    suffixes, listing, chosen = set(args.modalities), None, None
    queries: dict[str, dict[str, Any]] = {}
    try:
        if args.bids_filter_file is not None:
            queries, others = layout.read_queries(args.bids_filter_file)
            if others:
                exits.say(PROGRAM, f"{args.bids_filter_file}: not for anatomical images, unused: {', '.join(others)}")
            suffixes = layout.suffixes_of(queries, args.modalities)
        index = layout.open_layout(args.bids_dir, args.bids_database_dir, args.participant_label)
        if args.bids_database_dir is not None:
            listing = layout.anatomical_files(index)
        if args.bids_filter_file is not None:
            chosen = layout.choose(index, queries, args.modalities)
    except ValueError as error:
        raise exits.CommandError(exits.USAGE, str(error)) from None
    return find_images(args.bids_dir, args.participant_label, args.session_label, suffixes, listing, chosen)


def write_reports(found: Found, args: Namespace) -> int:
    """Write the subjects' pages anew; gives the exit code."""
    from getnet_bids.reports import write_reports

    written = write_reports(args.output_dir, found.sources)
    exits.say(PROGRAM, f"wrote {len(written)} reports in {args.output_dir}")
    return exits.DONE


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

    from .compare import name_comparison

    jobs = []
    for source in found.sources:
        outputs = Outputs.of(source, args.output_dir, not args.no_field)
        if args.simulate_gain is not None:
            outputs = name_comparison(source, args).getnet
        jobs.append((source, outputs, not args.force and finished(source, outputs, recipe, args)))
    return jobs


def finished(source: Source, outputs: Outputs, recipe: Recipe, args: Namespace) -> bool:
    """Tell whether all that is wanted of an image is there."""
    from getnet_bids.bids.provenance import is_done

    from .compare import is_finished

    try:
        if args.compare:
            return is_finished(source, outputs, recipe, args)
        return is_done(source.path, outputs, recipe)
    except OSError:
        return False  # the image is not there or cannot be read, which is told when its turn comes


def print_jobs(jobs: list[tuple[Source, Outputs, bool]]) -> None:
    """Print the jobs as a table."""
    from getnet_bids.bids.discovery import not_fetched

    print("source\tcorrected\tfield\tstate")
    for source, outputs, done in jobs:
        field = outputs.field if outputs.with_field else "n/a"
        state = "done" if done else "not fetched" if not_fetched(source.path) else "to do"
        print(source.relative, outputs.corrected, field, state, sep="\t")
    sys.stdout.flush()


def run(
    jobs: list[tuple[Source, Outputs, bool]],
    unreadable: dict[str, str],
    recipe: Recipe,
    args: Namespace,
    argv: list[str],
) -> RunLog:
    """Do the jobs that are not done; gives what became of all, and of folders that cannot be looked into."""
    from getnet_bids.bids.dataset import prepare_output
    from getnet_bids.bids.status import RunLog
    from getnet_bids.locks import sweep
    from getnet_bids.reports import write_missing_reports

    args.weights = recipe.weights
    try:
        prepare_output(args.bids_dir, args.output_dir)
        sweep(args.output_dir)
        log = RunLog(args.output_dir / "logs")
        log.write_options(config.resolved(args), config.run_table(args, argv))
    except OSError as error:
        raise exits.CommandError(exits.CANNOT_CREATE, f"{args.output_dir}: cannot be written to: {error}") from None
    for source, _, done in jobs:
        if done:
            log.add(source.relative, "skipped", reason="done before, from the same image, weights and options")
    for folder, reason in unreadable.items():
        log.add(folder, "failed", reason=reason)
    todo = [(source, outputs) for source, outputs, done in jobs if not done]
    if unreadable and args.stop_on_first_crash:
        todo = []
    if todo and args.compare:
        from .compare import compare_images

        compare_images(todo, recipe, args, log)
    elif todo:
        correct_images(todo, recipe, args, log)
    write_missing_reports(args.output_dir, [source for source, *_ in jobs])
    return log


def correct_images(todo: list[tuple[Source, Outputs]], recipe: Recipe, args: Namespace, log: RunLog) -> None:
    """Load the network and do some images."""
    # OpenMP's idle threads sleep rather than spin: the reader and the writer need the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    take_big_pages()
    # These take seconds to import: not before it is known that there is something to do.
    from getnet_bids.core.correction import Options
    from getnet_bids.core.device import resolve_device
    from getnet_bids.weights import load_network

    from .run import Job, run_jobs

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
    at_once, beside, threads = shares(len(jobs), args)
    memory = args.mem_mb * 10**6 if args.mem_mb else MEMORY
    run_jobs(jobs, network, options, recipe, log, args.stop_on_first_crash, memory, at_once, beside, threads)


def shares(images: int, args: Namespace) -> tuple[int, int, int]:
    """Tell how many images are computed at a time, how many are read or written beside them, and threads for each.

    A GPU computes one at a time, and soon waits for what is read and written.
    """
    import torch

    from getnet_bids.core.device import resolve_device

    from .compare import threads_for

    processors = args.threads or torch.get_num_threads()
    if resolve_device(args.device).type != "cpu":
        return 1, processors, processors
    threads = min(args.omp_nthreads or threads_for(images, processors), processors)
    return processors // threads, 1, threads
