"""The participant level: plan the run, and correct the images that are not done."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from getnet_bids.bids.names import ALL, WEIGHTED
from getnet_bids.configuration import to_toml
from getnet_bids.core import CORRECTED, DOUBTFUL, VERDICTS
from getnet_bids.errors import GetNetError, reason_of
from getnet_bids.settings import Settings

from . import console
from .pipeline import DEFAULT_MEMORY, threads_for, use_huge_pages
from .search import find

if TYPE_CHECKING:
    from getnet_bids.bids.discovery import SearchResult
    from getnet_bids.bids.jobs import Job
    from getnet_bids.bids.provenance import Recipe
    from getnet_bids.bids.status import RunLog
    from getnet_bids.comparison.jobs import CompareJob

NO_LOCKS = "the file system has no file locks; do not run the same subject twice at the same time"
APART = "on another grid, or by another coil, than the others of the session, so with a field of its own"


def participant_level(settings: Settings, argv: list[str]) -> int:
    """Run the participant level.

    Parameters
    ----------
    settings : Settings
        Checked.
    argv : list of str
        The command line as it was given, for the log.

    Returns
    -------
    int
        The exit code.
    """
    started = time.monotonic()
    if settings.reports_only and settings.modalities == WEIGHTED and not settings.compare:
        settings = replace(settings, modalities=(ALL,))  # pages show all results, whatever the run was that made them
    found = find(settings)
    if settings.reports_only:
        return write_reports(found, settings)
    recipe = recipe_of(settings)
    jobs = plan(found, settings, recipe)
    if settings.dry_run:
        print_jobs(jobs)
        return console.DONE
    log = run(jobs, found.unreadable, recipe, settings, argv)
    counts = ", ".join(f"{count} {what}" for what, count in log.counts.items())
    console.say(f"{counts} in {time.monotonic() - started:.1f} s; see {log.status}")
    if line := verdict_line(log.verdicts):
        console.say(line)
    if not settings.hand_over:
        return log.exit_code
    from .handover import hand_images_over

    targets = [(target.source, target.outputs) for planned in jobs for target in planned.job.targets]
    return hand_images_over(targets, settings, log.folder) or log.exit_code


def verdict_line(verdicts: dict[str, list[str]]) -> str:
    """Return the line on doubtful images and those with nothing to correct; empty if there are none.

    Examples
    --------
    >>> verdict_line({"corrected": ["a", "b"]})
    ''
    >>> verdict_line({"corrected": ["a"], "doubtful": ["sub-02/anat/sub-02_T1w.nii.gz"]})
    'verdicts: 1 corrected, 1 doubtful (sub-02_T1w.nii.gz); see status.tsv and the pages for the reasons'
    """
    known = {name: verdicts[name] for name in VERDICTS if name in verdicts}
    if not known.keys() - {CORRECTED}:
        return ""
    doubtful = [PurePosixPath(source).name for source in known.get(DOUBTFUL, [])]
    counts = ", ".join(f"{len(images)} {name}" for name, images in known.items())
    if not doubtful:
        return f"verdicts: {counts}"
    return f"verdicts: {counts} ({console.some_of(doubtful)}); see status.tsv and the pages for the reasons"


def write_reports(found: SearchResult, settings: Settings) -> int:
    """Write the subjects' pages again and return the exit code."""
    from getnet_bids.reports import write_reports

    pages = write_reports(settings.output_dir, found.sources)
    failed = pages.count(None)
    console.say(f"wrote {len(pages) - failed} reports in {settings.output_dir}")
    return console.SOME_FAILED if failed else console.DONE


def recipe_of(settings: Settings) -> Recipe:
    """Return the recipe, which determines the results."""
    from getnet_bids.bids.provenance import Recipe
    from getnet_bids.files import hash_file
    from getnet_bids.weights import default_weights

    try:
        weights = settings.weights or default_weights()
    except FileNotFoundError as error:
        raise console.CommandError(console.NO_INPUT, str(error)) from None
    # Only if it is not the default, so that results from before this option existed still count as done.
    chosen = {"output_dtype": settings.output_dtype, "receive_field": settings.receive_field}
    stored = {key: value for key, value in chosen.items() if value not in ("float32", "none")}
    return Recipe(weights, hash_file(weights), {**settings.options, **stored})


