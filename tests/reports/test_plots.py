from __future__ import annotations

import itertools
from xml.etree import ElementTree

import numpy as np
import pytest

from getnet_bids.reports.plots import MAX_DOTS, Dot, draw, plot

SVG = "{http://www.w3.org/2000/svg}"


def dots(values, outliers=()):
    return [Dot(float(v), i in outliers, f"sub-{i}_T1w", f"sub-{i}.html#a") for i, v in enumerate(values)]


@pytest.mark.parametrize("low", [0.0123, 1.0, 7.3, 1234.0, 2e5])
@pytest.mark.parametrize("ratio", [1.0, 1.02, 1.3, 2.1, 9.0, 12.0, 90.0, 150.0, 1e5])
def test_ticks_are_few_and_do_not_overlap(low, ratio):
    figure = draw({"T1w": dots([low, low * ratio])})
    figure.canvas.draw()
    (axes,) = figure.axes
    left, right = axes.get_xlim()
    shown = [label for label in axes.get_xticklabels() if left <= label.get_position()[0] <= right]
    assert 1 <= len(shown) <= 7
    boxes = sorted((label.get_window_extent() for label in shown), key=lambda box: box.x0)
    assert all(before.x1 + 2 < after.x0 for before, after in itertools.pairwise(boxes))


def test_outliers_are_links_and_all_else_are_dots():
    drawn = plot("Field CV", "text", {"T1w": dots(np.linspace(1, 2, 30), {3, 29}), "T2w": dots([1.5])})
    root = ElementTree.fromstring(drawn.svg)
    links = [element for element in root.iter(f"{SVG}a") if element.get("href")]
    assert [link.get("aria-label") for link in links] == [
        "Outlier in Field CV: sub-3_T1w",
        "Outlier in Field CV: sub-29_T1w",
    ]
    assert links[1].get("href") == "sub-29.html#a"
    strokes = sum(path.get("d").count("M") for path in root.iter(f"{SVG}path") if "--accent" in path.get("style", ""))
    assert strokes == 28 + 1
    assert (
        root.get("aria-label") == "Field CV. T1w: n = 30, median 1.5, outliers: 2; T2w: n = 1, median 1.5, outliers: 0"
    )


def test_a_plot_of_very_many_is_small_and_has_its_box_where_numpy_has_the_quartiles():
    values = np.random.default_rng(0).lognormal(0, 1, 50_000)
    assert len(plot("Seconds", "text", {"T1w": dots(values)}).svg) < 60 * MAX_DOTS
    (axes,) = draw({"T1w": dots(values)}).axes
    box = axes.patches[1].get_path().vertices[:, 0]
    assert [box[0], box[3]] == pytest.approx(np.percentile(values, (5, 95)))
    assert {box[1], box[2], box[-1]} == set(np.percentile(values, (25, 75, 50)))


def test_plots_of_one_page_have_no_name_in_common():
    ids = []
    for title in ("CV before", "CV after"):
        root = ElementTree.fromstring(plot(title, "", {"T1w": dots([1, 2, 3], {2})}).svg)
        ids += [element.get("id") for element in root.iter() if element.get("id")]
        used = {element.get("href")[1:] for element in root.iter(f"{SVG}use")}
        assert used <= set(ids)
        assert "#" not in "".join(element.get("style", "") for element in root.iter())
        assert not [element for element in root.iter() if "clip-path" in element.attrib]
    assert len(ids) == len(set(ids))


def test_nothing_to_draw():
    assert plot("Seconds", "", {"T1w": []}) is None
