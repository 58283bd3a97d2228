"""Jobs of a comparison: an image with its brain mask and segmentation from other pipelines."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from getnet_bids.bids.discovery import Source, entries, not_fetched
from getnet_bids.bids.names import NIFTI
from getnet_bids.bids.outputs import Outputs
from getnet_bids.bids.provenance import Recipe, is_done
from getnet_bids.columns import TISSUES
from getnet_bids.errors import GetNetError
from getnet_bids.labels import FREESURFER_DESCS, table_of
from getnet_bids.settings import Settings

from .methods import METHODS, Method
from .outputs import Comparison, is_compared


@dataclass(frozen=True)
class Derivatives:
    """The segmentation of an image in one derivative dataset.

    Parameters
    ----------
    dataset : str
        Name of the dataset.
    mask : Path or None
        Brain mask.
    dseg : Path or None
        Tissue labels.
    probsegs : dict of Path
        Probabilities by tissue, for all of `TISSUES` or none.
    """

    dataset: str
    mask: Path | None = None
    dseg: Path | None = None
    probsegs: dict[str, Path] = field(default_factory=dict)

    @property
    def has_tissues(self) -> bool:
        """Whether there are labels or probabilities of tissues."""
        return self.dseg is not None or bool(self.probsegs)


def find_derivatives(source: Source, roots: Mapping[str, Path]) -> Derivatives | None:
    """Find the segmentation of an image in derivative datasets.

    A file belongs to the image if none of its entities contradicts the image's. Files that share more entities are
    preferred, and the image's session is preferred to its subject. Files in a standard space are ignored. Names do not
    say from which image of a session a segmentation was made, so the caller has to check that the grids agree.

    Parameters
    ----------
    source : Source
    roots : mapping of str to Path
        Derivative datasets by name.

    Returns
    -------
    Derivatives or None
        From the first dataset with tissues, otherwise from the first with a mask; None if there is none.
    """
    found = [found for name, root in roots.items() if (found := of_dataset(source, name, root))]
    return next((one for one in found if one.has_tissues), found[0] if found else None)


def of_dataset(source: Source, dataset: str, root: Path) -> Derivatives | None:
    """Find the segmentation of an image in one dataset, or return None."""
    subject, session = (source.name.entities.get(key) for key in ("sub", "ses"))
    folders = [root / f"sub-{subject}" / "anat"]
    if session:
        folders.insert(0, root / f"sub-{subject}" / f"ses-{session}" / "anat")
    best: dict[tuple[str, str], tuple[tuple[bool, int], Path]] = {}
    for folder in folders:
        for entry in entries(folder):
            if entry.endswith(NIFTI) and (match := kind_and_score(entry, source)):
                kind, score = match
                if kind not in best or score > best[kind][0]:
                    best[kind] = score, folder / entry
    mask, dseg = (best[kind][1] if kind in best else None for kind in (("mask", ""), ("dseg", "")))
    probsegs = {tissue: best["probseg", tissue][1] for tissue in TISSUES if ("probseg", tissue) in best}
    found = Derivatives(dataset, mask, dseg, probsegs if len(probsegs) == len(TISSUES) else {})
    return found if found.mask or found.has_tissues else None


def kind_and_score(file: str, source: Source) -> tuple[tuple[str, str], tuple[bool, int]] | None:
    """Return the kind of a file (mask, labels, probabilities) for an image, and how well its name matches.

    Parameters
    ----------
    file : str
        Name of the file.
    source : Source
        The image.

    Returns
    -------
    tuple of (suffix, tissue) and of (bool, int), or None
        The kind; whether it is not one of FreeSurfer's segmentations, which come last, and a number that grows with the
        entities that it shares with the image. None if the file is of no use.
    """
    parts = re.fullmatch(r"((?:[a-zA-Z]+-[0-9a-zA-Z+]+_)+)(mask|dseg|probseg)\.nii(?:\.gz)?", file)
    if parts is None:
        return None
    entities = dict(pair.split("-", 1) for pair in parts[1].rstrip("_").split("_"))
    suffix, own = parts[2], source.name.suffix
    desc, tissue = entities.pop("desc", None), entities.pop("label", "")
    freesurfer = suffix == "dseg" and desc in FREESURFER_DESCS
    fitting = desc == "brain" if suffix == "mask" else desc in (None, own) or freesurfer
    fitting &= tissue in TISSUES if suffix == "probseg" else not tissue
    fitting &= entities.pop("space", "orig") in ("orig", own) and entities.pop("mod", own) == own
    if not fitting or not entities.items() <= source.name.entities.items():
        return None
    return (suffix, tissue), (not freesurfer, 2 * len(entities) + (desc == own))


@dataclass(frozen=True)
class CompareJob:
    """An image whose corrections are compared.

    Parameters
    ----------
    source : Source
    outputs : Outputs
        Outputs of the correction by GetNet, as without a comparison.
    comparison : Comparison
        The files that the comparison adds.
    correction, recipe : Recipe
        Recipes of the correction and of the comparison.
    device : str
        Device of the network.
    threads : int
        Threads of each node.
    existing : dict of Path
        Files of an existing segmentation, by name: dseg, brain_mask, and tissues.
    uris : dict of str
        BIDS URIs of these files, by the same names.
    """

    source: Source
    outputs: Outputs
    comparison: Comparison
    correction: Recipe
    recipe: Recipe
    device: str = "auto"
    threads: int = 1
    existing: dict[str, Path] = field(default_factory=dict)
    uris: dict[str, str] = field(default_factory=dict)

    @property
    def method(self) -> Method:
        """The method that GetNet is compared with."""
        return self.comparison.method


def make_job(source: Source, recipe: Recipe, settings: Settings) -> CompareJob:
    """Make the job of an image, except for its device and threads.

    Parameters
    ----------
    source : Source
    recipe : Recipe
        Recipe of the correction.
    settings : Settings

    Returns
    -------
    CompareJob
        With absolute paths, since nodes run in their own folders.

    Raises
    ------
    OSError
        A file of an existing segmentation cannot be read.
    """
    source = replace(source, root=source.root.absolute())
    root = settings.output_dir.absolute()
    method = METHODS[settings.compare or ""]
    found = existing_segmentation(source, settings)
    options: dict[str, Any] = {
        "compare": settings.compare,
        "segmentation": settings.segmentation,
        "template": settings.template,
    }
    if settings.simulate_gain is not None:
        options |= {"simulate_gain": settings.simulate_gain, "random_seed": settings.random_seed}
    files, uris = {}, {}
    if found is not None:
        dataset = settings.derivative_roots[found.dataset].absolute()
        paths = {"brain_mask": found.mask, "dseg": found.dseg, **found.probsegs}
        files = {name: path.absolute() for name, path in paths.items() if path is not None}
        uris = {name: f"bids:{found.dataset}:{path.relative_to(dataset).as_posix()}" for name, path in files.items()}
    return CompareJob(
        source,
        Outputs.of(source, root, not settings.no_field),
        Comparison.of(source, root, method, not settings.no_field, settings.simulate_gain is not None),
        recipe,
        recipe_of(recipe, source, options, found),
        existing=files,
        uris=uris,
    )


def recipe_of(recipe: Recipe, source: Source, options: dict[str, Any], existing: Derivatives | None) -> Recipe:
    """Return the recipe of a comparison, made from that of the correction.

    Parameters
    ----------
    recipe : Recipe
        Recipe of the correction.
    source : Source
    options : dict
        Options of the comparison. With ``simulate_gain``, the image gets its own seed.
    existing : Derivatives or None
        An existing segmentation to use, whose files become part of the recipe in their present state.

    Returns
    -------
    Recipe
    """
    options = {**recipe.options, **options}
    if options.get("simulate_gain") is not None:
        text = f"{options['random_seed']} {source.relative}"
        options["gain_seed"] = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
    if existing is not None:
        options["given"] = {str(path): state(path) for path in files_of(existing)}
    return replace(recipe, options=options)


def files_of(existing: Derivatives) -> list[Path]:
    """List the files of a segmentation, among them the table of its labels."""
    table = existing.dseg and table_of(existing.dseg)
    paths = (existing.mask, existing.dseg, table, *existing.probsegs.values())
    return [path for path in paths if path is not None]


def state(path: Path) -> list[int]:
    """Return a file's size in bytes and modification time in microseconds."""
    now = path.stat()
    return [now.st_size, now.st_mtime_ns // 1000]


def existing_segmentation(source: Source, settings: Settings) -> Derivatives | None:
    """Find the existing segmentation of an image, if it is to be used."""
    if not settings.derivatives or settings.segmentation == "none":
        return None
    found = find_derivatives(source, settings.derivative_roots)
    if found is not None and settings.segmentation == "atropos":
        return replace(found, dseg=None, probsegs={}) if found.mask else None
    return found


def is_finished(job: CompareJob) -> bool:
    """Return whether an image's correction and comparison are complete and were made from the same input and recipe."""
    if not job.comparison.simulated and not is_done(job.source.path, job.outputs, job.correction):
        return False
    return is_compared(job.comparison, job.recipe)


def check_job(job: CompareJob, settings: Settings) -> None:
    """Raise `GetNetError` if an image cannot be compared as asked."""
    if remedy := not_fetched(job.source.path):
        raise GetNetError(remedy, job.source.relative)
    if settings.segmentation == "derivatives" and not job.existing.keys() - {"brain_mask"}:
        text = "the derivatives have no dseg or probseg of it; let --segmentation be auto"
        raise GetNetError(text, job.source.relative)
