"""Find the images of a dataset.

Folders are walked with `os.scandir`, which takes seconds for ten thousand subjects; PyBIDS takes minutes to index them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from getnet_bids.files import POINTER, pointer_remedy, read_bytes, text_of

from .names import (
    DERIVED_ONLY,
    NIFTI,
    ON_REQUEST,
    PLACES,
    WEIGHTED,
    Name,
    datatypes_of,
    misplaced,
    odd_extension,
    odd_suffix,
    suffix_of,
)

IGNORE_FILE = ".bidsignore"


def read_ignored(root: Path) -> Callable[[str], bool]:
    """Read a dataset's ``.bidsignore``, which has the syntax of a ``.gitignore``.

    Parameters
    ----------
    root : Path
        The dataset.

    Returns
    -------
    callable
        Returns whether a path, relative to the root and with forward slashes, is ignored.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, ".bidsignore").write_text("*_T2w.nii.gz")
    ...     ignored = read_ignored(Path(folder))
    >>> ignored("sub-01/anat/sub-01_T2w.nii.gz"), ignored("sub-01/anat/sub-01_T1w.nii.gz")
    (True, False)
    """
    try:
        lines = text_of(read_bytes(root / IGNORE_FILE)).splitlines()
    except OSError:
        return lambda relative: False
    from pathspec import GitIgnoreSpec

    def is_pattern(line: str) -> bool:
        try:
            GitIgnoreSpec.from_lines([line])
        except ValueError:
            return False  # such as a single "!", which git ignores, too
        return True

    spec = GitIgnoreSpec.from_lines(line for line in lines if is_pattern(line))
    return spec.match_file


Folder = tuple[str, dict[str, str], list[str]]
"""A folder's path from the root, the entities that its files must have, and the sorted names of its files."""


@dataclass(frozen=True)
class Source:
    """A raw image.

    Parameters
    ----------
    root : Path
        The dataset.
    relative : str
        The file's path from the root, with forward slashes.
    name : Name
        Its parsed file name.
    """

    root: Path
    relative: str
    name: Name

    @property
    def path(self) -> Path:
        """The path of the file."""
        return self.root / self.relative

    @property
    def uri(self) -> str:
        """The BIDS URI in a derivative dataset that calls the raw one ``raw``."""
        return f"bids:raw:{self.relative}"


@dataclass
class SearchResult:
    """The result of a search.

    Parameters
    ----------
    sources : list of Source
        In the order of subject, session, file name.
    skipped : dict of str
        Files that look like images of the kind asked for but are left out, and the reasons.
    unrequested : dict of int
        Number of images of each suffix that is corrected only if named, and was not.
    unreadable : dict of str
        Folders that may contain images but cannot be read, and the reasons.
    """

    sources: list[Source] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    unrequested: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)

    @property
    def asl_without_m0scan(self) -> list[str]:
        """Names of perfusion series whose folder has an ``m0scan`` that is not selected."""
        taken = {source.path.parent for source in self.sources if source.name.suffix == "m0scan"}
        return [
            source.path.name
            for source in self.sources
            if source.name.suffix == "asl"
            and source.path.parent not in taken
            and any(suffix_of(file) == "m0scan" for file in entries(source.path.parent))
        ]


def find_images(
    root: Path,
    participants: Collection[str] | None = None,
    sessions: Collection[str] | None = None,
    suffixes: Collection[str] | None = None,
    listing: Iterable[str] | None = None,
    chosen: Collection[str] | None = None,
) -> SearchResult:
    """Find a dataset's magnitude images.

    Parameters
    ----------
    root : Path
        The dataset.
    participants, sessions : collection of str, optional
        Labels, without ``sub-`` and ``ses-``; default: all. With `sessions`, images outside a session are left out.
    suffixes : collection of str, optional
        Default: `names.WEIGHTED`.
    listing : iterable of str, optional
        Paths of the dataset's files from its root, from an index; default: search the folders.
    chosen : collection of str, optional
        Paths that a query returned; no others are corrected or mentioned.

    Returns
    -------
    SearchResult
    """
    suffixes = WEIGHTED if suffixes is None else suffixes
    ignored = read_ignored(root)
    found = SearchResult()
    kinds = datatypes_of(suffixes)
    if listing is None:
        folders = walk(root, participants, sessions, kinds, found)
    else:
        folders = listed(listing, participants, sessions, kinds)
    for folder, expected, files in folders:
        kind = folder.rpartition("/")[2]
        wanted = {suffix for suffix in suffixes if kind in PLACES[suffix]}
        unrequested = {suffix for suffix in ON_REQUEST if kind in PLACES[suffix]} - wanted
        taken: set[str] = set()
        for file in files:
            relative = f"{folder}/{file}"
            if chosen is not None and relative not in chosen:
                continue
            suffix = suffix_of(file)
            if reason := odd_extension(file, files, wanted) or (kind == "anat" and odd_suffix(file, wanted)):
                found.skipped[relative] = reason
                continue
            if not file.endswith(NIFTI) or (suffix not in wanted and suffix not in unrequested):
                continue
            name, reason = validate(file, expected)
            if not reason and ignored(relative):
                reason = f"listed in {IGNORE_FILE}"
            if suffix in unrequested:
                found.unrequested[suffix] = found.unrequested.get(suffix, 0) + (not reason)
                continue
            stem = file.partition(".")[0]
            if not reason and stem in taken:
                reason = "another image has this name with another extension"
            if name is None or reason:
                found.skipped[relative] = reason
            else:
                taken.add(stem)
                found.sources.append(Source(root, relative, name))
    return found


