"""Render pages as single files that contain their style and scripts and load nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .records import is_number

TEMPLATES = Path(__file__).with_name("templates")
ABSENT = "–"  # noqa: RUF001


def render(template: str, script: str, **context: Any) -> str:
    """Fill a template.

    Parameters
    ----------
    template, script : str
        Files in the package's ``templates``; the page allows only this script to run.
    **context
        Variables of the template; all text is escaped.

    Returns
    -------
    str
        The page.
    """
    code = read(script)
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    page = environment().get_template(template)
    return page.render(style=Markup(read("style.css")), script=Markup(code), script_hash=digest, **context)


@lru_cache
def environment() -> Environment:
    """Return the jinja2 environment with the templates."""
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters.update(number=number, link=link, percent=percent)
    return found


@lru_cache
def read(name: str) -> str:
    """Read a style or a script."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def number(value: Any, digits: int = 3) -> str:
    """Format a number with a number of significant digits; thousands are written as whole numbers.

    Examples
    --------
    >>> number(0.123456), number(12345.6), number(2.0), number(None)
    ('0.123', '12346', '2.00', '–')
    """  # noqa: RUF002
    if not is_number(value):
        return ABSENT
    if abs(value) >= 10**digits or value == 0:
        return f"{value:.0f}"
    return f"{value:#.{digits}g}".rstrip(".")


def percent(value: Any) -> str:
    """Format a fraction as per cent.

    Examples
    --------
    >>> percent(0.1234)
    '12.3 %'
    """
    return f"{100 * value:.1f} %" if is_number(value) else ABSENT


def link(path: str) -> str:
    """Turn a relative path into a link.

    Examples
    --------
    >>> link("sub-01/anat/a b#c.nii")
    'sub-01/anat/a%20b%23c.nii'
    """
    return quote(path)


def data_uri(content: bytes, kind: str) -> str:
    """Convert a file's content to a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def as_json(value: Any) -> Markup:
    r"""Format JSON so that it can be placed inside a script element.

    Examples
    --------
    >>> print(as_json(["</script>"]))
    ["\u003c/script\u003e"]
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
