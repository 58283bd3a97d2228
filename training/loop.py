"""The training loop, readable from top to bottom."""

from __future__ import annotations

import copy
import dataclasses
import enum
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from lightning.fabric import Fabric
from torch import Tensor

from getnet_bids.core.network import GetNet, GetNetConfig

from . import checkpoint, record
from .checkpoint import TrainingState
from .neednet import collapsed, neednet_loss, validate
from .pairs import Pairs, batches
from .photographs import Photographs
from .recipe import Recipe
from .record import Journal, Progress, describe_hardware
from .signals import stop_on_signal

EXCHANGE_INTERVAL = 10
"""Number of steps after which several processes ask each other whether one of them was told to stop."""


WARMUP_STEPS = 10
"""Number of steps before the speed is measured, and between two readings of the clock."""


MIN_PHOTOGRAPHS = 10_000
"""Number of photographs below which there is a warning, for recipes that use all photographs."""


class Outcome(enum.Enum):
    """The reason why a training ended."""

    DONE = "all steps are done"
    TIME = "its time is over"
    SIGNAL = "it was told to stop"


@dataclass(frozen=True)
class Schedule:
    """How often validations, checkpoints and logs are made; has no effect on the weights.

    Parameters
    ----------
    max_minutes : float
        Stop after this time, with a checkpoint.
    save_minutes : float
        Time between checkpoints, less at the start; 0 saves after every step.
    log_every, validate_every : int
        Steps between rows of figures, and between validations.
    """

    max_minutes: float = math.inf
    save_minutes: float = 5.0
    log_every: int = 50
    validate_every: int = 500


