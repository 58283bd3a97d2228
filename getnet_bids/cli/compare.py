"""The comparison of GetNet with N4 over a dataset, by nipype."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from getnet_bids import __version__
from getnet_bids.bids.comparison import Comparison, is_compared, recipe_of
from getnet_bids.bids.discovery import not_fetched
from getnet_bids.bids.provenance import is_done
from getnet_bids.bids.query import derivative_roots, find_derivatives
from getnet_bids.errors import GetNetError, reason_of
from getnet_bids.locks import HIDDEN, LOCK, remove_lock, take

from . import exits

if TYPE_CHECKING:
    from getnet_bids.bids.discovery import Source
    from getnet_bids.bids.outputs import Outputs
    from getnet_bids.bids.provenance import Recipe
    from getnet_bids.bids.query import Derivatives
    from getnet_bids.bids.status import RunLog

    from .jobs import CompareJob
    from .plugin import Plugin
    from .watch import Watch

AT_ONCE = 16
"""At least so many images' graphs are handed to nipype at a time, ..."""
PER_PROCESS = 4
"""... and this many for each process: enough to keep all busy, and far fewer than a dataset has."""
MOST_THREADS = 8
"""N4 and the registration gain little from more."""
LOCAL = ("MultiProc", "LegacyMultiProc", "Linear")
"""Plugins whose nodes run on this machine."""
ROOT = "getnet_bids_" + re.sub(r"\W", "_", __version__)
"""Folder of the intermediate files: those of another version are not gone on from."""
GRAPH = "comparison.dot"
MARK = ".getnet-work"
"""File that tells an image's folder of intermediate files from a folder of the user's."""


def name_comparison(source: Source, args: Namespace) -> Comparison:
    """Name the files of an image's comparison."""
    return Comparison.of(source, args.output_dir, not args.no_field, args.simulate_gain is not None)


def given_for(source: Source, args: Namespace) -> Derivatives | None:
    """Look up a segmentation of an image that there is already and that is to be used."""
    if not args.derivatives or args.segmentation == "none":
        return None
    found = find_derivatives(source, derivative_roots(args.derivatives))
    if found is not None and args.segmentation == "atropos":
        return replace(found, dseg=None, probsegs={}) if found.mask else None
    return found


def comparison_recipe(recipe: Recipe, source: Source, args: Namespace, given: Derivatives | None) -> Recipe:
    """Give what fixes an image's comparison."""
    options: dict[str, Any] = {"compare": args.compare, "segmentation": args.segmentation, "template": args.template}
    if args.simulate_gain is not None:
        options |= {"simulate_gain": args.simulate_gain, "random_seed": args.random_seed}
    return recipe_of(recipe, source, options, given)


def is_finished(source: Source, outputs: Outputs, recipe: Recipe, args: Namespace) -> bool:
    """Tell whether an image's correction and comparison are complete and were made from the same.

    Parameters
    ----------
    source : Source
    outputs : Outputs
        Of the correction.
    recipe : Recipe
        Of the correction.
    args : Namespace

    Returns
    -------
    bool
    """
    if args.simulate_gain is None and not is_done(source.path, outputs, recipe):
        return False
    whole = comparison_recipe(recipe, source, args, given_for(source, args))
    return is_compared(name_comparison(source, args), whole)


def compare_images(todo: list[tuple[Source, Outputs]], recipe: Recipe, args: Namespace, log: RunLog) -> None:
    """Correct some images by GetNet and by N4, segment and measure them, and log what becomes of each.

    Parameters
    ----------
    todo : list of tuple of Source and Outputs
        At least one.
    recipe : Recipe
        Of the correction.
    args : Namespace
        The command line.
    log : RunLog

    Raises
    ------
    CommandError
        An option that cannot work.
    """
    # Idle threads are to sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from .plugin import plugin_of
    from .progress import Progress
    from .watch import Watch

    args = Namespace(**{**vars(args), "output_dir": args.output_dir.absolute()})
    plugin = plugin_of(args)
    device = check_model(recipe, args, plugin)
    check_template(args)
    threads = args.omp_nthreads or threads_for(len(todo), plugin.processes)
    with Progress(len(todo)) as progress, nipype_logging(args.verbose), work_folder(args, log) as work:
        watch = Watch(todo, args.output_dir, log, progress, work / ROOT if args.work_dir is None else None)
        jobs = []
        for source, _ in todo:
            try:
                jobs.append(job_of(source, recipe, args, device, threads))
            except (OSError, ValueError) as error:
                watch.failed(source, 0.0, reason_of(error))
                if args.stop_on_first_crash:
                    return
        prepare(jobs, args)
        size = max(AT_ONCE, PER_PROCESS * plugin.processes)
        for start in range(0, len(jobs), size):
            run_some(jobs[start : start + size], plugin, args, work, log, watch)
            if args.stop_on_first_crash and log.counts["failed"]:
                return


def job_of(source: Source, recipe: Recipe, args: Namespace, device: str, threads: int) -> CompareJob:
    """Put together what there is to know of an image; raises ValueError or OSError where it cannot be done."""
    from getnet_bids.bids.outputs import Outputs

    from .jobs import CompareJob

    source = replace(source, root=source.root.absolute())
    if not_fetched(source.path):
        raise GetNetError("not fetched; run `datalad get` on it", source.relative)
    given = given_for(source, args)
    if args.segmentation == "derivatives" and not (given and given.has_tissues):
        raise GetNetError("the derivatives have no dseg or probseg of it; let --segmentation be auto", source.relative)
    files, uris = {}, {}
    if given is not None:
        root = derivative_roots(args.derivatives)[given.dataset]
        found = {"brain_mask": given.mask, "dseg": given.dseg, **given.probsegs}
        files = {name: path.absolute() for name, path in found.items() if path is not None}
        uris = {
            name: f"bids:{given.dataset}:{path.relative_to(root.absolute()).as_posix()}" for name, path in files.items()
        }
    whole = comparison_recipe(recipe, source, args, given)
    outputs = Outputs.of(source, args.output_dir, not args.no_field)
    return CompareJob(source, outputs, name_comparison(source, args), recipe, whole, device, threads, files, uris)


