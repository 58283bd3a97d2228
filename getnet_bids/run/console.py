"""Messages on standard error, progress, exit codes (BIDS execution specification's draft, sysexits.h), signals."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, TracebackType

APP = "getnet-bids"

DONE = 0
SOME_FAILED = 1
NOT_BIDS = 16
UNKNOWN_LEVEL = 17
NOTHING_MATCHED = 18
USAGE = 64
BAD_DATA = 65
NO_INPUT = 66
CANNOT_CREATE = 73
IO_ERROR = 74

MAX_NAMED = 5
"""Largest number of files that a message names."""


class CommandError(Exception):
    """An error that ends a command with a message and an exit code.

    Parameters
    ----------
    code : int
        One of the constants of this module.
    message : str
        One line: what is wrong and what to do.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def say(message: str, program: str = APP) -> None:
    """Print a message on standard error as one line; control characters, which file names may contain, are escaped."""
    line = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in " ".join(message.split()))
    print_line(f"{program}: {line}")


def some_of(names: Sequence[str]) -> str:
    """List the first of some names, `MAX_NAMED` at most.

    Examples
    --------
    >>> some_of(["a", "b"]), some_of(list("abcdefg"))
    ('a, b', 'a, b, c, d, e, ...')
    """
    return ", ".join(names[:MAX_NAMED]) + (", ..." if len(names) > MAX_NAMED else "")


def print_line(line: str) -> None:
    """Print a line on standard error; if it cannot be printed, go on."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


class Progress:
    """Shows the images of a run on standard error as they end; use it as a context manager.

    Parameters
    ----------
    total : int
        Number of images to process.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.count = 0
        self.bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=total, unit="image", file=sys.stderr, dynamic_ncols=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.close()

    def stage(self, source: str, what: str) -> None:
        """Show that a stage of an image has begun, since images of a comparison take minutes.

        Parameters
        ----------
        source : str
            The image.
        what : str
            The stage.
        """
        if self.bar is not None:
            self.bar.set_postfix_str(f"{source.rpartition('/')[2]}: {what}")
        else:
            print_line(f"{source}: {what} ...")

    def ended(self, source: str, seconds: float, failure: str | None = None) -> None:
        """Show that an image has ended; failures are also named on a terminal.

        Parameters
        ----------
        source : str
            The image.
        seconds : float
            Time that it took.
        failure : str, optional
            Why it failed.
        """
        self.count += 1
        if self.bar is not None:
            if failure:
                self.bar.write(f"{source}: failed: {failure}", file=sys.stderr)
            self.bar.update()
            return
        what = f"failed: {failure}" if failure else f"done in {seconds:.1f} s"
        print_line(f"[{self.count}/{self.total}] {source}: {what}")


class Interrupted(BaseException):
    """Raised when a signal asks the program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into `Interrupted`, so that both end a run cleanly in the same way."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
