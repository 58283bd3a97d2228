"""Processors and memory that this process may use, as affinity and control groups limit them."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")
MEMINFO, CPUINFO = Path("/proc/meminfo"), Path("/proc/cpuinfo")
UNLIMITED = 1 << 60
"""Control groups of version 1 have a number above this if there is no limit."""


def processors(root: Path = CGROUPS, own: Path = OWN_GROUPS) -> int:
    """Count the processors that this process may use, given its affinity and its control groups' processor time.

    Parameters
    ----------
    root : Path
        Mount point of the control groups.
    own : Path
        File that lists the control groups of this process.

    Returns
    -------
    int
        1 or more.
    """
    # macOS and Windows do not have it.
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for folder in group_folders(root, own, "cpu"):
        quota, period = (*read_words(folder / "cpu.max"), "", "")[:2]
        if not quota:
            quota = " ".join(read_words(folder / "cpu.cfs_quota_us"))
            period = " ".join(read_words(folder / "cpu.cfs_period_us"))
        if quota.isdecimal() and period.isdecimal() and int(period):
            count = min(count, max(1, int(quota) // int(period)))
    return count


def processor_name() -> str:
    """Return the name of the processor."""
    try:
        text = CPUINFO.read_text()
    except OSError:
        text = ""
    named = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return named[1] if named else platform.processor() or platform.machine()


def memory_limit(root: Path = CGROUPS, own: Path = OWN_GROUPS) -> int | None:
    """Return the smallest memory limit of this process's control groups.

    Parameters
    ----------
    root, own : Path
        As for `processors`.

    Returns
    -------
    int or None
        Bytes; None if no group has a limit.
    """
    limits = []
    for folder in group_folders(root, own, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limits += [int(word) for word in read_words(folder / name)[:1] if word.isdecimal()]
    return min((limit for limit in limits if limit < UNLIMITED), default=None)


def address_space_limit() -> int | None:
    """Return the limit of this process's address space in bytes (``ulimit -v``); None if there is none.

    Grid Engine sets it for ``h_vmem``, and PBS for ``vmem``. It counts addresses, of which libraries reserve many more
    than they use.
    """
    try:
        import resource
    except ImportError:  # Windows does not have it
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def load() -> float | None:
    """Return the mean number of running processes in the last minute; None if the system does not count them."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):  # Windows does not have it
        return None


def memory_of_machine(meminfo: Path = MEMINFO) -> tuple[int, int] | None:
    """Return the machine's total and available memory in bytes; None if the system does not report them."""
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return None
    values = {line.partition(":")[0]: line.split()[1] for line in lines if len(line.split()) > 1}
    found = [values.get(key, "") for key in ("MemTotal", "MemAvailable")]
    if not all(value.isdecimal() for value in found):
        return None
    total, available = (int(value) * 1024 for value in found)
    return total, available


def group_folders(root: Path, own: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control groups (versions 1 and 2), each with its parents.

    In a container the names are those of the host, but the files are at the root, which is therefore always included.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        lines = []
    tops = {root, root / controller}
    yield from tops
    for line in lines:
        _, controllers, name = (*line.split(":", 2), "", "")[:3]
        top = root / controller if controller in controllers.split(",") else root if not controllers else None
        if top is None or not name.strip("/"):
            continue
        folder = top / name.strip("/")
        while folder != top:
            yield folder
            folder = folder.parent


def read_words(path: Path) -> list[str]:
    """Return the words of a small file, or none if it cannot be read."""
    try:
        return path.read_text().split()
    except OSError:
        return []