def prepare(jobs: Sequence[CompareJob], args: Namespace) -> None:
    """Complete the files at the top of the output."""
    from getnet_bids.bids.comparison_dataset import gain_of, prepare_comparison

    used = {uri.split(":")[1] for job in jobs for uri in job.uris.values()}
    links = {name: root for name, root in derivative_roots(args.derivatives).items() if name in used}
    gain = gain_of(args.simulate_gain, args.random_seed)
    prepare_comparison(args.output_dir, [job.comparison for job in jobs], links, gain)


def run_some(
    jobs: Sequence[CompareJob], plugin: Plugin, args: Namespace, work: Path, log: RunLog, watch: Watch
) -> None:
    """Run the workflows of some images."""
    from nipype import Workflow

    from .graphs import draw, image_workflow, workflow_name

    workflow = Workflow(ROOT, base_dir=str(work))
    workflow.config["execution"].update(
        {
            "crashdump_dir": str(log.folder.absolute()),
            "crashfile_format": "txt",
            "create_report": "false",
            "job_finished_timeout": "60",
            "poll_sleep_duration": "0.1" if plugin.name in LOCAL else "2",
            "stop_on_first_crash": str(args.stop_on_first_crash).lower(),
        }
    )
    if args.write_graph and not (log.folder / GRAPH).exists():
        draw(image_workflow("comparison", jobs[0], args), log.folder / GRAPH)
    with ExitStack() as held:
        by_name = {}
        for job in jobs:
            name = workflow_name(job.source)
            if not take_folder(work / ROOT / name, held):
                watch.failed(job.source, 0.0, f"another run is at work on it in {work}; name another --work-dir")
                continue
            if not mark_folder(work / ROOT / name, args.force):
                reason = f"{work / ROOT / name} was not made by getnet_bids; name another --work-dir"
                watch.failed(job.source, 0.0, reason)
                continue
            workflow.add_nodes([image_workflow(name, job, args)])
            by_name[name] = job
        if not by_name:
            return
        watch.begin(by_name)
        error = None
        try:
            workflow.run(plugin=plugin.runner(watch, watch.crashed))
        except Exception as raised:
            error = raised
        watch.end(error, args.stop_on_first_crash)


def take_folder(folder: Path, held: ExitStack) -> bool:
    """Hold an image's folder of intermediate files; tells whether no other run has it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_name(f"{HIDDEN}{folder.name}{LOCK}")
    file = held.enter_context(open(lock, "ab"))  # noqa: SIM115
    if take(file, wait=False) is False:
        return False
    held.callback(remove_lock, lock)
    return True


def mark_folder(folder: Path, anew: bool) -> bool:
    """Make an image's folder of intermediate files, empty if asked; false if it holds files but not our mark."""
    if folder.exists() and not (folder / MARK).is_file() and any(folder.iterdir()):
        return False
    if anew:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()
    return True


def threads_for(images: int, processes: int) -> int:
    """Give each node's threads: more than one only where there are fewer images than processes.

    Examples
    --------
    >>> threads_for(100, 16), threads_for(4, 16), threads_for(1, 16)
    (1, 4, 8)
    """
    return max(1, min(MOST_THREADS, processes // images))


def check_model(recipe: Recipe, args: Namespace, plugin: Plugin) -> str:
    """Refuse weights and devices that cannot be used; gives the device."""
    from getnet_bids.core.device import resolve_device
    from getnet_bids.weights import load_network

    try:
        device = str(resolve_device(args.device)) if plugin.name in LOCAL else args.device
    except ValueError as error:
        raise exits.CommandError(exits.USAGE, str(error)) from None
    try:
        load_network(recipe.weights, "cpu")
    except ValueError as error:
        raise exits.CommandError(exits.BAD_DATA, str(error)) from None
    return device


def check_template(args: Namespace) -> None:
    """Refuse a template that there is not."""
    from getnet_bids.interfaces.templates import BUNDLED, load_template

    if args.template == BUNDLED or args.segmentation not in ("auto", "atropos"):
        return
    try:
        load_template(args.template)
    except (ValueError, FileNotFoundError) as error:
        code = exits.USAGE if isinstance(error, ValueError) else exits.NO_INPUT
        raise exits.CommandError(code, f"--template: {error}") from None


@contextmanager
def work_folder(args: Namespace, log: RunLog) -> Iterator[Path]:
    """Give a folder for intermediate files: the user's; or one of our own, which stays only if an image failed."""
    if args.work_dir is not None:
        try:
            args.work_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise exits.CommandError(exits.CANNOT_CREATE, f"{args.work_dir}: {error.strerror}") from None
        yield args.work_dir.absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="getnet-bids-"))
    keep = False
    try:
        yield folder
        keep = bool(log.counts["failed"]) and any(folder.iterdir())
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    if keep:
        exits.say(exits.APP, f"intermediate files of what failed are kept in {folder}; -w {folder} goes on from them")


@contextmanager
def nipype_logging(verbose: bool) -> Iterator[None]:
    """Let nipype tell all, or nothing: what fails is told by us."""
    from nipype import logging

    loggers = [logging.getLogger(name) for name in logging.loggers]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel("INFO" if verbose else "CRITICAL")
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
