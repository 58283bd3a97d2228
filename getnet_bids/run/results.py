"""Write the results of a corrected image: images, pictures, and last the sidecar that marks it as done."""

from __future__ import annotations

import logging
import math
import platform
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import torch

from getnet_bids import __version__
from getnet_bids.bids.dataset import DESCRIPTION
from getnet_bids.bids.discovery import Source
from getnet_bids.bids.jobs import Job, Target
from getnet_bids.bids.metadata import Metadata, read_object
from getnet_bids.bids.outputs import Outputs, place_beside, sidecar
from getnet_bids.bids.ownership import check_replaceable, remove_result
from getnet_bids.bids.provenance import KEY, REFERENCE, InputFile, Recipe, provenance
from getnet_bids.bids.sidecars import marked_incomplete, write_sidecars
from getnet_bids.bvals import read_bvals, volumes_for_field
from getnet_bids.core import DOUBTFUL
from getnet_bids.core.correction import CorrectedVolume
from getnet_bids.core.network import reduced_precision
from getnet_bids.errors import one_line
from getnet_bids.files import locked, read_bytes, write_bytes
from getnet_bids.formats import Storage
from getnet_bids.grids import on_grid
from getnet_bids.images import like, magnitudes, write
from getnet_bids.masks import foreground_of, skull_stripped
from getnet_bids.reports.pictures import Pictures, draw_pictures
from getnet_bids.series import divide, mean_image, volumes_in

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage
    from numpy.typing import NDArray


LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """An image that has been read.

    Parameters
    ----------
    job : Job
    file : InputFile
        The file that was read.
    image : SpatialImage
        Float32, in memory: the image, or the mean of the volumes of a series from which the field is estimated.
    reference : dict
        What the sidecar says about that mean; empty for a single image.
    further : tuple of SpatialImage
        Other images that share the field, in a joint estimate.
    receive : ndarray, optional
        The measured receive field, on the image's grid.
    volumes : list of int, optional
        Volumes of the series that were averaged, counted from 0; default all.
    """

    job: Job
    file: InputFile
    image: SpatialImage
    reference: dict[str, Any] = field(default_factory=dict)
    further: tuple[SpatialImage, ...] = ()
    receive: NDArray[np.float32] | None = None
    volumes: list[int] | None = None


@dataclass(frozen=True)
class Computed:
    """An image that has been corrected.

    Parameters
    ----------
    loaded : Loaded
    volume : CorrectedVolume
    seconds : float
        Time of the computation.
    device : str
        Name of the device.
    further : tuple of CorrectedVolume
        Results for the other images of a joint estimate.
    """

    loaded: Loaded
    volume: CorrectedVolume
    seconds: float
    device: str
    further: tuple[CorrectedVolume, ...] = ()

    def volume_of(self, target: Target) -> CorrectedVolume:
        """Return the result for a target, which in a joint estimate has its own verdict."""
        own = zip(self.loaded.job.references[1:], self.further, strict=False)
        return next((volume for source, volume in own if source == target.source), self.volume)


@dataclass(frozen=True)
class Average:
    """The mean of some volumes of a file.

    Parameters
    ----------
    image : SpatialImage
        3-D, float32, in memory.
    volumes : list of int or None
        The volumes, counted from 0; None for all.
    text : str
        The same in words.
    """

    image: SpatialImage
    volumes: list[int] | None
    text: str

    @classmethod
    def of(cls, source: Source, metadata: Metadata) -> Average:
        """Average the volumes for the estimate: all, or those of a diffusion series without diffusion weighting."""
        bvals = metadata.bvals(source)
        count = volumes_in(source.path)
        volumes, text = volumes_for_field(count, read_bvals(bvals) if bvals else None, source.relative)
        if source.name.suffix == "dwi" and count > 1 and bvals is None:
            text += ", as there is no .bval file"
        return cls(mean_image(source.path, volumes, source.relative), volumes, text)