class LogGainModule(torch.nn.Module):
    """GetNet with `GetNet.log_gain` as its forward, so that DDP and precision plugins wrap the right call."""

    def __init__(self, network: GetNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """Call `GetNet.log_gain`."""
        return self.network.log_gain(slices)


def train(
    recipe: Recipe,
    photos: Photographs,
    run: Path,
    fabric: Fabric,
    schedule: Schedule | None = None,
    changed_recipe: bool = False,
    start_from: GetNet | None = None,
) -> Outcome:
    """Train, or resume from the checkpoint in the run's folder.

    Parameters
    ----------
    recipe : Recipe
    photos : Photographs
        Photographs, which are split here into training and validation.
    run : Path
        Folder of the run, for ``checkpoint.pt``, ``best.pt``, ``recipe.toml``, ``run.json``, ``figures.csv``,
        ``curves.png`` and ``tensorboard/``.
    fabric : Fabric
        Launched; determines devices and precision.
    schedule : Schedule, optional
    changed_recipe : bool
        Resume even if the run was started with another recipe.
    start_from : GetNet, optional
        A new run starts from this network's weights; required if the recipe names weights in `start`.

    Returns
    -------
    Outcome
        If it is not DONE, call again to resume.

    Raises
    ------
    ValueError
        There are too few photographs, the processes cannot share the batch, the checkpoint does not fit, the weights to
        start from are missing or belong to other layers, or another training uses the folder.
    FloatingPointError
        The loss is no longer finite; the checkpoint is from before that.
    """
    with record.alone(run) if fabric.is_global_zero else nullcontext():
        return train_alone(recipe, photos, run, fabric, schedule or Schedule(), changed_recipe, start_from)


def train_alone(
    recipe: Recipe,
    photos: Photographs,
    run: Path,
    fabric: Fabric,
    schedule: Schedule,
    changed_recipe: bool,
    start_from: GetNet | None,
) -> Outcome:
    """Train while no other process may train in the run's folder; see `train`."""
    training, held_out = photos.split(recipe.validation)
    torch.manual_seed(recipe.seed)
    network = first_network(recipe, start_from)
    network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).requires_grad_(False)
    model, optimiser = fabric.setup(LogGainModule(network), make_optimiser(network, recipe))
    state = checkpoint.load(run, network, average, optimiser, recipe, changed_recipe)
    if state.step >= recipe.steps:
        return Outcome.DONE
    if state.step == 0 and recipe.start and start_from is None:
        raise ValueError(f"recipe {recipe.name} begins with other weights: give their file with --start-from")

    first = fabric.is_global_zero
    if first:
        hardware = describe_hardware(fabric.device, fabric.world_size)
        record.begin(run, recipe, photos.facts, hardware, state.step, changed_recipe)
    journal = Journal(run, state.step) if first else None
    progress = Progress(state.step * recipe.batch, recipe.steps * recipe.batch, shown=first)
    progress.say(start_in_words(run, state, recipe))
    if few := too_few(len(photos), recipe):
        progress.say(f"warning: {few}")
    source = batches(training, recipe, state.step, fabric.global_rank, fabric.world_size, fabric.device)
    chunks = recipe.chunks // fabric.world_size
    names, sums, summed = ("loss", "ratio_mae", "field_mae"), torch.zeros(3, device=fabric.device), 0
    healthy = torch.tensor(True, device=fabric.device)
    began = saved = time.monotonic()
    spent = state.minutes
    with stop_on_signal() as asked:
        for pairs in source:
            rate = learning_rate(state.step, recipe)
            for group in optimiser.param_groups:
                group["lr"] = rate
            losses, norm = descend(model, optimiser, pairs, recipe, fabric, chunks)
            healthy = healthy & torch.isfinite(losses["loss"].detach() + norm)
            state.step += 1
            update_average(average, network, min(recipe.ema, state.step / (state.step + 9)))
            sums, summed = sums + torch.stack([losses[name].detach() for name in names]), summed + 1
            progress.update(recipe.batch)

            now = time.monotonic()
            state.minutes = spent + (now - began) / 60
            done = state.step == recipe.steps
            late = now - began > 60 * schedule.max_minutes
            late, told = any_process([late, asked.is_set()], fabric, state.step)
            stop = done or late or told
            # The first checkpoint after half a minute, then less and less often.
            save = first and (stop or now - saved > 60 * min(schedule.save_minutes, max(0.5, (now - began) / 120)))
            log = state.step % schedule.log_every == 0 or stop
            if (log or save) and not healthy:
                raise FloatingPointError(
                    f"the loss or its gradient is not finite at step {state.step} or just before: lower "
                    "learning_rate, or raise warmup"
                )
            if log:
                means = cast(Tensor, fabric.all_reduce(sums / summed, reduce_op="mean"))
                figures = dict(zip(names, means.tolist(), strict=True))
                sums, summed = torch.zeros_like(sums), 0
                progress.show(figures)
                if journal:
                    figures |= {"minutes": state.minutes, "learning_rate": rate, "pairs_per_second": progress.rate}
                    journal.write(state.step, "training", figures)
            if journal and (state.step % schedule.validate_every == 0 or done or late):
                state.figures = validate(average, held_out, recipe, fabric.device)
                journal.write(state.step, "validation", state.figures)
                progress.say(figures_in_words(state))
                error = state.figures[checkpoint.decisive_figure(recipe)]
                if error < state.best:
                    state.best = error
                    checkpoint.save_best(run, average, state, recipe)
                record.draw_curves(run)
            if save:
                checkpoint.save(run, network, average, optimiser, state, recipe)
                saved = now
            if stop:
                break
    progress.close()
    if journal:
        journal.close()
    fabric.barrier()
    return Outcome.DONE if done else Outcome.SIGNAL if told else Outcome.TIME


def first_network(recipe: Recipe, start_from: GetNet | None) -> GetNet:
    """Make the network from which a new run starts: with random weights, or those of another training."""
    network = GetNet(GetNetConfig(recipe.widths, recipe.depths))
    if start_from is not None:
        if start_from.config != network.config:
            raise ValueError(
                f"the weights to start from are of other layers ({start_from.config}) than recipe {recipe.name}'s "
                f"({network.config}): set widths and depths as theirs"
            )
        network.load_state_dict(start_from.state_dict())
    return network


def descend(
    model: torch.nn.Module, optimiser: Any, pairs: Pairs, recipe: Recipe, fabric: Fabric, chunks: int
) -> tuple[dict[str, Tensor], Tensor]:
    """Take one step.

    Returns
    -------
    losses : dict of Tensor
        As for `neednet_loss`.
    norm : Tensor
        Norm of the gradient before clipping.
    """
    losses = neednet_loss(model, pairs, recipe.loss, chunks)
    fabric.backward(losses["loss"])
    norm = fabric.clip_gradients(model, optimiser, max_norm=recipe.clip or math.inf, error_if_nonfinite=False)
    optimiser.step()
    optimiser.zero_grad()
    return losses, cast(Tensor, norm)


