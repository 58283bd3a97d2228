"""Being told to stop: schedulers send a signal before they end a job."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

REQUEUE = 75
"""Exit code of a training that was told to stop and can go on (EX_TEMPFAIL of sysexits.h)."""


@contextlib.contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """Turn SIGTERM and SIGUSR1 into an event, inside the block; only from the main thread."""
    asked = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    before = {s: signal.signal(s, ask) for s in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
