"""Files that are whole or not there, and what they hash to."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .locks import MOVABLE, open_held, part_of

WAITS = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Seconds between attempts to rename a file that a virus scanner, say, has open."""


@contextmanager
def atomic(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file that takes its name only once it is complete.

    Whatever ends the block early, an interrupt as well, leaves what had the name before and no other trace.

    Parameters
    ----------
    path : str or Path
        The name, in a folder that exists.

    Yields
    ------
    BinaryIO
        Where to write.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic(Path(folder, "a.txt")) as file:
    ...         _ = file.write(b"all of it")
    ...     os.listdir(folder)
    ['a.txt']
    """
    path = Path(path)
    part = part_of(path)
    try:
        with open_held(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            # Held until it has its name, or a sweep by another run could take it for left over.
            if MOVABLE:
                os.replace(part, path)
        if not MOVABLE:
            replace_closed(part, path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, os.fspath(part)):
            # Nobody knows the hidden name, and a full disk does not tell which file it is about.
            raise OSError(error.errno, error.strerror, os.fspath(path)) from None
        raise


def replace_closed(part: Path, path: Path) -> None:
    """Rename a closed file on Windows, where whoever has one of the two open for a moment is in the way."""
    for wait in (*WAITS, None):
        try:
            os.replace(part, path)
        except PermissionError:
            if wait is None:
                raise
            time.sleep(wait)
        else:
            return


def write_text(path: str | Path, text: str) -> None:
    """Write a small text file, whole or not at all; what is no character, as names and JSON may hold, is escaped."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a small file, whole or not at all."""
    with atomic(path) as file:
        file.write(data)


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read a file whole.

    Raises
    ------
    OSError
        There is none, it cannot be read, or it is no file: a pipe or a device might never end.
    """
    # A pipe that nobody writes to would block; to files the flag makes no difference. Windows has no such pipes.
    never = getattr(os, "O_NONBLOCK", 0)
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | never)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        return file.read()


POINTER = 2048
"""A file that stands for data elsewhere is at most so long, bytes."""


def pointer_remedy(data: bytes) -> str | None:
    r"""Return what to do where a file only points to its data, as git-annex and Git LFS leave it; None if it does not.

    Examples
    --------
    >>> pointer_remedy(b"../../.git/annex/objects/Xk/0w/MD5E-s11--5eb6.nii.gz/MD5E-s11--5eb6.nii.gz")
    'not fetched: git-annex left a link in its place; run `datalad get` on it'
    >>> pointer_remedy(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    'not fetched: Git LFS left a pointer in its place; run `git lfs pull`'
    """
    if len(data) > POINTER:
        return None
    text = data.replace(b"\\", b"/")
    if text.startswith(b"/annex/objects/") or re.match(rb"[\w./-]*\.git/(?:[\w./-]*/)?annex/objects/", text):
        return "not fetched: git-annex left a link in its place; run `datalad get` on it"
    if data.startswith((b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")):
        return "not fetched: Git LFS left a pointer in its place; run `git lfs pull`"
    return None


def hash_bytes(data: bytes) -> str:
    """Return the SHA-256 of some bytes, as it stands in sidecars.

    Examples
    --------
    >>> hash_bytes(b"")[:19]
    'sha256:e3b0c44298fc'
    """
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def hash_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, as it stands in sidecars."""
    with open(path, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
