"""Values of options: read from text, or refused in words that say what was expected."""

from __future__ import annotations

import math
import re
from argparse import ArgumentTypeError
from pathlib import Path


def device(text: str) -> str:
    """Check a device's name; whether it is there is seen later, with torch."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text):
        raise ArgumentTypeError(f"{text!r} is not auto, cpu, cuda, cuda:N or mps")
    return text


def positive_int(text: str) -> int:
    """Read a whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def seed(text: str) -> int:
    """Read a whole number, 0 or above, that torch takes as a seed."""
    if not text.isdecimal() or int(text) >= 2**63:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2^63 - 1")
    return int(text)


def positive_float(text: str) -> float:
    """Read a finite number above 0."""
    value = number(text)
    if not 0 < value < math.inf:
        raise ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def percent(text: str) -> float:
    """Read a percentage that leaves a gain above 0."""
    value = number(text)
    if not 0 < value < 100:
        raise ArgumentTypeError(f"{text!r} is not a number above 0 and below 100")
    return value


def number(text: str) -> float:
    """Read a number; what is none is not a number."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def named_path(text: str) -> str:
    """Check NAME=PATH; the text stays as it is, but for a path alone, which is named after its folder.

    Examples
    --------
    >>> named_path("fmriprep=/data/derivatives/fmriprep"), named_path("/data/derivatives/fmriprep/")
    ('fmriprep=/data/derivatives/fmriprep', 'fmriprep=/data/derivatives/fmriprep')
    """
    name, equals, path = text.partition("=")
    if not equals:
        name, path = Path(text).name, str(Path(text))
    if not re.fullmatch(r"[0-9a-zA-Z_.+-]+", name) or not path:
        raise ArgumentTypeError(f"{text!r} is not NAME=PATH")
    return f"{name}={path}"
