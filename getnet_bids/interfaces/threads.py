"""How many threads ITK takes."""

from __future__ import annotations

import os


def itk_threads(count: int) -> None:
    """Let ITK take so many threads in this process.

    ITK looks at the environment when it first needs to know, and never again: call this before anything of antspyx
    runs. What the user has exported stands.

    Parameters
    ----------
    count : int
        -1 leaves it as it is.
    """
    if count > 0:
        os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", str(count))
