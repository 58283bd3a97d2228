"""How far and how fast: a bar on a terminal, a line now and then in a log file; and being told to stop."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

from tqdm import tqdm

REQUEUE = 75
"""Exit code of a training that was told to stop and can go on (EX_TEMPFAIL of sysexits.h)."""


class Progress:
    """Shows pairs done, pairs a second and the time left, on standard error.

    Parameters
    ----------
    done, total : int
        Pairs.
    shown : bool
        False shows nothing, for all processes but one.
    every : float
        Seconds between lines, where there is no terminal.
    """

    def __init__(self, done: int, total: int, shown: bool = True, every: float = 30.0) -> None:
        self.first, self.done, self.total, self.every = done, done, total, every
        self.began = self.last = time.monotonic()
        self.shown, self.figures = shown, ""
        terminal = shown and sys.stderr.isatty()
        self.bar = tqdm(total=total, initial=done, unit=" pairs", mininterval=1.0) if terminal else None

    @property
    def rate(self) -> float:
        """Pairs a second since the beginning of this session."""
        return (self.done - self.first) / max(time.monotonic() - self.began, 1e-9)

    def update(self, pairs: int) -> None:
        """Count pairs."""
        self.done += pairs
        now = time.monotonic()
        if self.bar is not None:
            self.bar.update(pairs)
        elif self.shown and now - self.last >= self.every:
            self.last = now
            left = tqdm.format_interval((self.total - self.done) / max(self.rate, 1e-9))
            share = self.done / self.total
            self.say(
                f"{self.done}/{self.total} pairs ({share:.1%}), {self.rate:.1f} pairs/s, {left} left{self.figures}"
            )

    def show(self, figures: dict[str, float]) -> None:
        """Set the figures that are shown from now on."""
        text = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        self.figures = f"; {text}"
        if self.bar is not None:
            self.bar.set_postfix_str(text)

    def say(self, text: str) -> None:
        """Print a line."""
        if self.shown:
            tqdm.write(text, file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self.bar is not None:
            self.bar.close()


@contextlib.contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """Turn SIGTERM and SIGUSR1, which schedulers send before a job ends, into an event; in the main thread only.

    Windows has no SIGUSR1.
    """
    asked = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    numbers = [signal.SIGTERM, getattr(signal, "SIGUSR1", signal.SIGTERM)]
    before = {number: signal.signal(number, ask) for number in dict.fromkeys(numbers)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
