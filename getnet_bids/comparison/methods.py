"""The methods that GetNet can be compared with: to add one, write a file like ``n4.py`` and a line here."""

from __future__ import annotations

from . import n4
from .method import GETNET, Method

METHODS: dict[str, Method] = {
    "n4": n4.METHOD,
}
"""By the word that ``--compare`` takes."""

__all__ = ["GETNET", "METHODS", "Method", "names"]


def names() -> list[str]:
    """Return the names of GetNet and of all methods, in the order of tables and pages."""
    return [GETNET, *(method.name for method in METHODS.values())]
