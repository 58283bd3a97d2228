"""Other systems and broken installations, as a preamble for a Python process of a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BLOCK = """
import importlib.abc, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ImportError(f"{{name}} is blocked")

for name in [name for name in sys.modules if name.partition(".")[0] in {names!r}]:
    del sys.modules[name]
sys.meta_path.insert(0, Blocked())
"""
"""Modules that cannot be imported."""

UNIX_ONLY = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "readline", "curses"}
WINDOWS = (
    """
# What the standard library needs for itself on this system.
import asyncio, multiprocessing, os, pathlib, shutil, signal, subprocess, tempfile
from multiprocessing import popen_spawn_posix
"""
    + BLOCK.format(names=UNIX_ONLY)
    + """
for name in ("sched_getaffinity", "O_NONBLOCK", "O_ASYNC", "fork", "getuid", "geteuid", "getloadavg"):
    delattr(os, name)
for name in ("SIGUSR1", "SIGUSR2", "SIGIO", "SIGHUP", "SIGKILL", "SIGALRM"):
    delattr(signal, name)
multiprocessing.get_all_start_methods = lambda: ["spawn"]

def refuse(event, arguments):
    # Neither renamed nor removed while it is open.
    if event in ("os.rename", "os.remove"):
        held = set()
        for number in os.listdir("/proc/self/fd"):
            try:
                held.add(os.readlink(f"/proc/self/fd/{number}"))
            except OSError:
                pass
        for path in arguments[: 2 if event == "os.rename" else 1]:
            if os.path.abspath(path) in held:
                raise PermissionError(13, "it is open", os.fspath(path))

sys.addaudithook(refuse)
import getnet_bids.files
getnet_bids.files.MOVABLE = False
"""
)
"""A Python that has what it has on Windows alone, and refuses what that refuses."""

MACOS = """
import os, sys

delattr(os, "sched_getaffinity")

def refuse(event, arguments):
    if event == "open" and str(arguments[0]).startswith(("/proc/", "/sys/")):
        raise FileNotFoundError(2, "there is none", arguments[0])

sys.addaudithook(refuse)
"""
"""A Python that lacks what macOS has not: affinities, and the kernel's files."""


def python(preamble: str, code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run some code after a preamble in a process of its own."""
    command = [sys.executable, "-c", preamble + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)
