"""Compare GetNet with another method over a dataset, by nipype workflows."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from getnet_bids import __version__
from getnet_bids.bids.discovery import Source
from getnet_bids.bids.provenance import Recipe
from getnet_bids.bids.status import RunLog
from getnet_bids.core import ALGORITHM
from getnet_bids.errors import GetNetError, reason_of
from getnet_bids.files import HIDDEN, LOCK, acquire_lock, remove_lock
from getnet_bids.run import console
from getnet_bids.run.pipeline import threads_for
from getnet_bids.settings import Settings

from .jobs import CompareJob, check_job, make_job
from .methods import METHODS
from .watch import Watch

if TYPE_CHECKING:
    from .plugins import Plugin


MIN_GRAPHS = 16
"""Smallest number of images whose workflows are passed to nipype at a time."""
GRAPHS_PER_PROCESS = 4
"""The same per process: enough to keep all processes busy, but far fewer than a dataset has."""
LOCAL_PLUGINS = ("MultiProc", "LegacyMultiProc", "Linear")
"""Plugins whose nodes run on this machine."""
RESULTS = 3
"""Number of the format of the nodes' results; raise it if a node has other outputs than before."""
ROOT = "getnet_bids_" + re.sub(r"\W", "_", f"{__version__}_algorithm_{ALGORITHM}_results_{RESULTS}")
"""Folder of the intermediate files; a new version, algorithm or format starts again in a new folder."""
GRAPH = "comparison.dot"
MARK_FILE = ".getnet-work"
"""File that marks a folder of intermediate files as ours, so that the user's own folders are left alone."""


def compare_images(
    todo: list[tuple[Source, CompareJob | None]], recipe: Recipe, settings: Settings, log: RunLog
) -> None:
    """Correct images by GetNet and another method, segment and measure them, and log the outcome of each.

    Parameters
    ----------
    todo : list of tuple of Source and CompareJob
        At least one; a job that is None is made here, and its error is logged.
    recipe : Recipe
        Recipe of the correction.
    settings : Settings
    log : RunLog

    Raises
    ------
    CommandError
        An option cannot be used.
    """
    # Idle threads should sleep rather than spin.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from .plugins import plugin_of

    plugin = plugin_of(settings)
    device = check_model(recipe, settings, plugin)
    check_template(settings)
    threads = settings.omp_nthreads or threads_for(len(todo), plugin.processes)
    with console.Progress(len(todo)) as progress, nipype_logging(settings.verbose), work_folder(settings, log) as work:
        sources = [source for source, _ in todo]
        watch = Watch(sources, settings.output_dir, log, progress, work / ROOT if settings.work_dir is None else None)
        jobs = []
        for source, planned in todo:
            try:
                job = planned or make_job(source, recipe, settings)
                check_job(job, settings)
                jobs.append(replace(job, device=device, threads=threads))
            except (OSError, ValueError) as error:
                watch.failed(source, 0.0, reason_of(error))
                if settings.stop_on_first_crash:
                    return
        prepare(jobs, settings)
        size = max(MIN_GRAPHS, GRAPHS_PER_PROCESS * plugin.processes)
        for start in range(0, len(jobs), size):
            run_some(jobs[start : start + size], plugin, settings, work, log, watch)
            if settings.stop_on_first_crash and log.counts["failed"]:
                return


def prepare(jobs: Sequence[CompareJob], settings: Settings) -> None:
    """Add the comparison's entries to the files at the top of the output."""
    from .dataset import prepare_comparison

    used = {uri.split(":")[1] for job in jobs for uri in job.uris.values()}
    links = {name: root for name, root in settings.derivative_roots.items() if name in used}
    method = METHODS[settings.compare or ""]
    prepare_comparison(settings.output_dir, method, [job.comparison for job in jobs], links, settings.simulated)


