"""Imports of the packages that getnet_bids uses, tried in a separate process, since a broken one may end it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

IMPORTS = {
    "torch": "nothing runs without it",
    "nibabel": "nothing runs without it",
    "scipy": "nothing runs without it",
    "safetensors": "nothing runs without it",
    "isal": "getnet-bids and getnet need it",
    "jinja2": "the pages need it",
    "PIL": "the pages need it",
    "bids": "--bids-filter-file needs it",
    "nipype": "--compare and the interfaces need it",
    "nilearn": "--compare and getnet-demo need it",
    "templateflow": "templates other than the bundled one need it",
    "matplotlib": "--compare needs it",
    "ants": "--compare needs it",
}
"""Modules that are imported, and what each is needed for."""
DISTRIBUTIONS = {"PIL": "pillow", "ants": "antspyx", "bids": "pybids"}
"""Distributions that have another name than their modules."""
NOT_EVERYWHERE = ("antspyx",)
"""Distributions that do not exist for every Python."""
TIMEOUT = 300
"""Seconds after which an import counts as hanging."""
CODE = """
import importlib, sys, warnings
warnings.simplefilter("ignore")
for name in sys.argv[1:]:
    print("begin", name, flush=True)
    try:
        importlib.import_module(name)
    except Exception as error:
        print("failed", name, type(error).__name__, *str(error).split(), flush=True)
"""
NO_PERMISSION = ("PermissionError", "Read-only file system")
NO_UNICODE = ("UnicodeEncodeError", "UnicodeDecodeError")
NO_MEMORY = ("MemoryError", "Cannot allocate memory", "failed to map segment")


def failing_imports() -> dict[str, str]:
    """Import everything; report what fails, hangs or ends the process.

    Those of `NOT_EVERYWHERE` are left out where they are not installed.

    Returns
    -------
    dict
        By the name of the module: what fails, what needs it, why, and what to do.
    """
    failing: dict[str, str] = {}
    left = [
        name for name in IMPORTS if distribution_of(name) not in NOT_EVERYWHERE or is_installed(distribution_of(name))
    ]
    while left:
        command = [sys.executable, "-c", CODE, *left]
        try:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=TIMEOUT
            )
            printed, code = done.stdout, done.returncode
        except subprocess.TimeoutExpired as late:
            output = late.stdout or b""
            printed, code = output.decode() if isinstance(output, bytes) else output, -1
        lines = [line.split(" ", 2) for line in printed.splitlines() if line.startswith(("begin ", "failed "))]
        failing |= {words[1]: " ".join(words[2:]) for words in lines if words[0] == "failed"}
        begun = [words[1] for words in lines if words[0] == "begin"]
        if code == 0 or not begun:
            break
        failing[begun[-1]] = f"ends the process (exit {code})"
        left = left[left.index(begun[-1]) + 1 :]
    return {
        name: f"{name} cannot be imported ({IMPORTS[name]}): {reason}; {advice(name, reason)}"
        for name, reason in failing.items()
    }


def distribution_of(module: str) -> str:
    """Return the name of a module's distribution."""
    return DISTRIBUTIONS.get(module, module)


def purpose_of(distribution: str) -> str:
    """Return what needs a distribution, in brackets after a space; nothing if it is not one of `IMPORTS`.

    >>> purpose_of("pillow"), purpose_of("tqdm")
    (' (the pages need it)', '')
    """
    return next((f" ({need})" for name, need in IMPORTS.items() if distribution_of(name) == distribution), "")


def is_installed(distribution: str) -> bool:
    """Return whether a distribution is installed."""
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def advice(name: str, reason: str) -> str:
    """Return what to do about a failing import.

    >>> advice("ants", "ImportError libants.so: cannot open shared object file")
    'install it again with pip'
    """
    if any(text in reason for text in NO_PERMISSION):
        variable = "TEMPLATEFLOW_HOME" if name == "templateflow" else "HOME"
        return f"set {variable} to a folder that you may write to"
    if any(text in reason for text in NO_MEMORY):
        return "give the job more memory"
    if any(text in reason for text in NO_UNICODE):
        return "set PYTHONUTF8=1, or install into a folder whose name has plain letters only"
    return "install it again with pip"
