"""What is said of input that cannot be used."""

from __future__ import annotations

import os


class ImageError(ValueError):
    """An image that cannot be used.

    Parameters
    ----------
    name : str
        The file.
    reason : str
        What is wrong with it and what to do, on one line.
    """

    def __init__(self, name: str | os.PathLike[str], reason: str) -> None:
        super().__init__(f"{os.fspath(name)}: {reason}")
        self.reason = reason


def one_line(error: BaseException) -> str:
    r"""Give an error's text on one line.

    Examples
    --------
    >>> one_line(ValueError("first\nsecond"))
    'first second'
    """
    return " ".join(str(error).split()) or type(error).__name__
