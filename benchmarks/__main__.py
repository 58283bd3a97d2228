"""Run a benchmark: ``python -m benchmarks NAME ...`` at the root of a checkout; ``NAME --help`` lists its options."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

COMMANDS = {
    "accuracy": ("accuracy", "BrainWeb's heads with known fields, compared with N4"),
    "heads": ("accuracy_heads", "simulated heads whose tissues vary, and the accuracy of the uncertainty"),
    "real": ("accuracy_labels", "real scans: multiplied fields, manual labels, a measured field, second correction"),
    "series": ("series", "echo-planar images and mean volumes of series, compared with N4"),
    "speed": ("speed", "time and memory, and how they grow"),
    "node": ("node", "cost of a nipype node in addition to the correction"),
    "segmentation": ("segmentation", "overlap of the comparison's segmentation with the truth"),
    "discovery": ("discovery", "time to list large datasets"),
    "training": ("training_input", "speed of making training pairs"),
}
"""Module and purpose of each."""


def main() -> int:
    """Run the benchmark that the first argument names; return its exit code."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name not in COMMANDS:
        listed = "\n".join(f"  {command:<13}{what}" for command, (_, what) in COMMANDS.items())
        print(f"usage: python -m benchmarks NAME ...\n\n{listed}")
        return 0 if name in ("-h", "--help") else 2
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    sys.argv = [f"python -m benchmarks {name}", *sys.argv[2:]]
    return importlib.import_module(COMMANDS[name][0]).main() or 0


if __name__ == "__main__":
    sys.exit(main())
