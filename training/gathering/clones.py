"""Repositories on disk: git clones, bare or not, and unpacked folders; which of the listed photographs they have."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm

from .listed import Listed


class Clone:
    """A repository on disk: a git clone, bare or not, or a folder with its files.

    Parameters
    ----------
    place : Path
        The clone's or the folder's root.
    git : Path, optional
        Its git directory; None for a plain folder.
    """

    def __init__(self, place: Path, git: Path | None) -> None:
        self.place, self.git = place, git
        self.process: subprocess.Popen[bytes] | None = None

    def read(self, photo: Listed) -> bytes | None:
        """Read a photograph's file, of its commit if the clone has that, else as it is now; None if there is none."""
        if self.git is None:
            try:
                return (self.place / photo.path).read_bytes()
            except OSError:
                return None
        data = self.blob(f"{photo.commit}:{photo.path}")
        return self.blob(f"HEAD:{photo.path}") if data is None else data

    def blob(self, name: str) -> bytes | None:
        """Read what git calls by a name, through one ``git cat-file`` for all."""
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
    """Look for a repository in some folders: ``owner/name``, ``owner+name`` or ``name``, also with ``.git``."""
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
    """Make a function that reads a photograph, from whichever clone has its repository."""
    clones = {repository: find_clone(repository, folders) for repository in {p.repository for p in photos}}
    for clone in clones.values():
        if clone is not None:
            stack.callback(clone.close)

    def read(photo: Listed) -> bytes | None:
        clone = clones[photo.repository]
        return None if clone is None else clone.read(photo)

    return read


def check(photos: Sequence[Listed], folders: Sequence[Path], say: Callable[[str], object]) -> tuple[list[bool], bool]:
    """Read every photograph and compare its SHA-256; say one line for each repository of each collection.

    Parameters
    ----------
    photos : sequence of Listed
    folders : sequence of Path
        Where clones are looked for.
    say : callable
        Takes each line.

    Returns
    -------
    good : list of bool
        Whether each photograph is there and the listed one.
    whole : bool
        Whether all are.
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
