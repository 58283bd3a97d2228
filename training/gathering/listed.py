"""The list of open photographs that the package's weights were trained on, and the search for them in clones on disk.

``list.tsv.xz`` identifies each photograph by repository, commit, path and SHA-256, in the order of the shards;
``terms.md`` has the licence of each collection and the evidence for it; ``shards.sha256`` has the shards' checksums.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import lzma
import os
import shlex
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

from tqdm import tqdm

COLUMNS = ("collection", "licence", "repository", "commit", "path", "sha256")


@dataclass(frozen=True)
class Listed:
    """A photograph of the list.

    Parameters
    ----------
    collection : str
        Name of the collection in messages and the table of terms.
    licence : str
        SPDX identifier, or ``public domain``.
    repository : str
        ``owner/name`` on GitHub.
    commit : str
        40 hexadecimal digits.
    path : str
        Path within the repository.
    sha256 : str
        Hash of the file, 64 hexadecimal digits.
    """

    collection: str
    licence: str
    repository: str
    commit: str
    path: str
    sha256: str


def listed(text: str | None = None) -> list[Listed]:
    """Read the list of photographs.

    Parameters
    ----------
    text : str, optional
        Content of a list; default: that of the package.

    Raises
    ------
    ValueError
        The list has other columns.

    Examples
    --------
    >>> photos = listed()
    >>> len(photos) > 30000, len({p.sha256 for p in photos}) == len(photos)
    (True, True)
    """
    if text is None:
        text = lzma.decompress(package_file("list.tsv.xz").read_bytes()).decode()
    head, *lines = text.splitlines()
    if tuple(head.split("\t")) != COLUMNS:
        raise ValueError(f"a list of photographs has the columns {' '.join(COLUMNS)}, not {head!r}")
    return [Listed(*line.split("\t")) for line in lines]


def package_file(name: str) -> Traversable:
    """Return a file in the folder of the list."""
    return importlib.resources.files("getnet_bids.training.gathering") / name


def commands(photos: Sequence[Listed], folder: Path = Path("clones")) -> list[str]:
    r"""Make the shell commands that fetch the one listed commit of each repository.

    Parameters
    ----------
    photos : sequence of Listed
    folder : Path
        Folder for the clones.

    Examples
    --------
    >>> for line in commands([Listed("textures", "CC0-1.0", "someone/textures", "0a" * 20, "1.jpg", "f" * 64)]):
    ...     print(line)
    git init --quiet --bare clones/someone/textures.git
    git -C clones/someone/textures.git fetch --depth 1 https://github.com/someone/textures \
        0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a:refs/heads/listed \
        || echo 'someone/textures could not be fetched' >&2
    """
    lines = []
    for repository, commit in sorted({(p.repository, p.commit) for p in photos}):
        place = shlex.quote(f"{folder}/{repository}.git")
        lines += [
            f"git init --quiet --bare {place}",
            f"git -C {place} fetch --depth 1 https://github.com/{repository} \\\n    {commit}:refs/heads/listed \\\n"
            f"    || echo '{repository} could not be fetched' >&2",
        ]
    return lines


class Clone:
    """A repository on disk: a git clone, bare or not, or a folder with its files.

    Parameters
    ----------
    place : Path
        Root of the clone or the folder.
    git : Path, optional
        Its git directory; None for a plain folder.
    """

    def __init__(self, place: Path, git: Path | None) -> None:
        self.place, self.git = place, git
        self.process: subprocess.Popen[bytes] | None = None

    def read(self, photo: Listed) -> bytes | None:
        """Read a photograph's file from its commit, or else from the working tree; None if there is none."""
        if self.git is None:
            try:
                return (self.place / photo.path).read_bytes()
            except OSError:
                return None
        data = self.blob(f"{photo.commit}:{photo.path}")
        return self.blob(f"HEAD:{photo.path}") if data is None else data

    def blob(self, name: str) -> bytes | None:
        """Read a git object by its name, through one ``git cat-file`` process for all objects."""
        if self.process is None:
            command = ["git", f"--git-dir={self.git}", "cat-file", "--batch"]
            environment = {**os.environ, "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(name.encode() + b"\n")
        self.process.stdin.flush()
        words = self.process.stdout.readline().split()
        if len(words) != 3 or words[1] not in (b"blob", b"tree", b"commit", b"tag"):
            return None
        data = self.process.stdout.read(int(words[2]) + 1)[:-1]
        return data if words[1] == b"blob" else None

    def close(self) -> None:
        """End git."""
        if self.process is not None:
            self.process.communicate()
            self.process = None


def find_clone(repository: str, folders: Sequence[Path]) -> Clone | None:
    """Find a repository in the given folders, as ``owner/name``, ``owner+name`` or ``name``, also with ``.git``."""
    owner, name = repository.split("/")
    for folder in folders:
        for stem in (f"{owner}/{name}", f"{owner}+{name}", name):
            for place in (folder / stem, folder / f"{stem}.git"):
                for git in (place / ".git", place, place / "repo" / ".git", place / "repo"):
                    if (git / "HEAD").is_file() and (git / "objects").is_dir():
                        return Clone(place, git)
                if place.is_dir():
                    return Clone(place, None)
    return None


def reader(photos: Sequence[Listed], folders: Sequence[Path], stack: ExitStack) -> Callable[[Listed], bytes | None]:
    """Make a function that reads a photograph from the clone of its repository."""
    clones = {repository: find_clone(repository, folders) for repository in {p.repository for p in photos}}
    for clone in clones.values():
        if clone is not None:
            stack.callback(clone.close)

    def read(photo: Listed) -> bytes | None:
        clone = clones[photo.repository]
        return None if clone is None else clone.read(photo)

    return read


def check(photos: Sequence[Listed], folders: Sequence[Path], say: Callable[[str], object]) -> tuple[list[bool], bool]:
    """Read every photograph and compare its SHA-256; report one line for each repository of each collection.

    Parameters
    ----------
    photos : sequence of Listed
    folders : sequence of Path
        Folders in which clones are searched for.
    say : callable
        Called with each line.

    Returns
    -------
    good : list of bool
        Whether each photograph exists and is the listed one.
    whole : bool
        Whether this is true for all.
    """
    state: list[str] = []
    with ExitStack() as stack:
        read = reader(photos, folders, stack)
        for photo in tqdm(photos, "checking photographs", unit=" photographs", mininterval=1, disable=None):
            data = read(photo)
            if data is None:
                state.append("missing")
            else:
                state.append("found" if hashlib.sha256(data).hexdigest() == photo.sha256 else "different")
    groups: dict[tuple[str, str], Counter[str]] = {}
    for photo, word in zip(photos, state, strict=True):
        groups.setdefault((photo.collection, photo.repository), Counter())[word] += 1
    for (collection, repository), counts in sorted(groups.items()):
        line = f"{collection} ({repository}): {counts['found']:,} of {counts.total():,} found"
        if find_clone(repository, folders) is None:
            line += "; no clone of it there"
        elif counts["missing"]:
            line += f"; {counts['missing']:,} missing"
        if counts["different"]:
            line += f"; {counts['different']:,} are other files than listed (SHA-256)"
        say(line)
    good = [word == "found" for word in state]
    return good, all(good)
