"""Exit codes, of the BIDS execution specification's draft and sysexits.h, and errors on one line."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import NoReturn

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


class CommandError(Exception):
    """Ends a command with a message and an exit code.

    Parameters
    ----------
    code : int
        One of this file's.
    message : str
        One line: what is wrong and what to do.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and exit with `USAGE`."""

    def error(self, message: str) -> NoReturn:
        """End the program."""
        self.exit(USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def say(program: str, message: str) -> None:
    """Print a message on standard error, as one line; what a terminal would obey, as names may hold it, is escaped."""
    line = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in " ".join(message.split()))
    tell(f"{program}: {line}")


def tell(line: str) -> None:
    """Print a line on standard error; that nobody can read it is no reason to stop."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)
