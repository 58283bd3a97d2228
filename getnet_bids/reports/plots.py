"""Plots: the distribution of a measure over a dataset, drawn by matplotlib as box and dots; an image's histogram."""

from __future__ import annotations

import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
from markupsafe import Markup

from .page import number
from .records import is_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLOT_WIDTH, LINE = 444, 44
"""Width of a plot and height of a group, pixels."""
LEFT, RIGHT, BELOW = 110, 24, 26
"""Margins in pixels for the groups' names, half a tick label, and the tick labels."""
COLOURS = {"#1b1f24": "--text", "#57606a": "--soft", "#d0d7de": "--line", "#0a58ca": "--accent", "#b42318": "--bad"}
"""Placeholders for the colours with these names in ``style.css``, which differ between light and dark pages."""
TEXT, SOFT, GRID, DOT, OUTLIER = COLOURS
WHISKERS, BOX = (5, 95), (25, 50, 75)
"""Percentiles."""
MIN_BOXED = 5
"""Smallest number of values for a box."""
MAX_DOTS = 2000
"""Approximate largest number of dots of a group; of more values every second, third, ... is drawn, and all outliers."""
MAX_LINKED = 200
"""Largest number of outliers of a group that are drawn as links; the table has all."""
GOLDEN = 0.6180339887498949
SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"


@dataclass(frozen=True)
class Dot:
    """A value to draw.

    Parameters
    ----------
    value : float
    outlier : bool
    name, link : str
        Name of the image, and the link to it.
    """

    value: float
    outlier: bool
    name: str
    link: str


@dataclass(frozen=True)
class Plot:
    """The plot of a measure's distribution.

    Parameters
    ----------
    title, text : str
    svg : Markup
        The drawing, for a page.
    """

    title: str
    text: str
    svg: Markup


def plot(title: str, text: str, groups: Mapping[str, Sequence[Dot]]) -> Plot | None:
    """Draw a measure on a logarithmic axis; None if there is nothing to draw.

    Parameters
    ----------
    title, text : str
    groups : dict of sequence of Dot
        Dots by the name of the group; values above 0.

    Returns
    -------
    Plot or None
    """
    groups = {name: dots for name, dots in groups.items() if dots}
    if not groups:
        return None
    summaries = []
    for name, dots in groups.items():
        median = statistics.median(dot.value for dot in dots)
        outliers = sum(dot.outlier for dot in dots)
        summaries.append(f"{name}: n = {len(dots)}, median {median:.3g}, outliers: {outliers}")
    names = [dot.name for dots in groups.values() for dot in linked(dots)]
    svg = as_svg(draw(groups), title, [f"Outlier in {title}: {name}" for name in names], "; ".join(summaries))
    return Plot(title, text, svg)


def linked(dots: Sequence[Dot]) -> list[Dot]:
    """Return the outliers that are drawn as links."""
    return [dot for dot in dots if dot.outlier][:MAX_LINKED]


def draw(groups: Mapping[str, Sequence[Dot]]) -> Figure:
    """Draw the groups below each other; a point of the figure is a pixel of the page."""
    from matplotlib.figure import Figure

    width, height = PLOT_WIDTH, LINE * len(groups) + BELOW
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    axes = figure.add_axes(
        (LEFT / width, BELOW / height, (width - LEFT - RIGHT) / width, 1 - BELOW / height), frameon=False
    )
    set_scale(axes, [dot.value for dots in groups.values() for dot in dots])
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.set_yticks([])
    axes.set_axisbelow(True)
    axes.grid(axis="x", color=GRID, linewidth=1, clip_on=False)
    axes.tick_params(axis="x", length=0, labelsize=12, labelcolor=SOFT)
    for i, (name, dots) in enumerate(groups.items()):
        short = name if len(name) <= 16 else f"{name[:15]}…"
        label = f"{short}\nn = {len(dots)}"
        axes.text(-LEFT, i, label, transform=left_edge(axes), color=SOFT, fontsize=12, va="center", parse_math=False)
        draw_group(axes, i, dots)
    return figure


def left_edge(axes: Axes) -> Any:
    """Return a transform whose coordinates are points from the left edge, and rows downwards."""
    from matplotlib.transforms import Affine2D, blended_transform_factory

    edge = Affine2D().translate(LEFT, 0)
    return blended_transform_factory(edge, axes.transData)


def set_scale(axes: Axes, values: Sequence[float]) -> None:
    """Make the axis logarithmic, with up to six round ticks."""
    from matplotlib.ticker import FuncFormatter, Locator, LogLocator, MaxNLocator, NullLocator

    low, high = min(values), max(values)
    if high < 1.02 * low:
        low, high = low / 1.01, high * 1.01
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    decades = np.log10(high / low)
    if decades < 0.7:  # nearly linear, so evenly spaced numbers are suitable
        locator: Locator = MaxNLocator(5, steps=(1, 2, 5, 10))
    else:
        locator = LogLocator(subs=(1, 2, 5) if decades <= 2 else (1,), numticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))


