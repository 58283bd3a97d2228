"""Run a benchmark: ``python -m benchmarks NAME ...`` at the root of a checkout; ``NAME --help`` lists its options."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

COMMANDS = {
    "accuracy": ("accuracy", "BrainWeb's heads with known fields, against N4"),
    "heads": ("accuracy_heads", "simulated heads whose tissues vary; whether the uncertainty is right"),
    "real": ("accuracy_labels", "real scans: multiplied fields, manual labels, measured field, second pass"),
    "series": ("series", "echo-planar images and mean volumes of series, beside N4"),
    "speed": ("speed", "seconds, memory, and how they grow"),
    "node": ("node", "what a nipype node costs besides the correction"),
    "segmentation": ("segmentation", "overlap of the comparison's labels with the truth"),
    "discovery": ("discovery", "time to list large datasets"),
    "training": ("training_input", "how fast training pairs are made"),
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
