"""What there is to know of an image whose corrections are compared."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from getnet_bids.bids.discovery import Source, not_fetched
from getnet_bids.bids.outputs import Outputs
from getnet_bids.bids.provenance import Recipe, is_done
from getnet_bids.errors import GetNetError
from getnet_bids.settings import Settings

from .existing import Derivatives, find_derivatives
from .methods import METHODS, Method
from .outputs import Comparison, is_compared, recipe_of


@dataclass(frozen=True)
class CompareJob:
    """An image to compare the corrections of.

    Parameters
    ----------
    source : Source
    outputs : Outputs
        Of the correction by GetNet, as without a comparison.
    comparison : Comparison
        What is added to it.
    correction, recipe : Recipe
        What fixes the correction, and the comparison.
    device : str
        Of the network.
    threads : int
        Of each node.
    existing : dict of Path
        A segmentation that exists already, by name: dseg, brain_mask, and tissues.
    uris : dict of str
        BIDS URIs of these, by the same names.
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
    """Collect what there is to know of an image, but for device and threads.

    Parameters
    ----------
    source : Source
    recipe : Recipe
        Of the correction.
    settings : Settings

    Returns
    -------
    CompareJob
        Paths absolute, since nodes run in folders of their own.

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


def existing_segmentation(source: Source, settings: Settings) -> Derivatives | None:
    """Look up a segmentation of an image that exists already and is to be used."""
    if not settings.derivatives or settings.segmentation == "none":
        return None
    found = find_derivatives(source, settings.derivative_roots)
    if found is not None and settings.segmentation == "atropos":
        return replace(found, dseg=None, probsegs={}) if found.mask else None
    return found


def is_finished(job: CompareJob) -> bool:
    """Return whether an image's correction and comparison are complete and were made from the same."""
    if not job.comparison.simulated and not is_done(job.source.path, job.outputs, job.correction):
        return False
    return is_compared(job.comparison, job.recipe)


def check_job(job: CompareJob, settings: Settings) -> None:
    """Raise `GetNetError` if an image cannot be compared as asked."""
    if not_fetched(job.source.path):
        raise GetNetError("not fetched; run `datalad get` on it", job.source.relative)
    if settings.segmentation == "derivatives" and not job.existing.keys() - {"brain_mask"}:
        text = "the derivatives have no dseg or probseg of it; let --segmentation be auto"
        raise GetNetError(text, job.source.relative)
