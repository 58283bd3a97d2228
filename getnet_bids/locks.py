"""Hidden files that a process holds while it works, and what killed processes left of them.

A file is held by a lock (flock) that the system lets go when the process ends, however it ends. So whoever gets the
lock of a hidden file knows that nobody works with it any more, and may remove it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

HIDDEN = ".getnet-"
"""A hidden file has a name that starts so, in the folder that it is for."""
PART, LOCK = ".part", ".lock"
OLD = 86_400
"""Seconds after which a part is left over for certain."""
TRIES = 100
OURS = re.compile(rf"{re.escape(HIDDEN)}(?:[0-9a-zA-Z-]*-[0-9a-f]{{16}}{re.escape(PART)}|.+{re.escape(LOCK)})")
"""Names that a sweep may remove; a lock is empty, too."""


def part_of(path: Path) -> Path:
    """Return a name for a file while it is being written: new each time, and it tells of this machine."""
    return path.with_name(f"{HIDDEN}{host()}-{secrets.token_hex(8)}{PART}")


def host() -> str:
    """Name this machine in letters and digits."""
    return re.sub("[^0-9a-zA-Z]", "", socket.gethostname())[:32]


def open_held(path: Path, mode: Literal["wb", "ab"]) -> BinaryIO:
    """Open a file for writing and hold it until it is closed.

    Waits while another holds it. On a file system without locks the file is not held, only open.

    Parameters
    ----------
    path : Path
    mode : {"wb", "ab"}

    Returns
    -------
    BinaryIO
    """
    for _ in range(TRIES):
        file = open(path, mode)  # noqa: SIM115
        try:
            take(file)
            named = same(file, path)
        except BaseException:
            file.close()
            raise
        if named:
            break
        file.close()  # removed between opening and holding
    else:
        file = open(path, mode)  # noqa: SIM115 - a file system that numbers one file now so, now so
    return file


def take(file: BinaryIO, wait: bool = True) -> bool | None:
    """Lock a file: true if it is ours now, false if another has it, None if the file system knows no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def same(file: BinaryIO, path: Path) -> bool:
    """Return whether an open file still has a name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes and threads that do the same with a path out of a block.

    Parameters
    ----------
    path : Path
        In a folder that exists. The file itself is not touched.
    """
    lock = path.with_name(f"{HIDDEN}{path.name}{LOCK}")
    with open_held(lock, "ab"):
        try:
            yield
        finally:
            remove_lock(lock)


def remove_lock(lock: Path) -> None:
    """Remove a lock, which is empty; a file of that name with content is somebody's."""
    with contextlib.suppress(FileNotFoundError):
        if not lock.stat().st_size:
            lock.unlink()


def sweep(root: Path) -> int:
    """Remove the hidden files that nobody holds from a folder and all in it.

    A part written on another machine is left alone for a day: some network file systems know only their own
    machine's locks.

    Parameters
    ----------
    root : Path

    Returns
    -------
    int
        How many were removed.
    """
    return sum(
        remove_abandoned(Path(folder, name))
        for folder, _, names in os.walk(root)
        for name in names
        if OURS.fullmatch(name)
    )


def remove_abandoned(path: Path) -> bool:
    """Remove a hidden file unless it is held; tells whether it was removed."""
    with contextlib.suppress(OSError), open(path, "r+b") as file:
        ours = take(file, wait=False)
        old = time.time() - os.fstat(file.fileno()).st_mtime > OLD
        if path.name.endswith(LOCK) and os.fstat(file.fileno()).st_size:
            return False
        elsewhere = path.name.endswith(PART) and not path.name.startswith(f"{HIDDEN}{host()}-")
        if old if ours is None or (ours and elsewhere) else ours:
            path.unlink()
            return True
    return False