def draw_group(axes: Axes, line: int, dots: Sequence[Dot]) -> None:
    """Draw the dots, the box and the outliers of a group."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    # Multiples of the golden ratio fill the height evenly and reproducibly.
    heights = line + 0.55 * ((np.arange(len(dots)) * GOLDEN) % 1 - 0.5)
    values = np.array([dot.value for dot in dots])
    usual = np.array([not dot.outlier for dot in dots])
    usual &= np.arange(len(dots)) % -(-len(dots) // MAX_DOTS) == 0
    # One path of very short strokes with round ends takes a third of the bytes of separate markers.
    points = np.repeat(np.column_stack([values, heights])[usual], 2, axis=0)
    points[1::2, 1] += 0.005
    if len(points):
        path = Path(points, [Path.MOVETO, Path.LINETO] * (len(points) // 2))
        path.should_simplify = False
        size = 7.0 if len(dots) < 50 else 5.0 if len(dots) < 200 else 3.0 if len(dots) < 1000 else 2.0
        strokes: dict[str, Any] = {
            "edgecolor": DOT,
            "facecolor": "none",
            "linewidth": size,
            "capstyle": "round",
            "snap": False,
        }
        axes.add_patch(PathPatch(path, **strokes, alpha=0.6, clip_on=False))
    if len(dots) >= MIN_BOXED:
        (low, high), (first, median, third) = np.percentile(values, WHISKERS), np.percentile(values, BOX)
        top, bottom = line - 0.23, line + 0.23
        outline: list[tuple[float, float]] = [(low, line), (first, line), (third, line), (high, line)]
        outline += [(first, top), (third, top), (third, bottom), (first, bottom), (first, top)]
        outline += [(median, top), (median, bottom)]
        codes = [Path.MOVETO, Path.LINETO] * 2 + [Path.MOVETO, *[Path.LINETO] * 4] + [Path.MOVETO, Path.LINETO]
        axes.add_patch(PathPatch(Path(outline, codes), edgecolor=TEXT, facecolor="none", linewidth=1.5, clip_on=False))
    places = [k for k, dot in enumerate(dots) if dot.outlier][:MAX_LINKED]
    for k in places:
        marker: dict[str, Any] = {
            "color": OUTLIER,
            "marker": "o",
            "markersize": 9,
            "markeredgewidth": 0,
            "linestyle": "none",
        }
        axes.plot(values[k], heights[k], **marker, clip_on=False, url=dots[k].link)


def as_svg(figure: Figure, title: str, links: Sequence[str], summary: str) -> Markup:
    """Convert a figure to an SVG element that can be on a page together with others.

    Parameters
    ----------
    figure : Figure
    title : str
        Title of the plot, from which identifiers are made.
    links : sequence of str
        Text of each link for screen readers.
    summary : str
        Summary of the plot for screen readers.

    Returns
    -------
    Markup
        With the colours and fonts of the page.
    """
    from matplotlib import rc_context

    file = io.BytesIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(file.getvalue())
    for child in [child for child in root if child.tag != f"{SVG}g" and child.find(f"{SVG}style") is not None]:
        root.remove(child)
    for child in root.findall(f"{SVG}metadata"):
        root.remove(child)
    names = {element.get("id"): f"{title}-{element.get('id')}".replace(" ", "-") for element in root.iter()}
    labels = iter(links)
    for element in root.iter():
        clean(element, names)
        if element.tag == f"{SVG}a":
            label = next(labels)
            element.set("aria-label", label)
            ElementTree.SubElement(element, f"{SVG}title").text = label.partition(": ")[2]
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.set("role", "group")
    root.set("aria-label", f"{title}. {summary}")
    ElementTree.register_namespace("", SVG[1:-1])
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def clean(element: ElementTree.Element, names: Mapping[str | None, str]) -> None:
    """Set unique identifiers, the page's colours and the page's font in an element."""
    if element.get("id") is not None:
        element.set("id", names[element.get("id")])
    target = element.attrib.pop(LINK, "")
    if target:
        element.set("href", f"#{names[target[1:]]}" if target.startswith("#") else target)
    style = [part.strip() for part in element.get("style", "").split(";")]
    style = [part for part in style if part and not part.startswith("font")]
    if style:
        text = "; ".join(style)
        for colour, name in COLOURS.items():
            text = text.replace(colour, f"var({name})")
        element.set("style", text)


HISTOGRAM_WIDTH, HISTOGRAM_HEIGHT = 640, 180
"""Size of the histogram, pixels. It is drawn without matplotlib, whose import takes longer than writing the page."""


def histogram(made: dict[str, Any]) -> dict[str, Any] | None:
    """Convert the histogram's counts to lines; None if there are none."""
    measures = made.get("Measures")
    counts = measures.get("Histogram") if isinstance(measures, dict) else None
    if not isinstance(counts, dict) or not is_number(counts.get("From")) or not is_number(counts.get("To")):
        return None
    both: list[Any] = [counts.get("Before"), counts.get("After")]
    if not all(isinstance(c, list) and len(c) > 1 and all(map(is_number, c)) and max(c) > 0 for c in both):
        return None
    before, after = (smooth(c) for c in both)
    low, high = counts["From"], counts["To"]
    highest = max(*before, *after)
    return {
        "width": HISTOGRAM_WIDTH,
        "height": HISTOGRAM_HEIGHT,
        "before": outline(before, highest),
        "after": outline(after, highest),
        "ticks": [(HISTOGRAM_WIDTH * i / 4, number(low + (high - low) * i / 4)) for i in range(5)],
    }


def smooth(counts: list[float]) -> list[float]:
    """Smooth by a triangle over five bins, since whole numbers of a scan and bins make a comb-like pattern.

    Examples
    --------
    >>> smooth([0, 0, 9, 0, 0])
    [1.0, 2.0, 3.0, 2.0, 1.0]
    """
    padded = [0, 0, *counts, 0, 0]
    return [sum(w * padded[i + k] for k, w in enumerate((1, 2, 3, 2, 1))) / 9 for i in range(len(counts))]


def outline(counts: list[float], highest: float) -> str:
    """Convert counts to the points of a line.

    Examples
    --------
    >>> outline([0, 4, 2], 4)
    '106.7,180.0 320.0,0.0 533.3,90.0'
    """
    step = HISTOGRAM_WIDTH / len(counts)
    return " ".join(f"{(i + 0.5) * step:.1f},{HISTOGRAM_HEIGHT * (1 - c / highest):.1f}" for i, c in enumerate(counts))
