"""getnet-bids: correct the images of a dataset."""

from __future__ import annotations

import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from . import exits
from .checks import check
from .config import parse

PROGRAM = exits.APP


class Interrupted(BaseException):
    """A signal asked the program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


def main(argv: list[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        with interruptible():
            args = parse(argv)
            check(args)
            return group(args) if args.analysis_level == "group" else participant(args, argv)
    except exits.CommandError as error:
        exits.say(PROGRAM, str(error))
        return error.code
    except Interrupted as interrupted:
        exits.say(PROGRAM, f"{interrupted}: stopped; run the same command again to go on")
        return interrupted.code
    except BrokenPipeError:
        # Whoever read our table has had enough of it, as `head` does; nothing is to be flushed to it any more.
        sys.stdout = None
        return exits.IO_ERROR
    except OSError as error:
        exits.say(PROGRAM, str(error))
        return exits.IO_ERROR


def participant(args: Namespace, argv: list[str]) -> int:
    """Do the participant level; gives the exit code."""
    from .participant import participant_level

    return participant_level(args, argv)


def group(args: Namespace) -> int:
    """Do the group level; gives the exit code."""
    from getnet_bids.reports.group import write_group_report

    try:
        written = write_group_report(args.output_dir)
    except ValueError as error:
        raise exits.CommandError(exits.BAD_DATA, str(error)) from None
    exits.say(PROGRAM, f"wrote {', '.join(str(path) for path in written)}")
    return exits.DONE


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into `Interrupted`, so that both end the run alike and cleanly."""
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


if __name__ == "__main__":
    sys.exit(main())
