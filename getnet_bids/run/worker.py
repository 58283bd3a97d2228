"""Correct a dataset's jobs: read, correct, write, several at a time."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from getnet_bids.bids.discovery import not_fetched
from getnet_bids.bids.jobs import Job
from getnet_bids.bids.metadata import Metadata
from getnet_bids.bids.provenance import InputFile, Recipe
from getnet_bids.bids.status import RunLog
from getnet_bids.core import CORRECTED, NOTHING
from getnet_bids.core.correction import CorrectedVolume, correct_together, divide_by_measured
from getnet_bids.core.device import device_text, torch_threads
from getnet_bids.core.options import Options
from getnet_bids.core.verdict import MIN_FIELD_SD
from getnet_bids.errors import GetNetError, errors_about, is_expected, reason_of
from getnet_bids.formats import Storage
from getnet_bids.grids import receive_field
from getnet_bids.headers import add_header_reasons
from getnet_bids.images import decode, magnitudes, silence_nibabel, voxel_size
from getnet_bids.reports.pages import Pages

from .console import Progress
from .pipeline import DEFAULT_MEMORY, MemoryBudget, Outcome, memory_of, stream
from .results import Average, Computed, Loaded, save_locked, verdict_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from getnet_bids.core.network import GetNet

LOG = logging.getLogger(__name__)


def load(job: Job, metadata: Metadata) -> Loaded:
    """Read the image, or the images, from which a job's field is estimated."""
    for one in [*(target.source for target in job.targets), *job.references, *job.receive]:
        if remedy := not_fetched(one.path):
            raise GetNetError(remedy, one.relative)
        for path in metadata.beside(one).values():
            if remedy := not_fetched(path):
                raise GetNetError(remedy, path)
        for path, why in metadata.unusable(one).items():
            LOG.warning("%s: its metadata are not used: %s", path, why)
    source = job.source
    if job.receive_alone and not job.receive:
        text = "no pair of RB1COR images in fmap of its session; let --receive-field be auto, or leave it out"
        raise GetNetError(text, source.relative)
    if job.is_plain:
        file, data = InputFile.read(source.path)
        return Loaded(job, file, decode(data, source.relative))
    reference = job.references[0] if job.references else source
    average = Average.of(reference, metadata)
    further = tuple(Average.of(one, metadata).image for one in job.references[1:]) if job.joint else ()
    if "lowest shell" in average.text or "no .bval" in average.text:
        LOG.warning("%s: field from the %s", reference.relative, average.text)
    used = job.references if job.joint else [reference]
    text = f"joint estimate of {len(used)} images" if job.joint else average.text
    about: dict[str, Any] = {"Sources": [one.uri for one in used], "Method": text}
    receive = None
    if job.receive:
        head, body = (Average.of(one, metadata).image for one in job.receive)
        names = job.receive[0].relative, job.receive[1].relative
        receive = receive_field(head, body, average.image, names, source.relative)
        use = "alone" if job.receive_alone else "divided out first; the rest was estimated"
        about["Receive"] = {"Sources": [one.uri for one in job.receive], "Use": use}
    return Loaded(job, InputFile.of(source.path), average.image, about, further, receive, average.volumes)


def compute(loaded: Loaded, network: GetNet, options: Options, threads: int = -1) -> Computed:
    """Correct an image, with a number of torch's threads; -1 for torch's default."""
    started = time.monotonic()
    voxels = magnitudes(loaded.image)
    size = voxel_size(loaded.image, loaded.job.source.relative)
    with errors_about(loaded.job.source.relative), torch_threads(threads):
        images = [voxels.reshape(voxels.shape[:4]), *(magnitudes(image) for image in loaded.further)]
        volumes = correct_loaded(images, size, network, options, loaded)
        volume, *further = (add_header_reasons(one, loaded.image, size, options.smoothness) for one in volumes)
        device = device_text(volume.device)  # with the number of threads
    return Computed(loaded, volume, time.monotonic() - started, device, tuple(further))


