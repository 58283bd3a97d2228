"""Settings as a TOML file: the configuration file of a user, and the one that each run saves."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from . import __version__
from .errors import GetNetError
from .files import text_of
from .settings import ModelSettings, Settings

RUN = "run"
"""Table of a saved file with information about the run; it is ignored when the file is read again."""


def known(kind: type[ModelSettings]) -> dict[str, Any]:
    """Return the fields that a TOML file may contain, by all their names in TOML."""
    named = [one for one in fields(kind) if "kind" in one.metadata]
    return {key: one for one in named for key in (main_key(one), *one.metadata["aliases"])}


def main_key(one: Any) -> str:
    """Return the name of a field in TOML."""
    return one.name.replace("_", "-")


def read_toml(path: Path) -> dict[str, Any]:
    """Read settings from a configuration file.

    Parameters
    ----------
    path : Path
        Settings by the long names of their options; underscores are as good as hyphens.

    Returns
    -------
    dict
        Values by the names of `Settings`.

    Raises
    ------
    GetNetError
        The file is not TOML, or has an unknown setting or an invalid value; the subject is the file.
    OSError
        The file cannot be read.
    """
    try:
        table = tomllib.loads(text_of(path.read_bytes()))
    except (ValueError, RecursionError) as error:
        raise GetNetError(f"not TOML: {error}", path) from None
    table.pop(RUN, None)
    names = known(Settings)
    values: dict[str, Any] = {}
    for key, value in table.items():
        one = names.get(key.replace("_", "-"))
        if one is None:
            near = difflib.get_close_matches(key.replace("_", "-"), names, 1)
            raise GetNetError(f"there is no option {key!r}{f'; did you mean {near[0]}?' if near else ''}", path)
        if one.name in values:
            raise GetNetError(f"{key} is given twice, under different names", path)
        try:
            values[one.name] = from_toml(value, one)
        except GetNetError as error:
            raise GetNetError(f"{key}: {error.reason}", path) from None
    return values


def from_toml(value: Any, one: Any) -> Any:
    """Turn a value of a TOML file into that of a field, or raise `GetNetError`."""
    kind, read = one.metadata["kind"], one.metadata.get("read")
    if kind is bool:
        return expect(value, bool, "true or false")
    if kind is tuple:
        items = [value] if isinstance(value, str) else expect(value, list, "a list of strings")
        if not items:
            raise GetNetError("the list is empty; leave it out instead")
        return tuple(read(expect(item, str, "a list of strings")) for item in items)
    types: dict[Any, Any] = {int: (int, "a whole number"), float: ((int, float), "a number"), str: (str, "a string")}
    return read(str(expect(value, types[kind][0], types[kind][1])))


def expect(value: Any, kind: type | tuple[type, ...], words: str) -> Any:
    """Return a value if it has the given type; true and false are not numbers."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise GetNetError(f"must be {words}, not {value!r}")
    return value


def to_toml(settings: Settings, command: Sequence[str] = ()) -> str:
    """Write settings as a configuration file that can be read again, with a table of information about the run.

    Paths are absolute, so that the file means the same elsewhere.

    Parameters
    ----------
    settings : Settings
    command : sequence of str
        The command line, for the table.

    Returns
    -------
    str
    """
    values = {
        key: absolute(getattr(settings, one.name)) for key, one in known(Settings).items() if key == main_key(one)
    }
    if settings.derivatives:
        values["derivatives"] = [f"{name}={path.absolute()}" for name, path in settings.derivative_roots.items()]
    run = {name: getattr(settings, name) for name in ("bids_dir", "output_dir", "analysis_level")}
    return f"{toml(values)}\n[{RUN}]\n{toml({'version': __version__, 'command': list(command), **run})}"


def absolute(value: Any) -> Any:
    """Make a path absolute; return any other value unchanged."""
    return value.absolute() if isinstance(value, Path) else value


def toml(values: dict[str, Any]) -> str:
    """Write a flat table as TOML; values that are None are left out.

    Parameters
    ----------
    values : dict
        Strings, numbers, booleans and lists of these; others as their text.

    Returns
    -------
    str

    Examples
    --------
    >>> print(toml({"refine": True, "smoothness": None, "modalities": ["T1w", "T2w"]}), end="")
    refine = true
    modalities = ["T1w", "T2w"]
    """
    lines = [
        f"{key} = {json.dumps(value, default=str, ensure_ascii=False)}\n"
        for key, value in values.items()
        if value is not None
    ]
    return "".join(lines)
