"""The nipype plugin that a comparison runs under."""

from __future__ import annotations

import getpass
import math
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from getnet_bids.files import text_of
from getnet_bids.machine import processors
from getnet_bids.run import console
from getnet_bids.settings import Settings

MAX_REASON_LENGTH = 400
"""Largest length of a reason, in characters."""


@dataclass(frozen=True)
class Plugin:
    """A nipype plugin and its arguments.

    Parameters
    ----------
    name : str
        Such as ``MultiProc`` or ``SLURM``.
    args : dict
        For MultiProc they include ``n_procs``.
    """

    name: str
    args: dict[str, Any] = field(default_factory=dict)

    @property
    def processes(self) -> int:
        """Number of nodes that run at a time, as far as it is known; at least 1."""
        return max(1, int(self.args.get("n_procs") or self.args.get("max_jobs") or 1))

    def runner(self, on_status: Callable[[Any, str], None], on_crash: Callable[[Any, str, Path], None]) -> Any:
        """Make a new instance of the plugin.

        Parameters
        ----------
        on_status : callable
            Called with a node and ``start``, ``end`` or ``exception``.
        on_crash : callable
            Called with a node that failed, the reason in one line, and the crash file.
        """
        kind = reporting(self.name)
        # Plugins for clusters use it in the names of jobs.
        if not os.environ.get("LOGNAME"):
            os.environ["LOGNAME"] = user_name()
        return kind(plugin_args={**self.args, "status_callback": on_status, "crash_callback": on_crash})


def user_name() -> str:
    """Return the user's name, or that of the program if the system has none, as in containers."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return "getnet-bids"


@cache
def reporting(name: str) -> Any:
    """Return the class of a nipype plugin, extended by a callback for nodes that have failed."""
    from nipype.pipeline import plugins

    from getnet_bids.workflows import LinearPlugin, WatchedMultiProcPlugin

    own = {"MultiProc": WatchedMultiProcPlugin, "Linear": LinearPlugin}
    base: Any = own.get(name) or getattr(plugins, f"{name}Plugin")

    def report(self: Any, node: Any, result: dict[str, Any] | None = None) -> str:
        reason = reason_in(result or {})  # before nipype appends remarks on the crash file to the traceback
        file = base._report_crash(self, node, result)
        self.plugin_args["crash_callback"](node, reason, Path(file))
        return str(file)

    return type(base.__name__, (base,), {"_report_crash": report})


def reason_in(result: dict[str, Any]) -> str:
    r"""Return the reason why a node failed, in one line.

    Parameters
    ----------
    result : dict
        From nipype: the lines of the traceback and, if the interface was run, its result with its own traceback.

    Returns
    -------
    str
        The error's text, preceded by its type unless that is `GetNetError`.

    Examples
    --------
    >>> reason_in({"traceback": ["Traceback (most recent call last):\n", "  File ...\n", "ValueError: wrong\n"]})
    'ValueError: wrong'
    """
    runtime = getattr(result.get("result"), "runtime", None)
    text = getattr(runtime, "traceback", None) or "".join(result.get("traceback") or [])
    lines = text.rstrip().splitlines()
    # The error itself, on one line or more, follows the last line of the stack, which is indented.
    start = max((i for i, line in enumerate(lines, 1) if line[:1].isspace()), default=0)
    reason = " ".join(" ".join(lines[start:]).split()) or "it left no result"
    kind, _, message = reason.partition(": ")
    reason = message if kind.rpartition(".")[2] == "GetNetError" else reason
    return reason if len(reason) <= MAX_REASON_LENGTH else f"{reason[:MAX_REASON_LENGTH]} ..."


def plugin_of(settings: Settings) -> Plugin:
    """Return the plugin for a run.

    Parameters
    ----------
    settings : Settings
        With ``use_plugin``, ``nprocs`` and ``mem_mb``; the plugin's file takes precedence over the latter two.

    Returns
    -------
    Plugin

    Raises
    ------
    CommandError
        The file is not a valid plugin file.
    """
    name, given = ("MultiProc", {}) if settings.use_plugin is None else read_plugin(settings.use_plugin)
    if name != "MultiProc":
        return Plugin(name, given)
    defaults: dict[str, Any] = {"n_procs": settings.nprocs or processors(), "raise_insufficient": False}
    if settings.mem_mb:
        defaults["memory_gb"] = settings.mem_mb / 1000
    return Plugin(name, {**defaults, **given})


def read_plugin(path: Path) -> tuple[str, dict[str, Any]]:
    """Read a plugin's name and arguments from a file in fMRIPrep's format."""
    import yaml

    def refuse(why: str) -> console.CommandError:
        return console.CommandError(console.USAGE, f"{path}: {why}; write plugin: NAME and plugin_args: {{...}}")

    try:
        content = yaml.safe_load(text_of(path.read_bytes()))
    except (yaml.YAMLError, RecursionError) as error:
        raise refuse(f"not valid YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(content, dict) or not isinstance(content.get("plugin"), str):
        raise refuse("names no plugin")
    name, args = content["plugin"].removesuffix("Plugin"), content.get("plugin_args") or {}
    if not isinstance(args, dict):
        raise refuse("its plugin_args are not a table")
    check_name(name, refuse)
    check_args(args, path)
    return name, args


def check_args(args: dict[str, Any], path: Path) -> None:
    """Raise an error for arguments that nipype would fail on later, in each node or with a traceback."""
    methods = multiprocessing.get_all_start_methods()
    for name, value in args.items():
        whole = value if type(value) is int else -1  # neither True nor 1.5
        if name in ("n_procs", "max_jobs"):
            allowed, must = whole >= 1, "a whole number of 1 or more"
        elif name == "n_gpu_procs":
            allowed, must = whole >= 0, "a whole number of 0 or more"
        elif name == "memory_gb":
            allowed, must = type(value) in (int, float) and 0 < value < math.inf, "a number above 0"
        elif name == "mp_context":
            allowed, must = value in methods, f"one of {', '.join(methods)}"
        else:
            continue
        if not allowed:
            raise console.CommandError(console.USAGE, f"{path}: {name} must be {must}, not {value!r}")


def check_name(name: str, refuse: Callable[[str], console.CommandError]) -> None:
    """Raise an error for unknown plugins, and for those that submit nodes without waiting for them."""
    from nipype.pipeline import plugins
    from nipype.pipeline.plugins.base import DistributedPluginBase

    known = [kind for kind in dir(plugins) if kind.endswith("Plugin")]
    kind = getattr(plugins, f"{name}Plugin", None)
    if kind is None:
        raise refuse(f"nipype has no plugin {name!r}; it has {', '.join(k.removesuffix('Plugin') for k in known)}")
    if not issubclass(kind, DistributedPluginBase) and name != "Linear":
        raise refuse(f"{name} does not wait for what it runs, so the outcome would be unknown; use another plugin")