def run_some(
    jobs: Sequence[CompareJob], plugin: Plugin, settings: Settings, work: Path, log: RunLog, watch: Watch
) -> None:
    """Run the workflows of some images."""
    from nipype import Workflow

    from .graph import draw_graph, image_workflow, workflow_name

    workflow = Workflow(ROOT, base_dir=str(work))
    workflow.config["execution"].update(
        {
            "crashdump_dir": str(log.folder.absolute()),
            "crashfile_format": "txt",
            "create_report": "false",
            "job_finished_timeout": "60",
            "poll_sleep_duration": "0.1" if plugin.name in LOCAL_PLUGINS else "2",
            "stop_on_first_crash": str(settings.stop_on_first_crash).lower(),
        }
    )
    if settings.write_graph and not (log.folder / GRAPH).exists():
        draw_graph(image_workflow("comparison", jobs[0], settings), log.folder / GRAPH)
    with ExitStack() as held:
        by_name = {}
        for job in jobs:
            name = workflow_name(job.source)
            if not take_folder(work / ROOT / name, held):
                watch.failed(job.source, 0.0, f"another run is at work on it in {work}; use another --work-dir")
                continue
            if not mark_folder(work / ROOT / name, settings.force):
                reason = f"{work / ROOT / name} was not made by getnet_bids; use another --work-dir"
                watch.failed(job.source, 0.0, reason)
                continue
            workflow.add_nodes([image_workflow(name, job, settings)])
            by_name[name] = job
        if not by_name:
            return
        watch.begin(by_name)
        error = None
        try:
            workflow.run(plugin=plugin.runner(watch, watch.crashed))
        except Exception as raised:
            error = raised
        watch.end(error, settings.stop_on_first_crash)


def take_folder(folder: Path, held: ExitStack) -> bool:
    """Lock an image's folder of intermediate files; return whether no other run uses it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_name(f"{HIDDEN}{folder.name}{LOCK}")
    file = held.enter_context(open(lock, "ab"))  # noqa: SIM115
    if acquire_lock(file, wait=False) is False:
        return False
    held.callback(remove_lock, lock)
    return True


def mark_folder(folder: Path, anew: bool) -> bool:
    """Make (and empty, if asked) an image's folder of intermediate files; return false if it is not one of ours."""
    if folder.exists() and not (folder / MARK_FILE).is_file() and any(folder.iterdir()):
        return False
    if anew:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK_FILE).touch()
    return True


def check_model(recipe: Recipe, settings: Settings, plugin: Plugin) -> str:
    """Return the device; raise an error if it or the weights cannot be used."""
    from getnet_bids.core.device import resolve_device
    from getnet_bids.weights import load_network

    try:
        device = str(resolve_device(settings.device)) if plugin.name in LOCAL_PLUGINS else settings.device
    except GetNetError as error:
        raise console.CommandError(console.USAGE, str(error)) from None
    try:
        load_network(recipe.weights, "cpu")
    except GetNetError as error:
        raise console.CommandError(console.BAD_DATA, str(error)) from None
    return device


def check_template(settings: Settings) -> None:
    """Raise an error if the template does not exist."""
    from getnet_bids.interfaces.templates import BUNDLED, load_template

    if settings.template == BUNDLED or settings.segmentation not in ("auto", "atropos"):
        return
    try:
        load_template(settings.template)
    except (GetNetError, FileNotFoundError) as error:
        code = console.USAGE if isinstance(error, GetNetError) else console.NO_INPUT
        raise console.CommandError(code, f"--template: {error}") from None


@contextmanager
def work_folder(settings: Settings, log: RunLog) -> Iterator[Path]:
    """Yield the folder for intermediate files: the user's, or a temporary one that is kept only if an image failed."""
    if settings.work_dir is not None:
        try:
            settings.work_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise console.CommandError(console.CANNOT_CREATE, f"--work-dir: {reason_of(error)}") from None
        yield settings.work_dir.absolute()
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
        console.say(f"intermediate files of failed images are kept in {folder}; -w {folder} resumes from them")


@contextmanager
def nipype_logging(verbose: bool) -> Iterator[None]:
    """Switch nipype's loggers on or off, since the engine itself reports failures."""
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
