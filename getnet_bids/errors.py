"""The error that this package raises for input that it cannot use, and one-line reasons for errors."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager


class GetNetError(ValueError):
    """Raised for input that cannot be used: an image, a mask, weights, an option.

    Parameters
    ----------
    reason : str
        What is wrong and what to do, in one line.
    subject : str or path, optional
        What the error is about, usually a file; None if that is not known where it is raised.

    Examples
    --------
    >>> error = GetNetError("is empty; copy it again", "sub-01_T1w.nii.gz")
    >>> str(error), error.subject
    ('sub-01_T1w.nii.gz: is empty; copy it again', 'sub-01_T1w.nii.gz')
    """

    def __init__(self, reason: str, subject: str | os.PathLike[str] | None = None) -> None:
        super().__init__(reason, subject)  # all arguments, so that it can be pickled
        self.reason = reason
        self.subject = None if subject is None else os.fspath(subject)

    def __str__(self) -> str:
        return self.reason if self.subject is None else f"{self.subject}: {self.reason}"


@contextmanager
def errors_about(subject: str | os.PathLike[str]) -> Iterator[None]:
    """Add a subject to any `GetNetError` without one that is raised in a block."""
    try:
        yield
    except GetNetError as error:
        if error.subject is not None:
            raise
        raise GetNetError(error.reason, subject) from error


def one_line(error: BaseException) -> str:
    r"""Return an error's text on one line.

    Examples
    --------
    >>> one_line(ValueError("first\nsecond"))
    'first second'
    """
    return " ".join(str(error).split()) or type(error).__name__


def is_expected(error: BaseException) -> bool:
    """Return whether an error's message is sufficient, so that no traceback has to be saved."""
    return isinstance(error, GetNetError | OSError | MemoryError)


REMEDIES = {
    errno.EACCES: "; change its permissions, or choose another place",
    errno.EPERM: "; change its permissions, or choose another place",
    errno.EROFS: "; choose another place",
    errno.ENOENT: "; check the path",
    errno.ENOTDIR: "; check the path",
    errno.EISDIR: "; name a file",
    errno.EEXIST: "; it is a file, or a link that leads nowhere: choose another place",
    errno.ELOOP: "; look where the links lead",
    errno.ENOSPC: "; make room, and run it again",
    errno.EDQUOT: "; make room, and run it again",
    errno.EIO: "; check the disk, or copy the file again",
    errno.ESTALE: "; run it again",
    errno.ENAMETOOLONG: "; choose a shorter name",
    errno.EMFILE: "; raise the limit of open files (ulimit -n)",
}
"""What to do about a system error, by its number."""


def reason_of(error: BaseException) -> str:
    """Return the reason for a failure in one line, without its subject.

    Examples
    --------
    >>> reason_of(FileNotFoundError(errno.ENOENT, "No such file or directory", "a.nii"))
    'No such file or directory: a.nii; check the path'
    """
    if isinstance(error, MemoryError):
        return one_line(error) if str(error) else "out of memory; give the job more, or a smaller --batch-size"
    if isinstance(error, OSError) and error.strerror:
        remedy = REMEDIES.get(error.errno or 0, "")
        return f"{error.strerror}: {error.filename}{remedy}" if error.filename else f"{error.strerror}{remedy}"
    return " ".join(error.reason.split()) if isinstance(error, GetNetError) else one_line(error)
