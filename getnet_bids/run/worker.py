"""The correction of one image of a dataset: read, correct, write; and of all, some side by side."""

from __future__ import annotations

import logging
import math
import platform
import time
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import torch

from getnet_bids import __version__
from getnet_bids.bids.dataset import DESCRIPTION
from getnet_bids.bids.discovery import Source, not_fetched
from getnet_bids.bids.metadata import Metadata, read_object
from getnet_bids.bids.outputs import Outputs, sidecar
from getnet_bids.bids.provenance import KEY, InputFile, Recipe, provenance
from getnet_bids.bids.sidecars import write_sidecars
from getnet_bids.bids.skull import skull_stripped
from getnet_bids.bids.status import RunLog
from getnet_bids.core.correction import CorrectedVolume, Options, correct_volume, reduced_precision
from getnet_bids.core.device import torch_threads
from getnet_bids.errors import GetNetError, errors_about, is_expected, one_line, reason_of
from getnet_bids.images import decode, like, magnitudes, silence_nibabel, voxel_size, write
from getnet_bids.lengths import with_lengths
from getnet_bids.locks import locked
from getnet_bids.reports.pages import Pages
from getnet_bids.reports.pictures import Pictures, draw_pictures

from .console import Progress
from .pipeline import MEMORY, MemoryBudget, Outcome, memory_of, stream

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage

    from getnet_bids.core.network import GetNet


@dataclass(frozen=True)
class Job:
    """An image to do.

    Parameters
    ----------
    source : Source
    outputs : Outputs
    """

    source: Source
    outputs: Outputs


@dataclass(frozen=True)
class Loaded:
    """An image read.

    Parameters
    ----------
    job : Job
    file : InputFile
        What was read.
    image : SpatialImage
        Float32, in memory.
    """

    job: Job
    file: InputFile
    image: SpatialImage


@dataclass(frozen=True)
class Computed:
    """An image corrected.

    Parameters
    ----------
    loaded : Loaded
    volume : CorrectedVolume
    seconds : float
        What computing took.
    device : str
        Where, by name.
    """

    loaded: Loaded
    volume: CorrectedVolume
    seconds: float
    device: str = ""


def load(job: Job) -> Loaded:
    """Read a job's image."""
    source = job.source
    if not_fetched(source.path):
        raise GetNetError("not fetched; run `datalad get` on it", source.relative)
    file, data = InputFile.read(source.path)
    return Loaded(job, file, decode(data, source.relative))


def compute(loaded: Loaded, network: GetNet, options: Options) -> Computed:
    """Correct an image."""
    started = time.monotonic()
    voxels = magnitudes(loaded.image)
    size = voxel_size(loaded.image, loaded.job.source.relative)
    with errors_about(loaded.job.source.relative):
        volume = correct_volume(voxels.reshape(voxels.shape[:4]), size, network, options=options)
        volume = with_lengths(volume, loaded.image, size, options.smoothness)
    return Computed(loaded, volume, time.monotonic() - started, device_text(volume.device))


def save(computed: Computed, recipe: Recipe, metadata: Metadata, device: str) -> None:
    """Write an image's results; the sidecars, which say that they are complete, go first and come last."""
    loaded, volume = computed.loaded, computed.volume
    image, outputs = loaded.image, loaded.job.outputs
    for path in (outputs.corrected, outputs.field, outputs.uncertainty):
        sidecar(path).unlink(missing_ok=True)
    write(like(image, volume.corrected.reshape(image.shape)), outputs.corrected)
    if outputs.with_field:
        write(like(image, volume.field), outputs.field)
    else:
        outputs.field.unlink(missing_ok=True)
    if outputs.with_uncertainty and volume.uncertainty is not None:
        write(like(image, volume.uncertainty), outputs.uncertainty)
    else:
        outputs.uncertainty.unlink(missing_ok=True)  # of another estimate
    source = loaded.job.source
    about = metadata.of(source)
    run = {
        "ForegroundVoxels": int(np.count_nonzero(volume.foreground)),
        "Device": device,
        "Precision": precision_of(recipe, volume.device),
        "Seconds": round(computed.seconds, 3),
        "Software": software(),
        **judged(volume, draw(computed, about)),
    }
    made = provenance(recipe, loaded.file, outputs.images, run)
    write_sidecars(source, outputs, skull_stripped(magnitudes(image), about), made)


def judged(volume: CorrectedVolume, drawn: dict[str, Any]) -> dict[str, Any]:
    """Return what the sidecar holds of the verdict, and what was drawn; what measures remark on is a reason too."""
    reasons = [*volume.reasons, *drawn.get("Remarks", [])]
    return {
        "Verdict": "doubtful" if reasons else volume.verdict,
        "Reasons": reasons,
        "FieldSDMedian": finite(volume.field_sd_median),
        "FieldSDP95": finite(volume.field_sd_p95),
        **{key: value for key, value in drawn.items() if key != "Remarks"},
    }


