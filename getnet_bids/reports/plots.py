"""Distributions as SVG: a box and a dot for each value, one line for each group."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH = 420
LINE = 44
"""Height of a group, pixels."""
MARGIN = 110
"""Left of the plot, for the groups' names."""
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
BOXED = 5
"""Fewer values than this have no box."""
GOLDEN = 0.6180339887498949
DRAWN = 2000
"""About so many dots of a line are drawn: of more values, every second, third ...; outliers all the same."""
NAMED = 200
"""At most so many outliers of a plot are dots that can be pointed at; all are in the table."""


@dataclass(frozen=True)
class Dot:
    """A value to draw.

    Parameters
    ----------
    value : float
    outlier : bool
    name, link : str
        Of its image.
    """

    value: float
    outlier: bool
    name: str
    link: str


@dataclass(frozen=True)
class Line:
    """A group, drawn; lengths in pixels.

    Parameters
    ----------
    name : str
    count : int
    y : float
        Its middle.
    dots : str
        Path of all values that are no outliers, each a stroke of no length.
    size : float
        Width of that stroke.
    box : tuple of float
        Where the whiskers and quartiles lie: 5th, 25th, 50th, 75th, 95th percentile; empty for few values.
    outliers : list of tuple
        x, y, name and link.
    """

    name: str
    count: int
    y: float
    dots: str
    size: float
    box: tuple[float, ...]
    outliers: list[tuple[float, float, str, str]]


@dataclass(frozen=True)
class Plot:
    """A measure's distribution.

    Parameters
    ----------
    title, text : str
    lines : list of Line
    ticks : list of tuple
        x and label.
    width, height : float
    summary : str
        What a reader who does not see the plot should know.
    """

    title: str
    text: str
    lines: list[Line]
    ticks: list[tuple[float, str]]
    width: float
    height: float
    summary: str


def plot(title: str, text: str, groups: Mapping[str, Sequence[Dot]]) -> Plot | None:
    """Draw a measure on a logarithmic axis; None if there is nothing to draw.

    Parameters
    ----------
    title, text : str
    groups : dict of sequence of Dot
        By name; values above 0.

    Returns
    -------
    Plot or None
    """
    groups = {name: dots for name, dots in groups.items() if dots}
    if not groups:
        return None
    values = [dot.value for dots in groups.values() for dot in dots]
    low, high = min(values), max(values)
    if high < 1.02 * low:
        low, high = low / 1.01, high * 1.01
    scale = (WIDTH - MARGIN) / math.log(high / low)

    def x(value: float) -> float:
        return round(MARGIN + scale * math.log(value / low), 1)

    lines, summaries = [], []
    for i, (name, dots) in enumerate(groups.items()):
        y = LINE * (i + 0.5)
        spread = LINE * 0.55

        def place(k: int, middle: float = y, spread: float = spread) -> float:
            # The golden ratio's multiples fill the height evenly, always alike.
            return round(middle + spread * ((k * GOLDEN) % 1 - 0.5), 1)

        every = -(-len(dots) // DRAWN)
        usual = "".join(f"M{x(d.value)} {place(k)}h0" for k, d in enumerate(dots[::every]) if not d.outlier)
        far = [(x(dot.value), place(k), dot.name, dot.link) for k, dot in enumerate(dots) if dot.outlier]
        sorted_values = sorted(dot.value for dot in dots)
        shares = SHARES if len(dots) >= BOXED else ()
        box = tuple(x(quantile(sorted_values, share)) for share in shares)
        size = 7.0 if len(dots) < 50 else 5.0 if len(dots) < 200 else 3.0 if len(dots) < 1000 else 2.0
        lines.append(Line(name, len(dots), y, usual, size, box, far[:NAMED]))
        median = statistics.median(sorted_values)
        summaries.append(f"{name}: {len(dots)} images, median {median:.3g}, {len(far)} outliers")
    return Plot(
        title,
        text,
        lines,
        [(x(tick), f"{tick:g}") for tick in ticks(low, high)],
        WIDTH,
        LINE * len(lines),
        f"{title}. " + "; ".join(summaries),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of sorted values, straight between neighbours.

    Examples
    --------
    >>> quantile([0.0, 1.0, 2.0], 0.25)
    0.5
    """
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def ticks(low: float, high: float) -> list[float]:
    """Choose up to six round values on a logarithmic axis.

    Examples
    --------
    >>> ticks(1.1, 9.0), ticks(0.03, 40)
    ([2.0, 4.0, 6.0, 8.0], [0.1, 1.0, 10.0])
    >>> ticks(1.0, 1.4), ticks(1500, 2500)
    ([1.0, 1.1, 1.2, 1.3, 1.4], [1600.0, 1800.0, 2000.0, 2200.0, 2400.0])
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1,)):
        found = [float(f"{step}e{decade}") for decade in decades for step in steps]
        found = [value for value in found if low <= value <= high]
        if 3 <= len(found) <= 6:
            return found
    if len(found) > 6:
        return found[:: -(-len(found) // 6)]
    base = 10 ** (math.floor(math.log10(high - low)) - 1)
    step = next(base * factor for factor in (1, 2, 5, 10, 20) if (high - low) / (base * factor) <= 5)
    first = math.ceil(low / step - 1e-9)
    return [float(f"{k * step:.6g}") for k in range(first, math.floor(high / step + 1e-9) + 1)]
