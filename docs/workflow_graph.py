"""Draw the workflows of docstrings (``.. workflow::``) as SVG: a box for each node, a line for each connection."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.parsers.rst import Directive, directives

if TYPE_CHECKING:
    from nipype import Workflow

COLUMN, LINE, WIDTH, HEIGHT = 170, 56, 140, 36
"""Distances between columns and between lines, and the size of a box, pixels."""


class WorkflowGraph(Directive):
    """Run the code of the block, which defines a workflow `wf`, and draw this workflow."""

    has_content = True
    option_spec = {"graph2use": directives.unchanged, "simple_form": directives.unchanged}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        """Return the picture."""
        made: dict[str, Any] = {}
        exec("\n".join(self.content), made)
        return [nodes.raw("", svg(made["wf"]), format="html")]


def layers(workflow: Workflow) -> dict[Any, int]:
    """Return the column of each node, right of all nodes that it waits for; an inner workflow counts as one node."""
    graph = workflow._graph
    column = dict.fromkeys(graph.nodes, 0)
    for _ in column:
        for before, after in graph.edges:
            column[after] = max(column[after], column[before] + 1)
    return column


def svg(workflow: Workflow) -> str:
    """Draw a workflow from left to right."""
    column = layers(workflow)
    place: dict[Any, tuple[int, int]] = {}
    lines = [0] * (max(column.values()) + 1)
    for node in sorted(column, key=lambda node: (column[node], node.name)):
        place[node] = (column[node] * COLUMN + 4, lines[column[node]] * LINE + 4)
        lines[column[node]] += 1
    width, height = len(lines) * COLUMN, max(lines) * LINE
    parts = []
    for before, after in workflow._graph.edges:
        (x1, y1), (x2, y2) = place[before], place[after]
        x1, y1, y2 = x1 + WIDTH, y1 + HEIGHT // 2, y2 + HEIGHT // 2
        bend = (x2 - x1) // 2
        parts.append(f'<path d="M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}" opacity=".5"/>')
    for node, (x, y) in place.items():
        parts.append(f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6" class="box"/>')
        parts.append(f'<text x="{x + WIDTH // 2}" y="{y + HEIGHT // 2 + 5}">{escape(node.name)}</text>')
    style = (
        "path{fill:none;stroke:currentColor}.box{fill:var(--color-background-secondary,#f8f9fb);stroke:currentColor}"
        "text{font:14px sans-serif;fill:currentColor;text-anchor:middle}"
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" style="max-width:{width}px" role="img" '
        f'aria-label="Graph of {escape(workflow.name)}"><style>{style}</style>{"".join(parts)}</svg>'
    )


def setup(app: Any) -> dict[str, bool]:
    """Register the directive with Sphinx."""
    app.add_directive("workflow", WorkflowGraph)
    return {"parallel_read_safe": True}
