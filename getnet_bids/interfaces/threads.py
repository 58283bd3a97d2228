"""How many threads torch and ITK take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch take so many threads on the CPU, and afterwards as many as before.

    Parameters
    ----------
    count : int
        -1 leaves it as it is.
    """
    import torch

    before = torch.get_num_threads()
    if count > 0:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
