"""Paths of the results of a comparison, and whether they are complete."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from getnet_bids.bids.discovery import Source, entries, not_fetched, rejection_reason
from getnet_bids.bids.metadata import read_object
from getnet_bids.bids.names import NIFTI, ON_REQUEST, WEIGHTED, Name
from getnet_bids.bids.outputs import Outputs, sidecar
from getnet_bids.bids.ownership import is_intact, refusal, refusal_of_results
from getnet_bids.bids.provenance import CHECKSUMS, INCOMPLETE, KEY, SIZES, Recipe, is_done
from getnet_bids.marks import CHANGED, NOT_OURS

from .methods import GETNET, Method

FILES, FILE_CHECKSUMS = "Files", "FileChecksums"
"""Keys of the other method's sidecar for all files of the comparison: their sizes and their checksums."""
RAW_ONLY = ("flip", "inv", "mt")
"""Entities of raw images that BIDS does not allow for masks and segmentations; they become part of desc-."""


@dataclass(frozen=True)
class Comparison:
    """The files that a comparison of one image adds to its correction.

    Parameters
    ----------
    source : Source
        The raw image.
    root : Path
        The derivative dataset.
    method : Method
        The method that GetNet is compared with.
    with_field : bool
        Whether to write fields.
    contrast : str or None
        The ``desc`` of the segmentation, if another image's segmentation would otherwise have the same name.
    simulated : bool
        Whether the image is shaded first; the names then say that no file is the correction of a real image.

    Examples
    --------
    >>> source = Source(Path("/raw"), "sub-01/anat/sub-01_T1w.nii.gz", Name.parse("sub-01_T1w.nii.gz"))
    >>> method = Method("N4", "N4 (ANTs)", "", "")
    >>> real, simulated = (Comparison(source, Path(""), method, simulated=kind) for kind in (False, True))
    >>> real.other.corrected.as_posix(), simulated.other.corrected.as_posix()
    ('sub-01/anat/sub-01_desc-N4_T1w.nii.gz', 'sub-01/anat/sub-01_desc-simulatedN4_T1w.nii.gz')
    >>> real.metrics.name, real.probseg("GM").name, replace(real, contrast="T1w").probseg("GM").name
    ('sub-01_mod-T1w_desc-inu_metrics.tsv', 'sub-01_label-GM_probseg.nii.gz', 'sub-01_label-GM_desc-T1w_probseg.nii.gz')
    >>> real.figure.as_posix()
    'sub-01/figures/sub-01_mod-T1w_desc-inu_comparison.png'
    """

    source: Source
    root: Path
    method: Method
    with_field: bool = True
    contrast: str | None = None
    simulated: bool = False

    @classmethod
    def of(
        cls, source: Source, root: Path, method: Method, with_field: bool = True, simulated: bool = False
    ) -> Comparison:
        """Determine the files of an image's comparison, considering other images in its folder."""
        return cls(source, root, method, with_field, contrast_of(source), simulated)

    @property
    def other(self) -> Outputs:
        """Results of the other method; the sidecar of its corrected image marks the comparison as complete."""
        return self._pair(f"simulated{self.method.name}" if self.simulated else self.method.name)

    @property
    def getnet(self) -> Outputs:
        """Results of GetNet."""
        return self._pair(f"simulated{GETNET}" if self.simulated else "preproc")

    @property
    def shaded(self) -> Outputs:
        """The image times the simulated field, and that field, which is always kept."""
        return replace(self._pair("simulated"), with_field=True)

    @property
    def dseg(self) -> Path:
        """The labels."""
        return self._segmentation("dseg")

    @property
    def dseg_table(self) -> Path:
        """The table with the names of the labels."""
        return self._segmentation("dseg", ".tsv")

    @property
    def mask(self) -> Path:
        """The brain."""
        return self._segmentation("mask", desc=self.segmentation_desc or "brain")

    def probseg(self, tissue: str) -> Path:
        """Return the path of the probabilities of a tissue or class."""
        return self._segmentation("probseg", label=tissue.replace(" ", ""))

    @property
    def metrics(self) -> Path:
        """The measures by method and tissue."""
        return self.folder / str(self._derived("metrics", ".tsv", desc="inu"))

    @property
    def table1(self) -> Path:
        """The errors in the form of the paper's Table 1, if the truth is known."""
        return self.folder / str(self._derived("metrics", ".tsv", desc="table1"))

    @property
    def figure(self) -> Path:
        """The comparison in one figure."""
        name = self._derived("comparison", ".png", desc="inu")
        return self.root / f"sub-{self.source.name.entities['sub']}" / "figures" / str(name)

    @property
    def folder(self) -> Path:
        """The folder of the images."""
        return self.root / Path(self.source.relative).parent

    @property
    def segmentation_desc(self) -> str | None:
        """The ``desc`` of labels and probabilities."""
        return ("simulated" if self.simulated else "") + (self.contrast or "") or None

    def _derived(self, suffix: str, extension: str, **entities: str) -> Name:
        return self.source.name.derived(suffix, extension, mod=self.source.name.suffix, **entities)

    def _pair(self, desc: str) -> Outputs:
        corrected = self.source.name.derived(desc=desc)
        field = self._derived("biasfield", ".nii.gz", desc=desc)
        return Outputs(self.folder / str(corrected), self.folder / str(field), self.with_field)

    def _segmentation(self, suffix: str, extension: str = ".nii.gz", **entities: str) -> Path:
        if self.segmentation_desc:
            entities.setdefault("desc", self.segmentation_desc)
        return self.folder / str(segmentation_name(self.source.name).derived(suffix, extension, **entities))


