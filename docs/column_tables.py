"""Tables that describe the columns of a TSV file (``.. columns::``), from `getnet_bids.columns`."""

from __future__ import annotations

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

from getnet_bids import columns
from getnet_bids.comparison.methods import names

TABLES = {
    "status": columns.STATUS,
    "measures": columns.MEASURES,
    "comparison": columns.comparison_columns(names()),
    "group": columns.group_columns(names()),
}


class Columns(Directive):
    """Describe the columns of a table: name, unit and meaning."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table as nodes."""
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 30 10 60", ""]
        cells = [("Name", "Unit", "What")]
        cells += [
            (f"``{c.name}``", c.units.replace("1", ""), c.description.replace("|", r"\|"))
            for c in TABLES[self.arguments[0]]
        ]
        for row in cells:
            lines += [f"   {'*' if i == 0 else ' '} - {text}" for i, text in enumerate(row)]
        section = nodes.section()
        self.state.nested_parse(StringList(lines, source=""), self.content_offset, section)
        return section.children


def setup(app: object) -> dict[str, bool]:
    """Register the directive with Sphinx."""
    app.add_directive("columns", Columns)  # type: ignore[attr-defined]
    return {"parallel_read_safe": True}
