"""Brain masks and tissue segmentations that other pipelines left of an image."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from getnet_bids.bids.discovery import IMAGES, Source, entries
from getnet_bids.columns import TISSUES


@dataclass(frozen=True)
class Derivatives:
    """What one derivative dataset has for an image.

    Parameters
    ----------
    dataset : str
        The name that it was given.
    mask : Path or None
        Of the brain.
    dseg : Path or None
        Tissue labels.
    probsegs : dict of Path
        Probabilities by tissue, of all of `TISSUES` or of none.
    """

    dataset: str
    mask: Path | None = None
    dseg: Path | None = None
    probsegs: dict[str, Path] = field(default_factory=dict)

    @property
    def has_tissues(self) -> bool:
        """Whether it tells tissues apart."""
        return self.dseg is not None or bool(self.probsegs)


def find_derivatives(source: Source, roots: Mapping[str, Path]) -> Derivatives | None:
    """Look up what derivative datasets have for an image.

    A file is of the image if none of its entities contradicts the image's; one that shares more of them goes first,
    and the image's own session goes before its subject. Files in a standard space are passed over. Names do not tell
    which of a session's images a segmentation was made from: whoever uses it has to see that the grids agree.

    Parameters
    ----------
    source : Source
    roots : mapping of str to Path
        Derivative datasets by name.

    Returns
    -------
    Derivatives or None
        Of the first dataset that tells tissues apart, else the first that has a mask; None if there is none.
    """
    found = [found for name, root in roots.items() if (found := of_dataset(source, name, root))]
    return next((one for one in found if one.has_tissues), found[0] if found else None)


def of_dataset(source: Source, dataset: str, root: Path) -> Derivatives | None:
    """Look up what one dataset has for an image, or None."""
    subject, session = (source.name.entities.get(key) for key in ("sub", "ses"))
    folders = [root / f"sub-{subject}" / "anat"]
    if session:
        folders.insert(0, root / f"sub-{subject}" / f"ses-{session}" / "anat")
    best: dict[tuple[str, str], tuple[int, Path]] = {}
    for folder in folders:
        for entry in entries(folder):
            if entry.endswith(IMAGES) and (match := kind_and_score(entry, source)):
                kind, score = match
                if kind not in best or score > best[kind][0]:
                    best[kind] = score, folder / entry
    mask, dseg = (best[kind][1] if kind in best else None for kind in (("mask", ""), ("dseg", "")))
    probsegs = {tissue: best["probseg", tissue][1] for tissue in TISSUES if ("probseg", tissue) in best}
    found = Derivatives(dataset, mask, dseg, probsegs if len(probsegs) == len(TISSUES) else {})
    return found if found.mask or found.has_tissues else None


def kind_and_score(file: str, source: Source) -> tuple[tuple[str, str], int] | None:
    """Return what a file is to an image.

    Parameters
    ----------
    file : str
        Its name.
    source : Source
        The image.

    Returns
    -------
    tuple of (suffix, tissue) and int, or None
        What it is, and how many entities it shares with the image; None if it is nothing of use.
    """
    parts = re.fullmatch(r"((?:[a-zA-Z]+-[0-9a-zA-Z+]+_)+)(mask|dseg|probseg)\.nii(?:\.gz)?", file)
    if parts is None:
        return None
    entities = dict(pair.split("-", 1) for pair in parts[1].rstrip("_").split("_"))
    suffix, own = parts[2], source.name.suffix
    desc, tissue = entities.pop("desc", None), entities.pop("label", "")
    fitting = desc == "brain" if suffix == "mask" else desc in (None, own)
    fitting &= tissue in TISSUES if suffix == "probseg" else not tissue
    fitting &= entities.pop("space", "orig") in ("orig", own) and entities.pop("mod", own) == own
    if not fitting or not entities.items() <= source.name.entities.items():
        return None
    return (suffix, tissue), 2 * len(entities) + (desc == own)
