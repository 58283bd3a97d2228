"""The crash files that nipype leaves, in plain text: which node of which image, and why, on one line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

RAISED = re.compile(r"^\s*(?:[\w.]+\.)?(\w*(?:Error|Exception|Exit|Interrupt|Fault))(?:: (.*))?$", re.MULTILINE)
"""The last line of a traceback."""
ASIDE = re.compile(r"\n\n(?:When creating|During the creation of) this crashfile")
"""What nipype adds when a node has left no result either."""
NEW = re.compile(r"crash-\d{8}-\d{6}-.*\.txt")
"""Names that nipype gives."""
LONGEST = 400
"""Characters of a reason."""


@dataclass(frozen=True)
class Crash:
    """What one node left.

    Parameters
    ----------
    image, node : str
        Names of the image's workflow and of the node.
    reason : str
        One line.
    path : Path
        The file.
    """

    image: str
    node: str
    reason: str
    path: Path


def collect(folder: Path, kept: str = "crash-{image}_{node}.txt") -> list[Crash]:
    """Read the crash files that nipype has newly put into a folder, and give them names that tell what they are of.

    Parameters
    ----------
    folder : Path
    kept : str
        The name that a file is given.

    Returns
    -------
    list of Crash
        In the order in which they came.
    """
    found = []
    new = [path for path in folder.glob("crash-*.txt") if NEW.fullmatch(path.name)]
    for path in sorted(new, key=lambda path: path.stat().st_mtime_ns):
        text = path.read_text(encoding="utf-8", errors="replace")
        names = re.match(r"Node: (\S+)", text)
        parts = names[1].split(".") if names else []
        if len(parts) < 3:
            continue
        name = path.with_name(kept.format(image=parts[1], node=parts[-1]))
        path.rename(name)
        found.append(Crash(parts[1], parts[-1], reason_in(text, ".".join(parts)), name))
    return found


def reason_in(text: str, node: str) -> str:
    r"""Find in a crash file what went wrong.

    Parameters
    ----------
    text : str
    node : str
        Its full name.

    Returns
    -------
    str
        One line.

    Examples
    --------
    >>> reason_in("Traceback:\n\tValueError: first\n\n\tgetnet_bids.errors.ImageError: x.nii: truncated\n\n", "a.b.n4")
    'ImageError: x.nii: truncated'
    >>> reason_in("Node inputs: ...\na.b.n4: a worker process was killed\n", "a.b.n4")
    'a worker process was killed'
    """
    text = ASIDE.split(text)[0]
    raised = list(RAISED.finditer(text))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    reason = ": ".join(filter(None, raised[-1].groups())) if raised else lines[-1]
    reason = " ".join(reason.removeprefix(f"{node}: ").split())
    return reason if len(reason) <= LONGEST else f"{reason[:LONGEST]} ..."
