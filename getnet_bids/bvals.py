"""Read b-values, and choose by them the volumes of a series from which its field is estimated."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path

from .errors import GetNetError

B0 = 50.0
"""Largest b of a volume without diffusion weighting, s/mm2; scanners may write, for example, 5 for b = 0."""
SHELL_WIDTH = 100.0
"""Largest difference of b values within the lowest shell, s/mm2."""


def read_bvals(path: str | os.PathLike[str]) -> list[float]:
    """Read a file of b-values, s/mm2: numbers separated by blanks or lines, as in FSL and BIDS.

    Raises
    ------
    GetNetError
        The file contains something else, or nothing.
    """
    words = Path(path).read_text(encoding="utf-8-sig", errors="replace").replace(",", " ").split()
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise GetNetError(f"not a file of b-values ({error}); give FSL's bvals", path) from None
    if not values or not all(0 <= value < math.inf for value in values):
        raise GetNetError("not a file of b-values: none, or one that is below 0 or not finite; give FSL's bvals", path)
    return values


def bvals_of(given: str | os.PathLike[str] | Iterable[float] | None) -> list[float] | None:
    """Return b-values, given as numbers or as a file."""
    if given is None:
        return None
    if isinstance(given, str | os.PathLike):
        return read_bvals(given)
    try:
        values = [float(value) for value in given]
    except (TypeError, ValueError) as error:
        raise GetNetError(f"bvals must be a sequence of numbers ({error}), or the path of FSL's file") from None
    if not all(0 <= value < math.inf for value in values):
        raise GetNetError("bvals holds a value that is below 0 or not finite; give b-values in s/mm2")
    return values


def b0_volumes(bvals: Iterable[float]) -> tuple[list[int], str]:
    """Choose the volumes of a diffusion series from which its field is estimated.

    Parameters
    ----------
    bvals : iterable of float
        The b-value of each volume, s/mm2.

    Returns
    -------
    indices : list of int
        The volumes with b up to `B0`; if there are none, those of the lowest shell.
    text : str
        Description of these volumes.

    Examples
    --------
    >>> b0_volumes([0, 1000, 5, 2000])
    ([0, 2], 'mean of the 2 volumes with b up to 50 s/mm2')
    >>> b0_volumes([700, 1000, 705])
    ([0, 2], 'mean of the 2 volumes of the lowest shell, b = 700 to 705 s/mm2: none has b up to 50')
    """
    values = list(bvals)
    indices = [i for i, value in enumerate(values) if value <= B0]
    if indices:
        return indices, f"{mean_of_the(len(indices))} with b up to {B0:g} s/mm2"
    lowest = min(values)
    indices = [i for i, value in enumerate(values) if value <= lowest + SHELL_WIDTH]
    highest = max(values[i] for i in indices)
    shell = f"{lowest:g}" + (f" to {highest:g}" if highest > lowest else "")
    text = f"{mean_of_the(len(indices))} of the lowest shell, b = {shell} s/mm2: none has b up to {B0:g}"
    return indices, text


def mean_of_the(number: int) -> str:
    """Return the description of the mean of a number of volumes.

    Examples
    --------
    >>> mean_of_the(1), mean_of_the(3)
    ('one volume', 'mean of the 3 volumes')
    """
    return counted(1) if number == 1 else f"mean of the {counted(number)}"


def counted(number: int) -> str:
    """Format a number of volumes, as in "1 volume"."""
    return "one volume" if number == 1 else f"{number} volumes"


def volumes_for_field(
    count: int, bvals: Iterable[float] | None, name: str | os.PathLike[str] | None
) -> tuple[list[int] | None, str]:
    """Choose the volumes of a series from which its field is estimated.

    Parameters
    ----------
    count : int
        Number of volumes.
    bvals : iterable of float, optional
        The b-values of a diffusion series.
    name : str or path, optional
        Name for messages.

    Returns
    -------
    indices : list of int or None
        The volumes, counted from 0; None for all.
    text : str
        Description of these volumes.

    Raises
    ------
    GetNetError
        There are more or fewer b-values than volumes.
    """
    if bvals is None:
        return None, "the image" if count == 1 else f"mean of all {count} volumes"
    values = list(bvals)
    if len(values) != count:
        text = f"it has {counted(count)} and {len(values)} b-values; give the .bval file that belongs to it"
        raise GetNetError(text, name)
    indices, text = b0_volumes(values)
    return (None, "the image") if count == 1 else (indices, text)
