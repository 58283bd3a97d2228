"""Sphinx configuration."""

import shutil
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math import latex2mathml

from getnet_bids import __version__
from getnet_bids.training import cli as training_cli

sys.path.insert(0, str(Path(__file__).parent))
# Default paths are shown for any user, not for the one who builds the pages.
training_cli.default_cache = lambda: Path("~/.cache/getnet_bids/photographs")

project = "getnet_bids"
author = copyright = "The getnet_bids developers"
release = version = __version__
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "nipype.sphinxext.apidoc",
    "sphinxarg.ext",
    "workflow_graph",
    "column_tables",
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
# Options begin with two hyphens, which must not become a dash.
smartquotes = False
# Names in single backticks link to the object of that name if it has a page.
default_role = "py:obj"

# Stubs of removed modules would be pages that no other page links to.
shutil.rmtree(Path(__file__).parent / "generated", ignore_errors=True)
autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_custom_sections = [("Inputs", "params_style"), ("Outputs", "params_style")]
napoleon_use_param = napoleon_use_rtype = False

# Formulas are MathML, which browsers show without a network.
html_math_renderer = "mathml"
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_title = f"getnet_bids {version}"


def rubrics(app: Any, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """Make rubrics of the section titles that nipype's extension puts into an interface's docstring."""
    for i, line in enumerate(lines[1:], 1):
        if line and line.strip("-") == "":
            lines[i - 1], lines[i] = f".. rubric:: {lines[i - 1]}", ""


def write_math(translator: Any, node: nodes.math | nodes.math_block) -> None:
    """Write a formula as MathML."""
    block = isinstance(node, nodes.math_block)
    translator.body.append("".join(latex2mathml.tex2mathml(node.astext(), as_block=block)))
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Register the functions of this file, to run after the extensions."""
    app.add_html_math_renderer("mathml", inline_renderers=(write_math, None), block_renderers=(write_math, None))
    app.connect("autodoc-process-docstring", rubrics, priority=900)
