"""What a training runs on and with, for the record."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import lightning
import torch


def hardware(device: torch.device, processes: int) -> str:
    """Name the devices in words.

    Examples
    --------
    >>> hardware(torch.device("cpu"), 2).startswith("2 x ")
    True
    """
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    elif device.type == "cpu":
        name = f"{processor()}, {torch.get_num_threads()} threads"
    else:
        name = device.type
    return f"{processes} x {name}"


def processor() -> str:
    """Name the processor."""
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Versions of what the result may depend on."""
    from getnet_bids import __version__

    return {
        "getnet_bids": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "system": sys.platform,
    }