def correct_loaded(
    images: list[NDArray[np.float32]],
    size: tuple[float, ...],
    network: GetNet,
    options: Options,
    loaded: Loaded,
) -> list[CorrectedVolume]:
    """Correct one image, or several with a common field, by an estimate, a measured receive field, or both."""
    receive = loaded.receive
    if receive is None:
        return correct_together(images, size, network, options=options)
    if loaded.job.receive_alone:
        volumes = [divide_by_measured(image, size, receive) for image in images]
    else:
        volumes = correct_together([image / receive for image in images], size, network, options=options)
    gain = receive if loaded.job.receive_alone else receive * volumes[0].field
    log = np.log(gain[volumes[0].foreground], dtype=np.float64)
    gain = gain / np.exp(log.mean()).astype(np.float32)
    changed = log.std() > MIN_FIELD_SD  # there may be nothing left to correct after the measured field
    return [
        replace(
            one,
            corrected=image / gain,
            field=gain,
            verdict=CORRECTED if changed and one.verdict == NOTHING else one.verdict,
        )
        for one, image in zip(volumes, images, strict=True)
    ]


def run_jobs(
    jobs: list[Job],
    network: GetNet,
    options: Options,
    recipe: Recipe,
    log: RunLog,
    stop_on_failure: bool = False,
    memory: int = DEFAULT_MEMORY,
    compute_workers: int = 1,
    io_workers: int = 1,
    threads: int = -1,
    storage: Storage | None = None,
) -> None:
    """Run all jobs and log the outcome of each.

    Parameters
    ----------
    jobs : list of Job
        At least one.
    network : GetNet
        On its device.
    options : Options
        Options of the recipe, and the batch size.
    recipe : Recipe
        Stored in the sidecars.
    log : RunLog
    stop_on_failure : bool
        Start no further image after one has failed.
    memory : int
        Bytes that all images in progress may take; an image that needs more is processed by itself.
    compute_workers : int
        Number of images that are computed at a time.
    io_workers : int
        Number of further images that may be read or written at the same time.
    threads : int
        Threads for each image that is computed; -1 for torch's default.
    storage : Storage, optional
        Data type and compression of the images; default float32.
    """
    silence_nibabel()
    metadata = Metadata(jobs[0].source.root)
    targets = [target for job in jobs for target in job.targets]
    pages = Pages(log.folder.parents[1], [target.source for target in targets])
    # Set here, since part of torch uses the number set in one thread for all threads, and in each thread in `compute`.
    with torch_threads(threads), Progress(len(targets)) as progress:

        def report(outcome: Outcome[Job]) -> bool:
            reason = None
            if outcome.error is not None:
                reason = reason_of(outcome.error)
                if not is_expected(outcome.error):
                    stem = Path(outcome.job.source.relative).name.partition(".")[0]
                    reason = f"{type(outcome.error).__name__}: {reason}; see {log.crash(stem, outcome.error)}"
                elif isinstance(outcome.error, GetNetError):
                    about = outcome.error.subject
                    if about and (outcome.job.others or about != outcome.job.source.relative):
                        reason = f"{about}: {reason}"  # if one of several cannot be used, all fail
            for target in outcome.job.targets:
                relative, seconds = target.source.relative, outcome.seconds / len(outcome.job.targets)
                if reason is None:
                    log.add_done(relative, seconds, *verdict_of(target.outputs))
                else:
                    log.add(relative, "failed", seconds, reason)
                pages.ended(target.source)
                progress.ended(relative, seconds, reason)
            return reason is None or not stop_on_failure

        stream(
            jobs,
            partial(load, metadata=metadata),
            partial(compute, network=network, options=options, threads=threads),
            partial(save_locked, recipe=recipe, metadata=metadata, storage=storage),
            report,
            cost_of,
            MemoryBudget(memory),
            compute_workers,
            io_workers,
        )


def cost_of(job: Job) -> int:
    """Estimate the peak memory of a job in bytes; series are never in memory as a whole."""
    if job.is_plain:
        return memory_of(job.source.path)
    costs = [memory_of(target.source.path, series=True) for target in job.targets]
    return sum(costs) if job.joint else 2 * max(costs)