def finite(value: float) -> float | None:
    """Round a number to four significant digits; None, which JSON has, for one that is not finite."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def draw(computed: Computed, metadata: dict[str, Any], desc: str = "preproc") -> dict[str, Any]:
    """Draw an image's pictures and return what the sidecar holds for the pages. What goes wrong is only warned of."""
    source, outputs = computed.loaded.job.source, computed.loaded.job.outputs
    volume = computed.volume
    root = outputs.corrected.parents[len(Path(source.relative).parts) - 1]
    try:
        pictures = Pictures.of(source.name, root, desc)
        pictures.before.parent.mkdir(exist_ok=True)  # not its parents: a dataset that was deleted stays so
        return draw_pictures(
            computed.loaded.image, volume.corrected, volume.field, volume.foreground, pictures, metadata
        )
    except Exception as error:
        logging.getLogger(__name__).warning("%s: no pictures: %s", source.relative, one_line(error))
        return {}


def make_folder(folder: Path, depth: int) -> None:
    """Make a folder so deep in a derivative dataset; raise `OSError` if that is gone: no result is without its mark."""
    root = folder.parents[depth - 1]
    (root / DESCRIPTION).stat()
    folder.mkdir(parents=True, exist_ok=True)


def save_alone(computed: Computed, recipe: Recipe, metadata: Metadata) -> None:
    """Write an image's results while no other run writes them: they might be of other options, and get mixed."""
    outputs = computed.loaded.job.outputs
    make_folder(outputs.corrected.parent, len(Path(computed.loaded.job.source.relative).parts) - 1)
    with locked(outputs.corrected):
        save(computed, recipe, metadata, computed.device)


def run_jobs(
    jobs: list[Job],
    network: GetNet,
    options: Options,
    recipe: Recipe,
    log: RunLog,
    stop_on_failure: bool = False,
    memory: int = MEMORY,
    compute_workers: int = 1,
    io_workers: int = 1,
    threads: int = -1,
) -> None:
    """Run all jobs and log the outcome of each.

    Parameters
    ----------
    jobs : list of Job
        At least one.
    network : GetNet
        On its device.
    options : Options
        The recipe's, and the batch size.
    recipe : Recipe
        For the sidecars.
    log : RunLog
    stop_on_failure : bool
        Begin no further image after one failed.
    memory : int
        Bytes that the images in work may take; one that takes more is done by itself.
    compute_workers : int
        Images that are computed at a time.
    io_workers : int
        Further images that may be read or written meanwhile.
    threads : int
        For each that is computed; -1: torch's.
    """
    silence_nibabel()
    metadata = Metadata(jobs[0].source.root)
    pages = Pages(log.folder.parents[1], [job.source for job in jobs])
    # Set once: a number that is set in one thread holds for a part of torch in all.
    with torch_threads(threads), Progress(len(jobs)) as progress:

        def report(outcome: Outcome[Job]) -> bool:
            source = outcome.job.source.relative
            if outcome.error is None:
                log.add_done(source, outcome.seconds, *verdict_of(outcome.job.outputs))
                pages.ended(outcome.job.source)
                progress.ended(source, outcome.seconds)
                return True
            reason = reason_of(outcome.error)
            if not is_expected(outcome.error):
                stem = Path(source).name.partition(".")[0]
                reason = f"{type(outcome.error).__name__}: {reason}; see {log.crash(stem, outcome.error)}"
            log.add(source, "failed", outcome.seconds, reason)
            pages.ended(outcome.job.source)
            progress.ended(source, outcome.seconds, reason)
            return not stop_on_failure

        stream(
            jobs,
            load,
            partial(compute, network=network, options=options),
            partial(save_alone, recipe=recipe, metadata=metadata),
            report,
            lambda job: memory_of(job.source.path),
            MemoryBudget(memory),
            compute_workers,
            io_workers,
        )


def verdict_of(outputs: Outputs) -> tuple[str, list[str]]:
    """Read the verdict on a result, and its reasons, from the sidecar."""
    made = read_object(sidecar(outputs.corrected)).get(KEY)
    made = made if isinstance(made, dict) else {}
    return str(made.get("Verdict", "n/a")), [str(reason) for reason in made.get("Reasons", [])]


def precision_of(recipe: Recipe, device: torch.device) -> str:
    """Return the precision that the network ran in."""
    return "bfloat16" if reduced_precision(recipe.options.get("precision", "auto"), device) else "float32"


def device_text(device: torch.device) -> str:
    """Name a device, with all that results depend on."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"


def software() -> dict[str, Any]:
    """Return the versions that results depend on."""
    return {
        "getnet_bids": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": version("scipy"),
        "nibabel": nib.__version__,
        "Python": platform.python_version(),
        "System": f"{platform.system()} {platform.machine()}",
    }
