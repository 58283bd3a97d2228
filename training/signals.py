"""Signals that end a training: it saves what it has, and can be resumed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

REQUEUE = 75
"""Exit code of a training that was told to stop and can be resumed (EX_TEMPFAIL of sysexits.h)."""
SCHEDULERS = tuple(dict.fromkeys((signal.SIGTERM, getattr(signal, "SIGUSR1", signal.SIGTERM))))
"""Signals that schedulers send before a job ends. Windows has no SIGUSR1."""


@contextmanager
def handled(numbers: tuple[int, ...], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle signals in a block; only the main thread can, so that nothing is changed in others."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """Turn Ctrl-C and the signals of schedulers into an event; the second Ctrl-C raises KeyboardInterrupt."""
    asked = threading.Event()

    def ask(number: int, _frame: FrameType | None) -> None:
        asked.set()
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)

    with handled((signal.SIGINT, *SCHEDULERS), ask):
        yield asked


@contextmanager
def exit_on_signal() -> Iterator[None]:
    """Turn the first signal of a scheduler into SystemExit with code 75; those after it are ignored."""
    asked = threading.Event()

    def leave(_number: int, _frame: FrameType | None) -> None:
        if not asked.is_set():
            asked.set()
            raise SystemExit(REQUEUE)

    with handled(SCHEDULERS, leave):
        yield


@contextmanager
def hold_interrupt() -> Iterator[None]:
    """Delay Ctrl-C until the end of a block; processes started in it never get Ctrl-C, except on Windows."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
