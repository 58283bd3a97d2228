"""A stream of jobs through three stages: while some are computed others are read and written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Lock, Semaphore
from typing import Generic, TypeVar

from .memory import Room

Job = TypeVar("Job")
Loaded = TypeVar("Loaded")
Computed = TypeVar("Computed")


@dataclass(frozen=True)
class Outcome(Generic[Job]):
    """What became of a job.

    Parameters
    ----------
    job : Job
    seconds : float
        From when it was begun to its end.
    error : Exception or None
        What ended it early, in whichever stage.
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
    weigh: Callable[[Job], int] = lambda job: 0,
    room: Room | None = None,
    at_once: int = 1,
    beside: int = 1,
) -> None:
    """Take jobs through reading, computing and writing.

    Each job has a thread from its beginning to its end. They are begun in their order; an error ends its own job
    alone. After an interrupt no job goes on to its next stage, and what is being written is finished.

    Parameters
    ----------
    jobs : iterable
    read, compute, write : callable
        The stages; each is given what the one before returned.
    report : callable
        Told of each job as it ends, one at a time but from any thread; once it is false, none that is not being
        computed already goes on.
    weigh : callable
        What a job takes of `room`, from its reading to its end.
    room : Room, optional
        A job is not begun before there is room for it. Default: as much as wanted.
    at_once : int
        So many are computed at a time,
    beside : int
        and so many more may be in memory, read or written meanwhile.

    Examples
    --------
    >>> results = []
    >>> def report(outcome):
    ...     results.append((outcome.job, repr(outcome.error)))
    ...     return True
    >>> stream([1, 0, 2], lambda job: job, lambda x: 2 // x, lambda x: None, report)
    >>> sorted(results)
    [(0, "ZeroDivisionError('integer division or modulo by zero')"), (1, 'None'), (2, 'None')]
    """
    beginning, reporting, computing = Lock(), Lock(), Semaphore(at_once)
    room = room or Room()
    queue = iter(jobs)
    going = True

    def begin() -> tuple[Job, int] | None:
        with beginning:  # held while there is no room: a large job is not to be overtaken for ever
            for job in queue:
                if not going:
                    break
                taken = weigh(job)
                room.take(taken)
                return job, taken
        return None

    def stopped() -> bool:
        return room.closed

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
                room.give(taken)

    with ThreadPoolExecutor(at_once + beside, "job") as threads:
        try:
            done, _ = wait([threads.submit(work) for _ in range(at_once + beside)], return_when=FIRST_EXCEPTION)
            for worker in done:
                worker.result()
        finally:
            room.close()