@dataclass(frozen=True)
class Planned:
    """A job of a run, and whether its results exist.

    Parameters
    ----------
    job : Job
    done : bool
    comparison : CompareJob or None
        The inputs of a comparison; None without one, or if its files cannot be read, which is reported later.
    """

    job: Job
    done: bool
    comparison: CompareJob | None = None

    def refusal(self) -> str | None:
        """Return why its results may not be written because a user's file is there."""
        from getnet_bids.comparison.outputs import refusal_of_files

        reason = self.job.refusal()
        return reason or (refusal_of_files(self.comparison.comparison) if self.comparison else None)


def plan(found: SearchResult, settings: Settings, recipe: Recipe) -> list[Planned]:
    """Determine the outputs of each job and whether they are done."""
    from getnet_bids.bids.groups import Group, group_images
    from getnet_bids.bids.jobs import Job
    from getnet_bids.bids.metadata import Metadata, receive_pair
    from getnet_bids.comparison.jobs import is_finished, make_job

    metadata = Metadata(settings.bids_dir)
    if settings.compare:
        groups = [Group((source,), (source,)) for source in found.sources]
    else:
        measured = settings.receive_field != "none"
        groups = group_images(found.sources, settings.series_reference == "sbref", metadata, measured)
        if settings.shared_field == "session":
            from getnet_bids.bids.groups import share_fields  # reads headers, for which it loads libraries

            groups, apart = share_fields(groups, metadata)
            if apart:
                console.say(f"{APART}: {console.some_of(apart)}")
    planned = []
    for group in groups:
        job = Job.of(group, settings.output_dir, not settings.no_field, settings.uncertainty, settings.reference_only)
        if settings.receive_field != "none":
            pair = receive_pair(group.references[0], metadata) or ()
            job = replace(job, receive=pair, receive_alone=settings.receive_field == "measured")
        comparison, done = None, False
        try:
            if settings.compare:
                comparison = make_job(job.source, recipe, settings)
                if settings.simulate_gain is not None:
                    job = replace(job, outputs=comparison.comparison.getnet)
                done = not settings.force and is_finished(comparison)
            else:
                done = not settings.force and job.is_done(recipe, metadata)
        except OSError:
            pass  # the image does not exist or cannot be read, which is reported when it is processed
        planned.append(Planned(job, done, comparison))
    return planned


def print_jobs(jobs: list[Planned]) -> None:
    """Print the jobs as a table."""
    from getnet_bids.bids.discovery import not_fetched

    print("source\tcorrected\tfield\tstate")
    for planned in jobs:
        for target in planned.job.targets:
            field = target.outputs.field if target.outputs.with_field else "n/a"
            state = "done" if planned.done else "not fetched" if not_fetched(target.source.path) else "to do"
            print(target.source.relative, target.outputs.corrected, field, state, sep="\t")
    sys.stdout.flush()


def run(
    jobs: list[Planned],
    unreadable: dict[str, str],
    recipe: Recipe,
    settings: Settings,
    argv: list[str],
) -> RunLog:
    """Run the jobs that are not done; return the log of all jobs, and of folders that cannot be read."""
    from getnet_bids.bids.dataset import prepare_output
    from getnet_bids.bids.status import RunLog
    from getnet_bids.files import has_locks, sweep
    from getnet_bids.reports import write_missing_reports

    sources = [target.source for planned in jobs for target in planned.job.targets]
    try:
        prepare_output(settings.bids_dir, settings.output_dir)
        # Not the whole output: a task of a job array may have one subject of many thousands.
        sweep(settings.output_dir, {source.relative.partition("/")[0] for source in sources})
        sweep(settings.output_dir / "logs", ())
        reasons = [(one.job.targets, reason) for one in jobs if not one.done and (reason := one.refusal())]
        others = {target.source.relative: reason for targets, reason in reasons for target in targets}
        if not has_locks(settings.output_dir):
            console.say(f"{settings.output_dir}: {NO_LOCKS}")
        log = RunLog(settings.output_dir / "logs")
        log.write_options(to_toml(settings, argv))
        log.plan(source.relative for source in sources if source.relative not in others)
    except OSError as error:
        text = f"{settings.output_dir}: cannot be written to: {reason_of(error)}"
        raise console.CommandError(console.CANNOT_CREATE, text) from None
    for planned in jobs:
        for target in planned.job.targets if planned.done else ():
            reason = "done before, from the same image, weights and options"
            log.add(target.source.relative, "skipped", reason=reason)
    for folder, reason in unreadable.items():
        log.add(folder, "failed", reason=reason)
    for relative, reason in others.items():
        log.add(relative, "failed", reason=reason)
        console.say(f"{relative}: failed: {reason}")
    todo = [planned for planned in jobs if not planned.done and planned.job.source.relative not in others]
    if (unreadable or others) and settings.stop_on_first_crash:
        todo = []
    if todo and settings.compare:
        from getnet_bids.comparison.engine import compare_images

        compare_images([(planned.job.source, planned.comparison) for planned in todo], recipe, settings, log)
    elif todo:
        correct_images(todo, [planned for planned in jobs if planned.done], recipe, settings, log)
    write_missing_reports(settings.output_dir, sources)
    return log


