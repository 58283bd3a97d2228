"""Finding the anatomical images of a dataset.

Folders are walked with `os.scandir`; an index of ten thousand subjects takes pybids minutes, this seconds.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .names import DERIVED_ONLY, ON_REQUEST, WEIGHTED, Name

IMAGES = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Source:
    """A raw image.

    Parameters
    ----------
    root : Path
        The dataset.
    relative : str
        The file's path from there, with forward slashes.
    name : Name
        Its name, taken apart.
    """

    root: Path
    relative: str
    name: Name

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.root / self.relative

    @property
    def uri(self) -> str:
        """Its BIDS URI in a derivative dataset that calls the raw one ``raw``."""
        return f"bids:raw:{self.relative}"


@dataclass
class Found:
    """What a search gave.

    Parameters
    ----------
    sources : list of Source
        In the order of subject, session, file name.
    passed_over : dict of str
        Files that look like images of the kind asked for but are not taken, and why.
    others : dict of int
        How many there are of each suffix that is taken only when named.
    """

    sources: list[Source] = field(default_factory=list)
    passed_over: dict[str, str] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)


def find_images(
    root: Path,
    participants: Collection[str] | None = None,
    sessions: Collection[str] | None = None,
    suffixes: Collection[str] | None = None,
) -> Found:
    """Find a dataset's anatomical magnitude images.

    Parameters
    ----------
    root : Path
        The dataset.
    participants, sessions : collection of str, optional
        Labels, without ``sub-`` and ``ses-``; default all. With `sessions`, images outside a session are left out.
    suffixes : collection of str, optional
        Default `names.WEIGHTED`.

    Returns
    -------
    Found
    """
    suffixes = WEIGHTED if suffixes is None else suffixes
    found = Found()
    taken: set[str] = set()
    for folder, expected in anat_folders(root, participants, sessions):
        for entry in entries(root / folder):
            if not entry.endswith(IMAGES):
                continue
            relative = f"{folder}/{entry}"
            try:
                name = Name.parse(entry)
            except ValueError as error:
                found.passed_over[relative] = f"not a BIDS name: {error}"
                continue
            if name.suffix not in suffixes:
                if name.suffix in ON_REQUEST:
                    found.others[name.suffix] = found.others.get(name.suffix, 0) + 1
                continue
            stem = str(name).removesuffix(name.extension)
            reason = objection(name, expected) or (
                "another image has this name with another extension" if f"{folder}/{stem}" in taken else None
            )
            if reason:
                found.passed_over[relative] = reason
            else:
                taken.add(f"{folder}/{stem}")
                found.sources.append(Source(root, relative, name))
    return found


def objection(name: Name, expected: dict[str, str]) -> str | None:
    """Say why an image in a folder of some subject and session is not taken, or None."""
    for key in ("sub", "ses"):
        if name.entities.get(key) != expected.get(key):
            return f"its {key}- is not that of its folder"
    if strange := DERIVED_ONLY & name.entities.keys():
        return f"not a raw image: it has {', '.join(sorted(strange))}-"
    part = name.entities.get("part", "mag")
    return None if part == "mag" else f"part-{part} is no magnitude image"


def anat_folders(
    root: Path, participants: Collection[str] | None, sessions: Collection[str] | None
) -> Iterator[tuple[str, dict[str, str]]]:
    """Give each folder of anatomical images, and the entities that its files must have."""
    for subject in labelled(root, "sub-", participants):
        expected = {"sub": subject.removeprefix("sub-")}
        if sessions is None:
            yield f"{subject}/anat", expected
        for session in labelled(root / subject, "ses-", sessions):
            yield f"{subject}/{session}/anat", {**expected, "ses": session.removeprefix("ses-")}


def labelled(folder: Path, prefix: str, labels: Collection[str] | None) -> list[str]:
    """Give the subject or session folders, all or those of some labels."""
    names = [name for name in entries(folder) if name.startswith(prefix)]
    return [name for name in names if labels is None or name.removeprefix(prefix) in labels]


def entries(folder: Path) -> list[str]:
    """Give a folder's content in order; nothing where there is no such folder."""
    try:
        with os.scandir(folder) as scan:
            return sorted(entry.name for entry in scan)
    except (FileNotFoundError, NotADirectoryError):
        return []


def not_fetched(path: Path) -> bool:
    """Tell whether an image is only a link whose target is not here, as git-annex leaves it."""
    return path.is_symlink() and not path.exists()
