"""Atomic writes, locks, and the removal of hidden files that killed processes have left.

A process holds a file by a lock (flock, on Windows LockFileEx), which the system releases when the process ends for any
reason. A process that gets the lock of a hidden file therefore knows that nobody uses the file any more, and may remove
it.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import hashlib
import os
import re
import secrets
import socket
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal

from filelock import lock_descriptor

HIDDEN = ".getnet-"
"""Prefix of hidden files; each is in the same folder as the file that it belongs to."""
PART, LOCK = ".part", ".lock"
ABANDONED_AFTER = 86_400
"""Age in seconds from which a hidden file is assumed to be abandoned."""
TRIES = 100
MOVABLE = os.name != "nt"
"""Whether a file can be renamed or removed while it is open: not on Windows."""
HIDDEN_NAME = re.compile(rf"{re.escape(HIDDEN)}(?:[0-9a-zA-Z-]*-[0-9a-f]{{16}}{re.escape(PART)}|.+{re.escape(LOCK)})")
"""Pattern of the names of files that `sweep` may remove; locks only if they are empty."""


def part_of(path: Path) -> Path:
    """Return a new hidden name for a file that is being written; it contains the name of this machine."""
    return path.with_name(f"{HIDDEN}{host()}-{secrets.token_hex(8)}{PART}")


def host() -> str:
    """Return the name of this machine, reduced to letters and digits."""
    return re.sub("[^0-9a-zA-Z]", "", socket.gethostname())[:32]


def open_held(path: Path, mode: Literal["wb", "ab"]) -> BinaryIO:
    """Open a file for writing and hold it until it is closed.

    Waits while another process holds it. On a file system without locks the file is only opened. Another user's lock
    file that may only be read is also held, if the file system allows that.

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
            acquire_lock(file)
            named = has_name(file, path)
        except BaseException:
            file.close()
            raise
        if named:
            break
        file.close()  # removed by another process before it was locked
    else:
        file = open(path, mode)  # noqa: SIM115 - a file system whose file numbers change
    return file


def open_shared(path: Path, mode: Literal["wb", "ab"]) -> BinaryIO:
    """Open a file for writing, or for reading if it is another user's lock."""
    try:
        return open(path, mode)
    except PermissionError:
        if mode == "wb" or not path.exists():
            raise
        return open(path, "rb")


def acquire_lock(file: BinaryIO, wait: bool = True) -> bool | None:
    """Lock a file; return true if it is now ours, false if another process has it, None without support for locks."""
    try:
        return lock_descriptor(file.fileno(), blocking=wait)
    except OSError:
        return None


def has_locks(folder: Path) -> bool:
    """Return whether the file system of a writable folder supports locks."""
    part = part_of(folder / "locks")
    try:
        with open(part, "wb") as file:
            return acquire_lock(file, wait=False) is True
    finally:
        part.unlink(missing_ok=True)


def has_name(file: BinaryIO, path: Path) -> bool:
    """Return whether an open file still has a name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Run a block while no other process or thread runs one with the same path.

    Parameters
    ----------
    path : Path
        In a folder that exists. The file itself is not touched.
    """
    lock = path.with_name(f"{HIDDEN}{path.name}{LOCK}")
    try:
        held = open_held(lock, "ab")
    except PermissionError as error:
        # Another user's lock that nobody else may open; files are complete with and without a lock.
        if not lock.exists():
            raise PermissionError(error.errno, error.strerror, str(path.parent)) from None
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
    """Remove a lock, which is an empty file; a file of that name with content belongs to a user and stays.

    A lock that cannot be removed stays, empty and free: for example another user's in a folder with the sticky bit, or
    one that is open on Windows.
    """
    with contextlib.suppress(FileNotFoundError, PermissionError):
        if not lock.stat().st_size:
            lock.unlink()


def sweep(root: Path, within: Iterable[str] | None = None) -> int:
    """Remove the hidden files that nobody holds from a folder and its subfolders.

    A part written on another machine is kept for a day, since some network file systems only know the locks of the
    same machine.

    Parameters
    ----------
    root : Path
    within : iterable of str, optional
        Names of folders in `root`: only these, and `root` itself, are searched. Default: all.

    Returns
    -------
    int
        Number of files removed.
    """
    if within is None:
        return sum(remove_in(folder, names) for folder, _, names in os.walk(root))
    here = remove_in(root, os.listdir(root))
    return here + sum(sweep(root / name) for name in within)


def remove_in(folder: str | Path, names: Iterable[str]) -> int:
    """Remove the hidden files of a folder that nobody holds, and return their number."""
    return sum(remove_abandoned(Path(folder, name)) for name in names if HIDDEN_NAME.fullmatch(name))


