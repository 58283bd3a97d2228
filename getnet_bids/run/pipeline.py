"""Run jobs in three stages: some are computed while others are read and written, within a memory budget."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Lock, Semaphore
from typing import Generic, TypeVar

from getnet_bids.errors import GetNetError

Job = TypeVar("Job")
Loaded = TypeVar("Loaded")
Computed = TypeVar("Computed")
BYTES_PER_VOXEL = 20
"""Peak memory per voxel, in bytes, of an image that is read, corrected and written: 13 to 15 were measured by
``benchmarks/speed.py``, plus a margin."""
MAX_THREADS = 8
"""Largest number of threads per image; neither GetNet, N4 nor the registration gains much from more."""
DEFAULT_MEMORY = 1_500_000_000
"""Default memory for images, in bytes; together with the program itself this makes 2 GB."""


@dataclass(frozen=True)
class Outcome(Generic[Job]):
    """The outcome of a job.

    Parameters
    ----------
    job : Job
    seconds : float
        From its start to its end.
    error : Exception or None
        The error that ended it, in any stage.
    """

    job: Job
    seconds: float
    error: Exception | None = None


def stream(
    jobs: Iterable[Job],
    read: Callable[[Job], Loaded],
    compute: Callable[[Loaded], Computed],
    write: Callable[[Computed], None],
    report: Callable[[Outcome[Job]], bool],
    cost: Callable[[Job], int] = lambda job: 0,
    budget: MemoryBudget | None = None,
    compute_workers: int = 1,
    io_workers: int = 1,
) -> None:
    """Read, compute and write jobs.

    Each job runs in one thread from start to end. Jobs start in their order; an error ends only its own job. After an
    interrupt no job enters its next stage, and jobs that are being written are completed.

    Parameters
    ----------
    jobs : iterable
    read, compute, write : callable
        The stages; each is called with the result of the previous one.
    report : callable
        Called with the outcome of each job when it ends, once at a time but from any thread. When it returns false,
        only jobs that are already being computed continue.
    cost : callable
        Bytes of `budget` that a job holds from reading to its end.
    budget : MemoryBudget, optional
        A job starts only when the budget has room for its cost. Default: no limit.
    compute_workers : int
        Number of jobs that are computed at a time.
    io_workers : int
        Number of further jobs that may be in memory, being read or written.

    Examples
    --------
    >>> results = []
    >>> def report(outcome):
    ...     results.append((outcome.job, type(outcome.error).__name__))
    ...     return True
    >>> stream([1, 0, 2], lambda job: job, lambda x: 2 // x, lambda x: None, report)
    >>> sorted(results)
    [(0, 'ZeroDivisionError'), (1, 'NoneType'), (2, 'NoneType')]
    """
    beginning, reporting, computing = Lock(), Lock(), Semaphore(compute_workers)
    budget = budget or MemoryBudget()
    queue = iter(jobs)
    going = True

    def begin() -> tuple[Job, int] | None:
        with beginning:  # held while waiting, so that smaller jobs do not overtake a large one forever
            for job in queue:
                if not going:
                    break
                taken = cost(job)
                budget.acquire(taken)
                return job, taken
        return None

    def stopped() -> bool:
        return budget.closed

    def end(job: Job, started: float, error: Exception | None = None) -> None:
        nonlocal going
        with reporting:
            going = report(Outcome(job, time.monotonic() - started, error)) and going

    def do(job: Job, started: float) -> None:
        loaded = read(job)
        with computing:
            if stopped() or not going:
                return
            try:
                computed = compute(loaded)
            except Exception as error:
                end(job, started, error)  # before the next is let in
                return
        del loaded
        if stopped():
            return
        write(computed)
        end(job, started)

    def work() -> None:
        while begun := begin():
            job, taken = begun
            started = time.monotonic()
            try:
                do(job, started)
            except Exception as error:
                end(job, started, error)
            finally:
                budget.release(taken)

    with ThreadPoolExecutor(compute_workers + io_workers, "job") as threads:
        try:
            done, _ = wait(
                [threads.submit(work) for _ in range(compute_workers + io_workers)], return_when=FIRST_EXCEPTION
            )
            for worker in done:
                worker.result()
        finally:
            budget.close()


class ClosedError(Exception):
    """Raised in a waiting thread when the budget is closed."""


class MemoryBudget:
    """A number of bytes that threads share; a request that does not fit waits until others are released.

    Parameters
    ----------
    size : float
        Bytes. A request for more than that is granted when no other thread holds any.

    Examples
    --------
    >>> budget = MemoryBudget(100)
    >>> budget.acquire(70)
    >>> budget.release(70)
    >>> budget.acquire(1000)
    """

    def __init__(self, size: float = math.inf) -> None:
        self.size = size
        self.taken = 0
        self.closed = False
        self.changed = Condition()

    def acquire(self, wanted: int) -> None:
        """Wait for a number of bytes and take them; raise `ClosedError` if the budget is closed."""
        with self.changed:
            self.changed.wait_for(lambda: self.closed or not self.taken or self.taken + wanted <= self.size)
            if self.closed:
                raise ClosedError
            self.taken += wanted

    def release(self, taken: int) -> None:
        """Return acquired bytes to the budget, so that other images can be read."""
        with self.changed:
            self.taken -= taken
            self.changed.notify_all()

    def close(self) -> None:
        """Wake up all waiting threads with `ClosedError`."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()


def memory_of(path: Path, series: bool = False) -> int:
    """Estimate the peak memory of an image from its header.

    Parameters
    ----------
    path : Path
    series : bool
        Whether it is read one volume at a time.

    Returns
    -------
    int
        Bytes; 0 for an image that cannot be read, since its job ends at once.
    """
    return BYTES_PER_VOXEL * voxels_of(path, 3 if series else None)


def use_huge_pages() -> None:
    """Let Linux use huge pages for large arrays, which saves an eighth of the time. Call it before importing torch."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def voxels_of(path: Path, axes: int | None = None) -> int:
    """Count an image's voxels along a number of axes from its header; 0 for an image that cannot be read."""
    from getnet_bids.series import open_series

    if not path.is_file():  # opening a pipe would block
        return 0
    try:
        # Not by nibabel: with indexed_gzip, some names and files end the process.
        with open_series(path) as series:
            return math.prod(int(n) for n in series.image.shape[:axes])
    except (GetNetError, OSError):
        return 0


def threads_for(images: int, processes: int) -> int:
    """Return the number of threads per image: more than one only if there are fewer images than processes.

    Examples
    --------
    >>> threads_for(100, 16), threads_for(4, 16), threads_for(1, 16)
    (1, 4, 8)
    """
    return max(1, min(MAX_THREADS, processes // images))
