"""Measure what a nipype node of GetNet costs in a new process besides the correction: imports, weights, files."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

STEPS = """
import json, sys, time
begun = [time.perf_counter(), time.process_time()]
took = {}

def step(name):
    now = [time.perf_counter(), time.process_time()]
    took[name] = [b - a for a, b in zip(begun, now)]
    begun[:] = now

import nipype.interfaces.base
step("import nipype")
from getnet_bids.interfaces import GetNetCorrection
step("import the interface")
import torch
step("import torch")
import getnet_bids.core.correction
step("import the core")
from getnet_bids.weights import load_network
load_network(device="cpu")
step("load the weights")
for name in ("run", "run again"):
    GetNetCorrection(input_image=sys.argv[1], save_bias=True).run(cwd=sys.argv[2])
    step(name)
print(json.dumps(took))
"""


def main() -> None:
    """Run several processes one after the other, and print the median of each step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5, metavar="N", help="number of processes (default: 5)")
    args = parser.parse_args()
    runs = [measure() for _ in range(args.times)]
    print("step\tseconds\tprocessor seconds")
    for run in runs:  # in the second run everything is imported, so only the correction and its files remain
        run["everything but a second run"] = [
            sum(step[clock] for step in run.values()) - 2 * run["run again"][clock] for clock in (0, 1)
        ]
    for name in runs[0]:
        print(name, *(f"{statistics.median(run[name][clock] for run in runs):.2f}" for clock in (0, 1)), sep="\t")


def measure() -> dict[str, list[float]]:
    """Run a node on a small ball in a fresh process, and return the wall and processor seconds of each step."""
    import nibabel as nib
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 32)] * 3, indexing="ij"))
        ball = 1000 * ((grid**2).sum(0) < 0.8) * np.exp(0.2 * grid[0])
        image = Path(folder, "ball.nii.gz")
        nib.Nifti1Image(ball.astype(np.float32), np.diag([6.0, 6, 6, 1])).to_filename(image)
        done = subprocess.run(
            [sys.executable, "-c", STEPS, str(image), folder],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