def save_locked(computed: Computed, recipe: Recipe, metadata: Metadata, storage: Storage | None = None) -> None:
    """Write an image's results while no other run does, whose options might differ, so that files are never mixed."""
    with ExitStack() as held:
        for target in sorted(computed.loaded.job.targets, key=lambda target: target.source.relative):
            make_folder(target.outputs.corrected.parent, len(Path(target.source.relative).parts) - 1)
            held.enter_context(locked(target.outputs.corrected))
        for target in computed.loaded.job.targets:  # once more, since a user may have changed a file since the plan
            check_replaceable(target.outputs, copies_of(computed.loaded.job, target, metadata))
        save(computed, recipe, metadata, storage)


def copies_of(job: Job, target: Target, metadata: Metadata) -> dict[Path, Path]:
    """Return the files that are copied beside a series, and what each is a copy of."""
    if job.is_plain or target.outputs.reference_only:
        return {}
    beside = metadata.beside(target.source).items()
    return {place_beside(target.outputs.corrected, ending): origin for ending, origin in beside}


def make_folder(folder: Path, depth: int) -> None:
    """Make a folder in a derivative dataset; raise `OSError` if the dataset has been deleted."""
    root = folder.parents[depth - 1]
    (root / DESCRIPTION).stat()
    folder.mkdir(parents=True, exist_ok=True)


def save(computed: Computed, recipe: Recipe, metadata: Metadata, storage: Storage | None = None) -> None:
    """Write a job's results; sidecars mark them as incomplete first, and are written last."""
    storage = storage or Storage()
    loaded, volume = computed.loaded, computed.volume
    job, outputs = loaded.job, loaded.job.outputs
    with marked_incomplete(
        [outputs, *(replace(t.outputs, with_field=False, with_uncertainty=False) for t in job.targets[1:])]
    ):
        gain = like(loaded.image, volume.field)
        if outputs.with_field:
            write(gain, outputs.field, storage.level)
        else:
            remove_result(outputs.field)
        if outputs.with_uncertainty and volume.uncertainty is not None:
            write(like(loaded.image, volume.uncertainty), outputs.uncertainty, storage.level)
        else:
            remove_result(outputs.uncertainty)  # of another estimate
        run = {
            "ForegroundVoxels": int(np.count_nonzero(volume.foreground)),
            "Device": computed.device,
            "Precision": precision_of(volume.device, recipe.options.get("precision", "auto")),
            "Seconds": round(computed.seconds, 3),
            "Software": software(),
        }
        written = [(target, *save_target(computed, target, gain, metadata, storage)) for target in job.targets]
        for i, (target, copies, stripped, found) in enumerate(written):
            file = loaded.file if i == 0 else InputFile.of(target.source.path)
            made = provenance(recipe, file, [*target.outputs.images, *copies], {**run, **found})
            about = {} if job.is_plain else metadata.of(target.source)
            write_sidecars(
                target.source,
                target.outputs,
                stripped,
                made,
                references=job.references,
                metadata=about,
                with_field=i == 0,
            )


