"""Devices, their memory, and torch's threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock, local
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from getnet_bids.errors import GetNetError

Result = TypeVar("Result")
CPU_FULL, GPU_FULL = "DefaultCPUAllocator", ("out of memory", "ALLOC_FAILED")
"""Texts in torch's errors if a device has no memory left, in addition to CUDA's own error type."""


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """Return the available device with a given name.

    Parameters
    ----------
    name : str or torch.device
        ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; ``auto`` means the first CUDA device if there is one, otherwise the
        CPU. Apple's ``mps`` is used only if named, since its results have not been compared with a CPU's.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        The device is not available, or the name is unknown.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    name = str(name)
    kind, _, number = name.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (number and not (kind in ("cuda", "mps") and number.isdecimal())):
        raise GetNetError(f"device must be auto, cpu, cuda, cuda:N or mps, not {name!r}")
    count = torch.cuda.device_count() if kind in ("auto", "cuda") and torch.cuda.is_available() else 0
    if kind == "auto":
        return torch.device("cuda:0" if count else "cpu")
    if kind == "cuda":
        if int(number or 0) >= count:
            there = f"CUDA devices there: {count}" if count else "torch sees no CUDA device"
            raise GetNetError(f"device {name} is not available ({there}); use --device cpu or auto")
        return torch.device("cuda", int(number or 0))
    if kind == "mps" and not torch.backends.mps.is_available():
        raise GetNetError("device mps is not available (torch sees no Apple GPU); use --device cpu or auto")
    return torch.device(kind)


def device_text(device: torch.device) -> str:
    """Return the name of a device with everything that results depend on."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"


def has_float64(device: torch.device) -> bool:
    """Return whether a device supports float64, which Apple's GPUs do not."""
    return device.type != "mps"


def unless_out_of_memory(work: Callable[[], Result]) -> Result | None:
    """Call a function, and return None if the GPU has no memory left for it.

    The memory that the function had allocated is free when this returns; it would not be while an error is handled.

    Parameters
    ----------
    work : callable

    Returns
    -------
    The result of `work`, or None

    Raises
    ------
    MemoryError
        The CPU has no memory left.

    Examples
    --------
    >>> unless_out_of_memory(lambda: torch.ones(2).sum().item())
    2.0
    """
    try:
        return work()
    except torch.cuda.OutOfMemoryError:
        return None
    except RuntimeError as error:
        if CPU_FULL in str(error):
            raise MemoryError("out of memory; give the job more") from None
        if any(words in str(error) for words in GPU_FULL):
            return None
        raise


def at_once(slabs: Tensor, count: int) -> int:
    """Return how many slabs of a volume to process at a time.

    Parameters
    ----------
    slabs : Tensor
        Slabs along the first axis.
    count : int
        Number of slabs that fit into a processor's cache. A GPU processes all at once, since launching an operation
        takes longer than running it.
    """
    return max(1, count if slabs.device.type == "cpu" else len(slabs))


@contextmanager
def default_arithmetic() -> Iterator[None]:
    """Compute with numpy's and torch's default settings, whatever the calling program has set.

    A training loop may use ``torch.autocast`` or a default device, and TorchIO makes numpy raise an error on every
    underflow.

    Examples
    --------
    >>> with np.errstate(all="raise"), default_arithmetic():
    ...     float(np.exp(np.float32(-200)))
    0.0
    """
    with ExitStack() as stack:
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.empty(0).device.type != "cpu":  # torch 2.4 cannot return the default after a reset
            stack.enter_context(torch.device("cpu"))
        yield


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Set torch's number of CPU threads for a block, and restore it afterwards.

    Parameters
    ----------
    count : int
        Number of threads; -1 changes nothing.
    """
    before = torch.get_num_threads()
    if count > 0:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Single:
    """Which threads are in a block of `one_thread`.

    Attributes
    ----------
    changing : Lock
        Held while the following are changed.
    blocks : int
        Number of blocks that have begun and not ended, in all threads.
    outside : int
        torch's number of threads before the first of these.
    seen : local
        Has an attribute `yes` in threads that have been in a block before.
    """

    changing, seen = Lock(), local()
    blocks = outside = 0


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread for a block, so that the last bits do not depend on the number of threads.

    A thread that uses torch for the first time takes the number that any thread has set last. If that is the 1 of
    another thread's block, the thread gets the number from before that block when its own block ends.
    """
    with Single.changing:
        before = torch.get_num_threads()
        if not Single.blocks:
            Single.outside = before
        elif not hasattr(Single.seen, "yes"):
            before = Single.outside
        Single.seen.yes = True
        Single.blocks += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with Single.changing:
            Single.blocks -= 1
            torch.set_num_threads(before)
