"""The training loop, readable from top to bottom."""

from __future__ import annotations

import contextlib
import copy
import csv
import json
import math
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import FrameType

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor
from tqdm import tqdm

from getnet_bids.core.network import GetNet

from . import checkpoint
from .neednet import neednet_loss
from .pairs import Pairs, make_pairs
from .photographs import Photographs
from .recipe import Recipe
from .validation import validate

CHUNK = 16
"""Pairs are drawn in chunks of this size, each from a seed of its own, so that a step is the same however many
processes share it."""
REQUEUE = 75
"""Exit code of a training that was told to stop and can go on (sysexits' EX_TEMPFAIL)."""


class Trainee(torch.nn.Module):
    """GetNet with `GetNet.log_gain` as its forward, so that DDP and precision plugins wrap the right call."""

    def __init__(self, network: GetNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """Call `GetNet.log_gain`."""
        return self.network.log_gain(slices)


def learning_rate(step: int, recipe: Recipe) -> float:
    """Rise linearly, then fall as a cosine."""
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    progress = min(1.0, (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup))
    low = recipe.final_rate
    return recipe.learning_rate * (low + (1 - low) * (1 + math.cos(math.pi * progress)) / 2)


def chunk_of_pairs(photos: Photographs, recipe: Recipe, step: int, chunk: int, device: torch.device) -> Pairs:
    """Make chunk number `chunk` of a step: a function of its arguments alone, so that resuming needs no state."""
    size = min(CHUNK, recipe.batch)
    first = step * recipe.batch + chunk * size
    which = [photograph_at(first + i, len(photos), recipe.seed) for i in range(size)]
    rng = np.random.default_rng([recipe.seed, step, chunk])
    crops = torch.from_numpy(photos.crops(which, rng)).to(device, non_blocking=True)
    generator = torch.Generator(device).manual_seed(int(rng.integers(2**63)))
    return make_pairs(crops, recipe, generator)


_order: dict[tuple[int, int, int], np.ndarray] = {}


def photograph_at(place: int, count: int, seed: int) -> int:
    """Give the photograph at a place of the endless sequence of shuffled epochs."""
    epoch, within = divmod(place, count)
    key = (epoch, count, seed)
    if key not in _order:
        while len(_order) > 2:
            _order.pop(next(iter(_order)), None)
        _order[key] = np.random.default_rng([seed, epoch]).permutation(count)
    return int(_order[key][within])


def steps_of_pairs(
    photos: Photographs, recipe: Recipe, start: int, rank: int, world: int, device: torch.device
) -> Iterator[Pairs]:
    """Make this process's share of each step's pairs, from step `start` on."""
    chunks = max(1, recipe.batch // CHUNK)
    if chunks % world:
        raise ValueError(f"a batch of {recipe.batch} pairs ({chunks} chunks) cannot be shared by {world} processes")
    for step in range(start, recipe.steps):
        parts = [chunk_of_pairs(photos, recipe, step, c, device) for c in range(rank, chunks, world)]
        yield Pairs(*(torch.cat([getattr(p, name) for p in parts]) for name in Pairs.__dataclass_fields__))


@contextlib.contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """Turn SIGTERM and SIGUSR1 into an event, inside the block."""
    asked = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    before = {s: signal.signal(s, ask) for s in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def train(
    recipe: Recipe,
    photos: Photographs,
    run: Path,
    fabric: Fabric,
    max_minutes: float = math.inf,
    save_minutes: float = 5.0,
    validate_every: int = 500,
) -> bool:
    """Train, or go on where the run folder's checkpoint stands.

    Parameters
    ----------
    recipe : Recipe
    photos : Photographs
        Split here into training and validation.
    run : Path
        Folder of the run: gets ``checkpoint.pt``, ``log.csv`` and TensorBoard's files.
    fabric : Fabric
        Launched; says on what devices and in what precision.
    max_minutes : float
        Stop (with a checkpoint) after this time.
    save_minutes : float
        Time between checkpoints.
    validate_every : int
        Steps between validations.

    Returns
    -------
    bool
        Whether all steps are done; if not, calling again goes on.
    """
    training, held_out = photos.split(recipe.validation, recipe.photographs, recipe.seed)
    torch.manual_seed(recipe.seed)
    network = GetNet().to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).requires_grad_(False).to(fabric.device)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=recipe.weight_decay)
    model, optimiser = fabric.setup(Trainee(network), optimiser)
    start, minutes = checkpoint.load(run, network, average, optimiser)

    log = open(run / "log.csv", "a", newline="") if fabric.is_global_zero else None  # noqa: SIM115
    began = saved = time.monotonic()
    done = start
    batches = steps_of_pairs(training, recipe, start, fabric.global_rank, fabric.world_size, fabric.device)
    with (
        stop_on_signal() as asked,
        tqdm(
            total=recipe.steps * recipe.batch,
            initial=start * recipe.batch,
            unit="pair",
            mininterval=2.0,
            disable=not fabric.is_global_zero,
        ) as bar,
    ):
        sums: dict[str, float] = {}
        for step, pairs in enumerate(batches, start):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step, recipe)
            losses = neednet_loss(model, pairs, recipe.loss)
            fabric.backward(losses["loss"])
            fabric.clip_gradients(model, optimiser, max_norm=recipe.clip)
            optimiser.step()
            optimiser.zero_grad()
            update_average(average, network, min(recipe.ema, (step + 1) / (step + 10)))
            done = step + 1
            bar.update(recipe.batch)

            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            if done % 50 == 0:
                means = {name: value / 50 for name, value in sums.items()}
                sums = {}
                bar.set_postfix({k: f"{v:.4f}" for k, v in means.items()})
                write_row(log, done, "training", means)
            if done % validate_every == 0 or done == recipe.steps:
                figures = validate(average, held_out, recipe, fabric.device)
                write_row(log, done, "validation", figures)
                bar.write(f"step {done}: " + ", ".join(f"{k} {v:.4f}" for k, v in figures.items()))
            now = time.monotonic()
            late = now - began > 60 * max_minutes
            if fabric.is_global_zero and (
                now - saved > 60 * save_minutes or late or asked.is_set() or done == recipe.steps
            ):
                checkpoint.save(run, network, average, optimiser, done, minutes + (now - began) / 60, asdict(recipe))
                saved = now
            if late or asked.is_set():
                break
    if log:
        log.close()
    return done >= recipe.steps


@torch.no_grad()
def update_average(average: GetNet, network: GetNet, decay: float) -> None:
    """Move the averaged weights towards the present ones."""
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)


def write_row(log, step: int, kind: str, figures: dict[str, float]) -> None:  # noqa: ANN001
    """Add a line to the log: step, kind, then the figures as JSON."""
    if log:
        csv.writer(log).writerow([step, kind, json.dumps({k: round(v, 6) for k, v in figures.items()})])
        log.flush()