def save_target(
    computed: Computed, target: Target, gain: SpatialImage, metadata: Metadata, storage: Storage
) -> tuple[list[Path], tuple[bool, str], dict[str, Any]]:
    """Write a corrected image, the files that belong to it, and its pictures.

    Parameters
    ----------
    computed : Computed
    target : Target
        One of the job's targets.
    gain : SpatialImage
        The field.
    metadata : Metadata
    storage : Storage
        Data type and compression of the corrected image.

    Returns
    -------
    copies : list of Path
        Files that belong to a series, copied beside it.
    skull_stripped : tuple of bool and str
        Whether the image is skull-stripped, and how that was determined.
    found : dict
        For the sidecar: the verdict, measures, and what the field was estimated from.
    """
    loaded, volume = computed.loaded, computed.volume_of(target)
    job, source, path = loaded.job, target.source, target.outputs.corrected
    about, image, after = metadata.of(source), loaded.image, volume.corrected
    field, foreground = volume.field, volume.foreground
    found: dict[str, Any] = {}
    if not job.is_plain:
        inputs = job.inputs(target, metadata)
        files = {relative: InputFile.of(used).as_json for relative, used in inputs.items()}
        volumes = loaded.volumes
        if source != (job.references or (job.source,))[0]:
            average = Average.of(source, metadata)
            image, volumes = average.image, average.volumes
            field = on_grid(gain, image, source.relative)
            after = magnitudes(image) / field
            same = field.shape == foreground.shape and np.allclose(image.affine, gain.affine)
            foreground = foreground if same else foreground_of(image, source.relative)
        found = {REFERENCE: {**loaded.reference, "Files": files}, "Volumes": volumes}
    copies = copies_of(job, target, metadata)
    if job.is_plain or target.outputs.reference_only:
        numbers = storage.numbers(image, source.relative)
        write(numbers.image(like(image, after.reshape(image.shape))), path, storage.level)
    else:
        divide(source.path, gain, path, source.relative, storage)
        for copy, origin in copies.items():
            write_bytes(copy, read_bytes(origin))
    found |= verdict_entries(volume, draw(source, path, image, after, field, foreground, about))
    return list(copies), skull_stripped(magnitudes(image), about), found


def verdict_entries(volume: CorrectedVolume, drawn: dict[str, Any]) -> dict[str, Any]:
    """Return the sidecar's entries on the verdict and the pictures; remarks on the measures are also reasons."""
    reasons = [*volume.reasons, *drawn.get("Remarks", [])]
    return {
        "Verdict": DOUBTFUL if reasons else volume.verdict,
        "Reasons": reasons,
        "FieldSDMedian": finite(volume.field_sd_median),
        "FieldSDP95": finite(volume.field_sd_p95),
        "KnownFieldsFound": finite(volume.known_fields_found),
        **{key: value for key, value in drawn.items() if key != "Remarks"},
    }


def finite(value: float) -> float | None:
    """Round a number to four significant digits; return None, which JSON can store, if it is not finite."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def draw(
    source: Source,
    corrected: Path,
    image: SpatialImage,
    after: NDArray[np.floating],
    field: NDArray[np.floating],
    foreground: NDArray[np.bool_],
    metadata: dict[str, Any],
    desc: str = "preproc",
) -> dict[str, Any]:
    """Draw an image's pictures and return what the pages need from the sidecar. Errors only cause a warning.

    Parameters
    ----------
    source : Source
    corrected : Path
        Path of the result, from which the derivative dataset follows.
    image : SpatialImage
        The image before correction; the mean of a series.
    after : ndarray
        The same after correction.
    field : ndarray
    foreground : ndarray of bool
    metadata : dict
        Metadata of the raw image.
    desc : str
        Value of the ``desc`` entity of the corrected image.

    Returns
    -------
    dict
    """
    root = corrected.parents[len(Path(source.relative).parts) - 1]
    try:
        pictures = Pictures.of(source.name, root, desc)
        pictures.before.parent.mkdir(exist_ok=True)  # not its parents: a dataset that was deleted stays so
        return draw_pictures(image, after, field, foreground, pictures, metadata)
    except Exception as error:
        LOG.warning("%s: no pictures: %s", source.relative, one_line(error))
        return {}


def verdict_of(outputs: Outputs) -> tuple[str, list[str]]:
    """Read the verdict on a result, and its reasons, from the sidecar."""
    made = read_object(sidecar(outputs.corrected)).get(KEY)
    made = made if isinstance(made, dict) else {}
    return str(made.get("Verdict", "n/a")), [str(reason) for reason in made.get("Reasons", [])]


def precision_of(device: torch.device, precision: str = "auto") -> str:
    """Return the precision in which the network runs on a device, given the option."""
    return "bfloat16" if reduced_precision(precision, device) else "float32"


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