def validate(file: str, expected: dict[str, str]) -> tuple[Name | None, str]:
    """Parse a file's name, and return the reason why it is not a raw magnitude image, or an empty text."""
    try:
        name = Name.parse(file)
    except ValueError as error:
        return None, f"not a BIDS name: {error}"
    return name, rejection_reason(name, expected)


def rejection_reason(name: Name, expected: dict[str, str]) -> str:
    """Return the reason why an image in the folder of a subject and session is not corrected, or an empty text."""
    for key in ("sub", "ses"):
        if name.entities.get(key) != expected.get(key):
            return f"its {key}- is not that of its folder"
    if strange := DERIVED_ONLY & name.entities.keys():
        return f"not a raw image: it has {', '.join(sorted(strange))}-"
    part = name.entities.get("part", "mag")
    return "" if part == "mag" else f"part-{part} is not a magnitude image"


def walk(
    root: Path,
    participants: Collection[str] | None,
    sessions: Collection[str] | None,
    kinds: Collection[str],
    found: SearchResult,
) -> Iterator[Folder]:
    """Yield each folder of images, such as ``anat``; record folders that cannot be read, and images elsewhere."""

    def look(folder: str) -> list[str]:
        try:
            return entries(root / folder)
        except OSError as error:
            found.unreadable[folder] = f"cannot be read: {error.strerror}"
            return []

    top = entries(root)
    found.skipped.update(misplaced("", top))
    for subject in labelled(top, "sub-", participants):
        expected = {"sub": subject.removeprefix("sub-")}
        inside = look(subject)
        found.skipped.update(misplaced(subject, inside))
        for kind in kinds if sessions is None else ():
            if kind in inside:
                yield f"{subject}/{kind}", expected, look(f"{subject}/{kind}")
        for session in labelled(inside, "ses-", sessions):
            in_session = look(f"{subject}/{session}")
            found.skipped.update(misplaced(f"{subject}/{session}", in_session))
            for kind in kinds:
                if kind in in_session:
                    folder = f"{subject}/{session}/{kind}"
                    yield folder, {**expected, "ses": session.removeprefix("ses-")}, look(folder)


def listed(
    listing: Iterable[str],
    participants: Collection[str] | None,
    sessions: Collection[str] | None,
    kinds: Collection[str],
) -> Iterator[Folder]:
    """Yield the folders of images of the given types, such as ``anat``, from a list of files."""
    folders: dict[str, list[str]] = {}
    for relative in listing:
        folder, _, file = relative.rpartition("/")
        folders.setdefault(folder, []).append(file)
    for folder in sorted(folders, key=lambda folder: (folder.split("/")[:-1], folder)):
        *above, kind = folder.split("/")
        if kind not in kinds or len(above) not in (1, 2):
            continue
        subject, *session = above
        expected = {"sub": subject.removeprefix("sub-")}
        if session:
            expected["ses"] = session[0].removeprefix("ses-")
        elif sessions is not None:
            continue
        if labelled([subject], "sub-", participants) and session == labelled(session, "ses-", sessions):
            yield folder, expected, sorted(folders[folder])


def labelled(names: Iterable[str], prefix: str, labels: Collection[str] | None) -> list[str]:
    """Select the folders of subjects or sessions: all, or those with the given labels."""
    named = [name for name in names if name.startswith(prefix)]
    return [name for name in named if labels is None or name.removeprefix(prefix) in labels]


def entries(folder: Path) -> list[str]:
    """Return the sorted content of a folder, or nothing if it does not exist."""
    try:
        with os.scandir(folder) as scan:
            return sorted(entry.name for entry in scan)
    except (FileNotFoundError, NotADirectoryError):
        return []


def not_fetched(path: Path) -> str | None:
    """Return what to do if an image is only a link or pointer to data that were not fetched, as with git-annex, LFS."""
    try:
        return None if path.stat().st_size > POINTER else pointer_remedy(read_bytes(path))
    except FileNotFoundError:
        return "not fetched; run `datalad get` on it" if path.is_symlink() else None
    except OSError:
        return None
