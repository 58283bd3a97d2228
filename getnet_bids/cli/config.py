"""Options from a TOML file, and those of a run kept as such a file."""

from __future__ import annotations

import argparse
import difflib
import tomllib
from argparse import Namespace
from pathlib import Path
from typing import Any

from getnet_bids import __version__

from . import exits
from .parser import app_parser
from .values import percent, positive_float, positive_int, seed

RUN = "run"
"""The table of a kept file that tells of the run; it is passed over when the file is given back."""
UNFIT = {"help", "version", "config_file"}
POSITIONAL = ("bids_dir", "output_dir", "analysis_level")


def parse(argv: list[str]) -> Namespace:
    """Read the command line, and the configuration file that it may name.

    What the command line says wins; what neither says has its default.

    Parameters
    ----------
    argv : list of str
        Without the program's name.

    Returns
    -------
    Namespace

    Raises
    ------
    CommandError
        The file is not there, or not what it should be.
    """
    parser = app_parser()
    args = parser.parse_args(argv)
    if args.config_file is None:
        return args
    configured = read(args.config_file, parser)
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    given = vars(parser.parse_args(argv))
    return Namespace(**{**vars(args), **configured, **given})


def read(path: Path, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Read a configuration file.

    Parameters
    ----------
    path : Path
    parser : ArgumentParser
        Whose options it may hold, by their long names; underscores are as good as hyphens.

    Returns
    -------
    dict
        Values by the options' destinations.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise exits.CommandError(exits.NO_INPUT, f"{path}: no such file") from None
    except (ValueError, RecursionError) as error:
        raise exits.CommandError(exits.USAGE, f"{path}: not TOML: {error}") from None
    table.pop(RUN, None)
    known = options(parser)
    values: dict[str, Any] = {}
    for key, value in table.items():
        action = known.get(key.replace("_", "-"))
        if action is None:
            near = difflib.get_close_matches(key.replace("_", "-"), known, 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise exits.CommandError(exits.USAGE, f"{path}: there is no option {key!r}{meant}")
        if action.dest in values:
            raise exits.CommandError(exits.USAGE, f"{path}: {key} stands twice under different names")
        try:
            values[action.dest] = convert(value, action)
        except (ValueError, argparse.ArgumentTypeError) as error:
            raise exits.CommandError(exits.USAGE, f"{path}: {key}: {error}") from None
    return values


def options(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Give a parser's options by their long names, without those that are no settings."""
    return {
        name.removeprefix("--"): action
        for action in parser._actions
        for name in action.option_strings
        if name.startswith("--") and action.dest not in UNFIT and not is_denial(name, action)
    }


def is_denial(name: str, action: argparse.Action) -> bool:
    """Tell whether a name is the ``--no-`` form of a switch that goes both ways."""
    return isinstance(action, argparse.BooleanOptionalAction) and name.startswith("--no-")


def convert(value: Any, action: argparse.Action) -> Any:
    """Turn a value of a TOML file into that of an option.

    Parameters
    ----------
    value : object
        As tomllib gives it.
    action : Action
        The option.

    Returns
    -------
    object
        What the command line would have given.

    Raises
    ------
    ValueError, ArgumentTypeError
        It is of another type, or not allowed.
    """
    if action.nargs == 0:
        return expect(value, bool, "true or false")
    if action.nargs == "+":
        items = [value] if isinstance(value, str) else expect(value, list, "a list of strings")
        if not items:
            raise ValueError("the list is empty; leave it out instead")
        return [single(expect(item, str, "a list of strings"), action) for item in items]
    if action.type in (positive_int, seed):
        value = expect(value, int, "a whole number")
    elif action.type in (positive_float, percent):
        value = expect(value, (int, float), "a number")
    else:
        value = expect(value, str, "a string")
    return single(str(value), action)


def expect(value: Any, kind: type | tuple[type, ...], words: str) -> Any:
    """Give a value back if it is of some type; true and false are no numbers."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"must be {words}, not {value!r}")
    return value


def single(text: str, action: argparse.Action) -> Any:
    """Read one value as the command line does."""
    value = action.type(text) if callable(action.type) else text
    if action.choices is not None and value not in action.choices:
        raise ValueError(f"{text!r} is not one of {', '.join(action.choices)}")
    return value


def resolved(args: Namespace) -> dict[str, Any]:
    """Give the options of a run as they can stand in a configuration file.

    Paths are absolute, so that the file means the same elsewhere; options that have no value are None.

    Parameters
    ----------
    args : Namespace
        Checked.

    Returns
    -------
    dict
        By the options' long names.
    """
    names: dict[str, str] = {}
    for name, action in options(app_parser()).items():
        names.setdefault(action.dest, name)
    values = {name: getattr(args, dest) for dest, name in names.items()}
    values = {name: value.absolute() if isinstance(value, Path) else value for name, value in values.items()}
    if args.derivatives:
        pairs = [given.partition("=") for given in args.derivatives]
        values["derivatives"] = [f"{name}={Path(path).absolute()}" for name, _, path in pairs]
    return values


def run_table(args: Namespace, argv: list[str]) -> dict[str, Any]:
    """Give what the kept file tells of the run: it does not matter when the file is given back."""
    return {"version": __version__, "command": argv, **{name: getattr(args, name) for name in POSITIONAL}}
