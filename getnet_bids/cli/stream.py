"""A stream of jobs in three stages: the next is read, and the last written, while one is computed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
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
        From when its turn came, which is when the one before was computed, to its end.
    error : Exception or None
        What ended it early, in whichever stage.
    """

    job: Job
    seconds: float
    error: Exception | None = None


@dataclass
class Turn(Generic[Job]):
    """A job on its way: when its turn came, and what it has taken of the room."""

    job: Job
    started: float = 0.0
    taken: int = 0


def stream(
    jobs: Iterable[Job],
    read: Callable[[Job], Loaded],
    compute: Callable[[Loaded], Computed],
    write: Callable[[Computed], None],
    report: Callable[[Outcome[Job]], bool],
    weigh: Callable[[Job], int] = lambda job: 0,
    room: Room | None = None,
) -> None:
    """Take jobs through reading, computing and writing.

    Reading and writing have a thread each; computing is done in the caller's, so that an interrupt arrives there.
    At most three jobs are in memory: one read ahead, one being computed, one being written. An error ends its own
    job alone. After an interrupt, what is being written is finished before the interrupt goes on.

    Parameters
    ----------
    jobs : iterable
    read, compute, write : callable
        The stages; each is given what the one before returned.
    report : callable
        Told of each job as it ends, one at a time but from either thread; no further job is begun once it is false.
    weigh : callable
        What a job takes of `room`, from its reading to its end; called on the reading thread.
    room : Room, optional
        A job is not read before there is room for it. Default: as much as wanted.

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
    lock = Lock()
    going = True
    room = room or Room()
    queue = iter(jobs)

    def end(turn: Turn[Job], error: Exception | None = None) -> None:
        nonlocal going
        room.give(turn.taken)
        with lock:
            going = report(Outcome(turn.job, time.monotonic() - turn.started, error)) and going

    def read_in(turn: Turn[Job]) -> Loaded:
        wanted = weigh(turn.job)
        room.take(wanted)
        turn.taken = wanted
        return read(turn.job)

    def write_out(turn: Turn[Job], computed: Computed) -> None:
        try:
            write(computed)
        except Exception as error:
            end(turn, error)
        else:
            end(turn)

    with ThreadPoolExecutor(1, "reader") as reader, ThreadPoolExecutor(1, "writer") as writer:

        def begin_next() -> tuple[Turn[Job], Future[Loaded]] | None:
            for job in queue:
                turn = Turn(job)
                return turn, reader.submit(read_in, turn)
            return None

        try:
            ahead = begin_next()
            writing: Future[None] | None = None
            while ahead is not None and going:
                turn, loading = ahead
                turn.started = time.monotonic()
                ahead = begin_next()
                try:
                    computed = compute(loading.result())
                except Exception as error:
                    end(turn, error)
                    continue
                if writing is not None:
                    writing.result()
                writing = writer.submit(write_out, turn, computed)
                del computed  # or it would stay in memory until the next is computed
            if writing is not None:
                writing.result()
        finally:
            room.close()  # the reader may be waiting for room that an interrupted job has