def segmentation_name(name: Name) -> Name:
    """Remove the entities that segmentations cannot have from a name."""
    return replace(name, entities={key: value for key, value in name.entities.items() if key not in RAW_ONLY})


def contrast_of(source: Source) -> str | None:
    """Return the ``desc`` that the segmentation of an image needs if another one in its folder has the same name.

    It depends only on the dataset, not on which images are selected, so that a run with another selection adds to the
    results and does not replace them.

    Parameters
    ----------
    source : Source

    Returns
    -------
    str or None
        The suffix and the entities that segmentations cannot have; None if no other segmentation has the same name.
    """
    own = source.name
    further = "".join(f"{key}{own.entities[key]}" for key in RAW_ONLY if key in own.entities)
    if not further and not any(name_collides(own, file) for file in entries(source.path.parent)):
        return None
    return own.suffix + further


def name_collides(own: Name, file: str) -> bool:
    """Return whether a segmentation of a file would have the same name as that of an image."""
    try:
        other = Name.parse(file)
    except ValueError:
        return False
    if other.suffix not in (*WEIGHTED, *ON_REQUEST) or other.extension not in NIFTI:
        return False
    place = {key: value for key, value in own.entities.items() if key in ("sub", "ses")}
    if (other.suffix, other.entities) == (own.suffix, own.entities) or rejection_reason(other, place):
        return False
    return segmentation_name(other).entities == segmentation_name(own).entities


def files_before(comparison: Comparison) -> dict[str, Any]:
    """Read what the other method's sidecar records of the files of an earlier comparison of the image.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    dict of dict
        Sizes in bytes and checksums by path from the dataset's root, as returned by `provenance.record`. Some of these
        files will be removed, and a sidecar may contain anything, so only this subject's files with names of results
        are listed.
    """
    made = read_object(sidecar(comparison.other.corrected)).get(KEY)
    subject = f"sub-{re.escape(comparison.source.name.entities['sub'])}"
    ours = re.compile(f"{subject}/(?:[0-9a-zA-Z+-]+/)*{subject}_[0-9a-zA-Z+_-]*(?:desc-|label-|dseg)[0-9a-zA-Z+_.-]+")
    found: dict[str, Any] = {}
    for key, before in ((SIZES, FILES), (CHECKSUMS, FILE_CHECKSUMS)):
        files = made.get(before) if isinstance(made, dict) else None
        items = files.items() if isinstance(files, dict) else ()
        found[key] = {path: value for path, value in items if ours.fullmatch(path)}
    return found


def refusal_of_files(comparison: Comparison, paths: Iterable[Path] = ()) -> str | None:
    """Return why the files of a comparison may not be written, because one is a user's; None if they may.

    Parameters
    ----------
    comparison : Comparison
    paths : iterable of Path
        The files, except sidecars; default: those that every comparison has, and those that are recorded.

    Returns
    -------
    str or None
    """
    about = sidecar(comparison.other.corrected)
    if INCOMPLETE in read_object(about) or not_fetched(about):
        return None
    before = files_before(comparison)
    known = (comparison.metrics, comparison.figure, *(comparison.root / name for name in before[SIZES]))
    for path in paths or known:
        name = path.relative_to(comparison.root).as_posix()
        if os.path.lexists(path) and (reason := refusal(path, name, before)):
            return reason
        beside = sidecar(path) if path.name.endswith(NIFTI) else path
        if beside in (path, about) or not os.path.lexists(beside):
            continue
        if name not in before[SIZES] or not is_intact(read_object(beside)):
            return f"{beside} {CHANGED if name in before[SIZES] else NOT_OURS}"
    return refusal_of_results(comparison.other)


def is_compared(comparison: Comparison, recipe: Recipe) -> bool:
    """Return whether a comparison is complete and was made from the same image, weights and options.

    Parameters
    ----------
    comparison : Comparison
    recipe : Recipe
        Recipe of the comparison.

    Returns
    -------
    bool
    """
    if not is_done(comparison.source.path, comparison.other, recipe):
        return False
    files = read_object(sidecar(comparison.other.corrected))[KEY].get(FILES)
    if not isinstance(files, dict) or not files:
        return False
    paths = {comparison.root / relative: size for relative, size in files.items()}
    return all(path.is_file() and path.stat().st_size == size for path, size in paths.items())