def remove_abandoned(path: Path) -> bool:
    """Remove a hidden file unless it is held; return whether it was removed."""
    with contextlib.suppress(OSError), open_to_lock(path) as file:
        ours = acquire_lock(file, wait=False)
        old = time.time() - os.fstat(file.fileno()).st_mtime > ABANDONED_AFTER
        if path.name.endswith(LOCK) and os.fstat(file.fileno()).st_size:
            return False
        part = path.name.endswith(PART)
        # On systems where open files cannot be renamed, a part is not held for a moment before it gets its name.
        elsewhere = part and not (path.name.startswith(f"{HIDDEN}{host()}-") and MOVABLE)
        if old if ours is None or (ours and elsewhere) else ours:
            if not MOVABLE:
                file.close()
            path.unlink()
            return True
    return False


def open_to_lock(path: Path) -> BinaryIO:
    """Open an existing file, for writing if that is allowed, since locks of network file systems need it."""
    try:
        return open(path, "r+b")
    except PermissionError:
        return open(path, "rb")


RENAME_WAITS = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Seconds between attempts to rename a file that another program, such as a virus scanner, has open."""


@contextmanager
def atomic(path: str | Path, part_folder: Path | None = None) -> Iterator[BinaryIO]:
    """Open a file that gets its name only when it is complete.

    If anything ends the block early, including an interrupt, an existing file of that name is unchanged, and nothing
    else is left.

    Parameters
    ----------
    path : str or Path
        The name, in a folder that exists.
    part_folder : Path, optional
        Folder of the incomplete file, on the same file system; default: the folder of `path`.

    Yields
    ------
    BinaryIO
        The open file.

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
    part = part_of(path if part_folder is None else part_folder / path.name)
    try:
        with open_held(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            # Held until it has its name, so that a sweep by another run does not take it for abandoned.
            if MOVABLE:
                os.replace(part, path)
        if not MOVABLE:
            replace_closed(part, path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, os.fspath(part)):
            # Users do not know the hidden name, and the error of a full disk does not name the file.
            raise OSError(error.errno, error.strerror, os.fspath(path)) from None
        raise


def replace_closed(part: Path, path: Path) -> None:
    """Rename a closed file on Windows, where a program that has either file open prevents it for a moment."""
    for wait in (*RENAME_WAITS, None):
        try:
            os.replace(part, path)
        except PermissionError:
            if wait is None:
                raise
            time.sleep(wait)
        else:
            return


def write_text(path: str | Path, text: str, part_folder: Path | None = None) -> None:
    """Write a small text file atomically; surrogates, which file names and JSON may contain, are escaped."""
    write_bytes(path, text.encode(errors="backslashreplace"), part_folder)


def write_bytes(path: str | Path, data: bytes, part_folder: Path | None = None) -> None:
    """Write a small file atomically."""
    with atomic(path, part_folder) as file:
        file.write(data)


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read a whole file.

    Raises
    ------
    OSError
        The file does not exist or cannot be read, or is a pipe or a device, which might never end.
    """
    # A pipe without a writer would block; for files the flag makes no difference. Windows has no such pipes.
    never = getattr(os, "O_NONBLOCK", 0)
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | never)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        return file.read()


def text_of(data: bytes) -> str:
    """Decode text in UTF-8, or in UTF-16 or Windows-1252, which some editors write; any bytes give some text."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


POINTER = 2048
"""Largest size in bytes of a file that only points to its data."""


def pointer_remedy(data: bytes) -> str | None:
    r"""Return what to do if a file only points to its data, as with git-annex and Git LFS; None if it does not.

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
    """Return the SHA-256 of some bytes, in the form used in sidecars.

    Examples
    --------
    >>> hash_bytes(b"")[:19]
    'sha256:e3b0c44298fc'
    """
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def hash_file(path: str | Path) -> str:
    """Return the SHA-256 of a file, in the form used in sidecars."""
    with open(path, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


GZIP_MAGIC = b"\x1f\x8b"


def checksum(path: str | Path) -> str:
    """Return a checksum of a file: cheap enough for every result, and sufficient to notice that a file was edited.

    A gzip file ends with the CRC-32 and the length of what is in it, so that only its last bytes are read. Of any other
    file the CRC-32 is computed, at 5 GB/s from memory.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    str
        ``gzip:`` with 16 or ``crc32:`` with 8 hexadecimal digits.
    """
    from isal import isal_zlib

    with open(path, "rb") as file:
        if file.read(2) == GZIP_MAGIC and os.fstat(file.fileno()).st_size >= 18:
            file.seek(-8, os.SEEK_END)
            return f"gzip:{file.read().hex()}"
        file.seek(0)
        value = 0
        while block := file.read(1 << 20):
            value = isal_zlib.crc32(block, value)
        return f"crc32:{value:08x}"


def is_remnant(path: str | Path) -> bool:
    """Return whether a file is empty, or a gzip file that was cut or damaged, as after a copy that was interrupted."""
    from isal import igzip, isal_zlib

    errors: tuple[Any, ...] = (EOFError, igzip.BadGzipFile, isal_zlib.IsalError)
    with open(path, "rb") as file:
        magic = file.read(2)
        if magic != GZIP_MAGIC:
            return not magic
        file.seek(0)
        try:
            with igzip.open(file, "rb") as content:
                while content.read(1 << 20):
                    pass
        except errors:
            return True
    return False