def steps_per_second(recipe: Recipe, photos: Photographs, fabric: Fabric, seconds: float) -> float:
    """Measure the speed of the recipe's steps on this machine, with a network that is discarded afterwards.

    Parameters
    ----------
    recipe : Recipe
    photos : Photographs
    fabric : Fabric
        Launched.
    seconds : float
        Smallest duration, after `WARMUP_STEPS` steps that do not count.

    Returns
    -------
    float
        The same in all processes.
    """
    network = GetNet(GetNetConfig(recipe.widths, recipe.depths))
    network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model, optimiser = fabric.setup(LogGainModule(network), make_optimiser(network, recipe))
    chunks = recipe.chunks // fabric.world_size
    endless = dataclasses.replace(recipe, steps=10**9)
    source = batches(photos, endless, 0, fabric.global_rank, fabric.world_size, fabric.device)
    began, counted = math.inf, 0
    for done, pairs in enumerate(source, 1):
        losses, _ = descend(model, optimiser, pairs, recipe, fabric, chunks)
        if done % WARMUP_STEPS == 0:
            losses["loss"].detach().item()  # waits for the device
            now = time.monotonic()
            if done == WARMUP_STEPS:
                began = now
            counted = done - WARMUP_STEPS
            if any_process([now - began >= seconds and counted > 0], fabric, 0)[0]:
                break
    return float(fabric.broadcast(counted / (time.monotonic() - began)))


def make_optimiser(network: GetNet, recipe: Recipe) -> torch.optim.Optimizer:
    """Make the recipe's optimiser."""
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {"adamw": torch.optim.AdamW, "nadam": torch.optim.NAdam}
    more = {"fused": True} if recipe.optimiser == "adamw" and next(network.parameters()).is_cuda else {}
    parameters = network.parameters()
    return kinds[recipe.optimiser](parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, **more)


def learning_rate(step: int, recipe: Recipe) -> float:
    """Compute the learning rate of a step, which rises linearly and then falls like a cosine.

    Examples
    --------
    >>> from getnet_bids.training.recipe import load_recipe
    >>> recipe = load_recipe("default", ["learning_rate=1", "warmup=10", "steps=110", "final_rate=0.5"])
    >>> [learning_rate(step, recipe) for step in (0, 9, 10, 60, 110)]
    [0.1, 1.0, 1.0, 0.75, 0.5]
    """
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    progress = min(1.0, (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup))
    low = recipe.final_rate
    return recipe.learning_rate * (low + (1 - low) * (1 + math.cos(math.pi * progress)) / 2)


def any_process(wishes: list[bool], fabric: Fabric, step: int) -> list[bool]:
    """Return for each flag whether it is set in any process; several processes exchange them every tenth step."""
    if fabric.world_size == 1:
        return wishes
    if step % EXCHANGE_INTERVAL:
        return [False] * len(wishes)
    shared = fabric.all_reduce(torch.tensor(wishes, dtype=torch.float32, device=fabric.device), reduce_op="sum")
    return [value > 0 for value in cast(Tensor, shared).tolist()]


def start_in_words(run: Path, state: TrainingState, recipe: Recipe) -> str:
    """Describe whether a run starts or resumes, and from where."""
    if state.step == 0:
        return f"{run}: new run, {recipe.steps} steps of {recipe.batch} pairs"
    return (
        f"{run / checkpoint.LAST}: resumes after step {state.step} of {recipe.steps}, "
        f"{state.minutes:.1f} minutes of training"
    )


def too_few(photographs: int, recipe: Recipe) -> str:
    """Return a warning if there are fewer photographs than the recipe asks for or than are useful; otherwise empty.

    Examples
    --------
    >>> from getnet_bids.training.recipe import load_recipe
    >>> too_few(3000, load_recipe("default"))
    '3000 photographs, fewer than the 10000 wanted: weights trained on few are less accurate on other images'
    """
    wanted = recipe.photographs or MIN_PHOTOGRAPHS
    if photographs >= wanted:
        return ""
    return (
        f"{photographs} photographs, fewer than the {wanted} wanted: weights trained on few are less accurate on "
        "other images"
    )


def figures_in_words(state: TrainingState) -> str:
    """Format the figures of the last validation, with a warning of a collapse."""
    text = ", ".join(f"{name} {value:.4f}" for name, value in state.figures.items())
    text = f"step {state.step}, held-out photographs: {text}"
    if collapsed(state.figures):
        text += (
            "\nwarning: the field follows the picture's own brightness (image_leakage), as a low-pass filter's would"
        )
    return text


@torch.no_grad()
def update_average(average: GetNet, network: GetNet, decay: float) -> None:
    """Move the averaged weights towards the present ones."""
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
