"""Measure which part of a training step is spent on making pairs, and how many pairs per second are made.

    python benchmarks/training_input.py [--device cuda] [--threads 2] [--set batch=64 ...] [--out FILE]

The photographs are noise, since making pairs takes the same time whatever they show. Input and network are timed
alternately, in processor time on the CPU (so that other work on the machine does not count) and in wall time on a GPU.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from getnet_bids.core.network import GetNet, GetNetConfig
from getnet_bids.training.loop import make_optimiser
from getnet_bids.training.neednet import neednet_loss
from getnet_bids.training.pairs import batches
from getnet_bids.training.photographs import ROW, Photographs
from getnet_bids.training.recipe import load_recipe
from getnet_bids.training.record import describe_hardware


def noise_photographs(count: int = 64) -> Photographs:
    """Return photographs of noise, 256x300 pixels."""
    size = 256 * 300
    pixels = np.random.default_rng(0).integers(0, 256, count * size, np.uint8)
    return Photographs(pixels, np.array([(i * size, 256, 300, b"%016d" % i) for i in range(count)], ROW))


def main() -> None:
    """Make the measurements, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--set", nargs="+", default=[], metavar="SETTING=VALUE")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--out", type=Path, help="TSV")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.backends.cudnn.benchmark = True
    recipe = load_recipe(args.recipe, args.set)
    device = torch.device(args.device)
    network = GetNet(GetNetConfig(recipe.widths, recipe.depths)).to(device, memory_format=torch.channels_last)
    optimiser = make_optimiser(network, recipe)
    source = batches(noise_photographs(), recipe, 0, 0, 1, device)
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    state: dict = {}

    def make() -> None:
        state["pairs"] = next(source)

    def learn() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16-mixed"):
            loss = neednet_loss(network.log_gain, state["pairs"], recipe.loss)["loss"]
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    def timed(work: Callable[[], None]) -> float:
        began = clock()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return clock() - began

    def step() -> tuple[float, float]:
        return timed(make), timed(learn)

    for _ in range(3):
        step()
    wall = time.perf_counter()
    making, learning = zip(*(step() for _ in range(args.steps)), strict=True)
    wall = time.perf_counter() - wall
    a, b = (1000 * statistics.median(t) / recipe.batch for t in (making, learning))
    header = ("hardware", "batch", "input ms/pair", "network ms/pair", "network share", "pairs/s")
    row = (
        describe_hardware(device, 1),
        str(recipe.batch),
        f"{a:.3f}",
        f"{b:.3f}",
        f"{b / (a + b):.1%}",
        f"{args.steps * recipe.batch / wall:.0f}",
    )
    text = "\n".join("\t".join(r) for r in (header, row))
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
