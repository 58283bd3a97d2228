"""Hidden files that a process holds while it works, and what killed processes left of them.

A file is held by a lock (flock, on Windows LockFileEx) that the system lets go when the process ends, however it ends.
So whoever gets the lock of a hidden file knows that nobody works with it any more, and may remove it.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from filelock import lock_descriptor

HIDDEN = ".getnet-"
"""A hidden file has a name that starts so, in the folder that it is for."""
PART, LOCK = ".part", ".lock"
OLD = 86_400
"""Seconds after which a part is left over for certain."""
TRIES = 100
MOVABLE = os.name != "nt"
"""Whether a file can be renamed or removed while it is open: not on Windows."""
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

    Waits while another holds it. On a file system without locks the file is not held, only open. Another user's lock
    file that may only be read is held all the same, where the file system allows that.

    Parameters
    ----------
    path : Path
    mode : {"wb", "ab"}

    Returns
    -------
    BinaryIO
    """
    for _ in range(TRIES):
        file = open_shared(path, mode)
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


def open_shared(path: Path, mode: Literal["wb", "ab"]) -> BinaryIO:
    """Open a file for writing, or for reading where it is another user's lock."""
    try:
        return open(path, mode)
    except PermissionError:
        if mode == "wb" or not path.exists():
            raise
        return open(path, "rb")


def take(file: BinaryIO, wait: bool = True) -> bool | None:
    """Lock a file: true if it is ours now, false if another has it, None if the file system knows no locks."""
    try:
        return lock_descriptor(file.fileno(), blocking=wait)
    except OSError:
        return None


def has_locks(folder: Path) -> bool:
    """Return whether the file system of a folder, which can be written to, knows locks."""
    part = part_of(folder / "locks")
    try:
        with open(part, "wb") as file:
            return take(file, wait=False) is True
    finally:
        part.unlink(missing_ok=True)


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
    try:
        held = open_held(lock, "ab")
    except PermissionError:
        # Another user's, who keeps it from everybody; what is written is whole with and without a lock.
        if not lock.exists():
            raise
        yield
        return
    with held:
        try:
            yield
        finally:
            if not MOVABLE:
                held.close()
            remove_lock(lock)


def remove_lock(lock: Path) -> None:
    """Remove a lock, which is empty; a file of that name with content is somebody's.

    Where it cannot be removed, as another user's in a folder with the sticky bit, or one that is open on Windows, it
    stays, empty and free.
    """
    with contextlib.suppress(FileNotFoundError, PermissionError):
        if not lock.stat().st_size:
            lock.unlink()


def sweep(root: Path, within: Iterable[str] | None = None) -> int:
    """Remove the hidden files that nobody holds from a folder and all in it.

    A part written on another machine is left alone for a day: some network file systems know only their own
    machine's locks.

    Parameters
    ----------
    root : Path
    within : iterable of str, optional
        Names of folders in it: these alone are looked through, and what lies in `root` itself. Default: all.

    Returns
    -------
    int
        How many were removed.
    """
    if within is None:
        return sum(remove_in(folder, names) for folder, _, names in os.walk(root))
    here = remove_in(root, os.listdir(root))
    return here + sum(sweep(root / name) for name in within)


def remove_in(folder: str | Path, names: Iterable[str]) -> int:
    """Remove those of a folder's files that are hidden and that nobody holds, and return how many."""
    return sum(remove_abandoned(Path(folder, name)) for name in names if OURS.fullmatch(name))


def remove_abandoned(path: Path) -> bool:
    """Remove a hidden file unless it is held; tells whether it was removed."""
    with contextlib.suppress(OSError), open_to_lock(path) as file:
        ours = take(file, wait=False)
        old = time.time() - os.fstat(file.fileno()).st_mtime > OLD
        if path.name.endswith(LOCK) and os.fstat(file.fileno()).st_size:
            return False
        part = path.name.endswith(PART)
        # Where open files cannot be renamed, a part is free for a moment before it gets its name.
        elsewhere = part and not (path.name.startswith(f"{HIDDEN}{host()}-") and MOVABLE)
        if old if ours is None or (ours and elsewhere) else ours:
            if not MOVABLE:
                file.close()
            path.unlink()
            return True
    return False


def open_to_lock(path: Path) -> BinaryIO:
    """Open a file that is there, for writing if that is allowed, which locks of network file systems need."""
    try:
        return open(path, "r+b")
    except PermissionError:
        return open(path, "rb")