def correct_images(todo: list[Planned], done: list[Planned], recipe: Recipe, settings: Settings, log: RunLog) -> None:
    """Load the network and correct images; say so if results that are done were computed in another precision."""
    # OpenMP's idle threads sleep rather than spin: the reader and the writer need the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    use_huge_pages()
    # These take seconds to import, so only after it is known that there is something to do.
    from getnet_bids.core.device import resolve_device
    from getnet_bids.core.options import Options
    from getnet_bids.weights import load_network

    from .worker import run_jobs

    try:
        resolve_device(settings.device)
    except GetNetError as error:
        raise console.CommandError(console.USAGE, str(error)) from None
    try:
        network = load_network(recipe.weights, settings.device)
    except GetNetError as error:
        raise console.CommandError(console.BAD_DATA, str(error)) from None
    if line := precision_line(done, settings):
        console.say(line)
    options = Options(**settings.options, batch_size=settings.batch_size, uncertainty=settings.uncertainty)
    jobs = [planned.job for planned in todo]
    compute_workers, io_workers, threads = worker_counts(len(jobs), settings)
    memory = settings.mem_mb * 10**6 if settings.mem_mb else DEFAULT_MEMORY
    run_jobs(
        jobs,
        network,
        options,
        recipe,
        log,
        stop_on_failure=settings.stop_on_first_crash,
        memory=memory,
        compute_workers=compute_workers,
        io_workers=io_workers,
        threads=threads,
        storage=settings.storage,
    )


def precision_line(done: list[Planned], settings: Settings) -> str:
    """Return the message that existing results were computed in another precision than this run will use."""
    from getnet_bids.bids.metadata import read_object
    from getnet_bids.bids.outputs import sidecar
    from getnet_bids.bids.provenance import KEY
    from getnet_bids.core.device import resolve_device
    from getnet_bids.reports.completeness import ALIKE

    from .results import precision_of

    if settings.precision != "auto":
        return ""  # a result of another precision is done again
    here = precision_of(resolve_device(settings.device))
    made = [read_object(sidecar(planned.job.outputs.corrected)).get(KEY) for planned in done]
    there = [entry.get("Precision", here) for entry in made if isinstance(entry, dict)]
    others = sum(precision != here for precision in there)
    if not others:
        return ""
    return f"{others} of the images that are done ran in another precision than the {here} of this machine; {ALIKE}"


def worker_counts(images: int, settings: Settings) -> tuple[int, int, int]:
    """Choose how many images are computed at a time, how many further ones are read or written, and threads for each.

    A GPU computes one at a time, and would otherwise wait for reading and writing.
    """
    import torch

    from getnet_bids.core.device import resolve_device
    from getnet_bids.machine import processors as allowed

    # torch does not consider a control group's limit of processor time, as set by ``docker run --cpus``.
    processors = settings.nprocs or min(torch.get_num_threads(), allowed())
    if resolve_device(settings.device).type != "cpu":
        return 1, processors, processors
    threads = min(settings.omp_nthreads or threads_for(images, processors), processors)
    return processors // threads, 1, threads
