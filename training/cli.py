"""``getnet-train`` trains GetNet on photographs; ``getnet-train export`` writes the weights of a run."""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from getnet_bids import __version__
from getnet_bids.files import text_of

from .signals import REQUEUE, exit_on_signal

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from .photographs import Photographs
    from .recipe import Recipe

EPILOG = """
Run the same command again to resume a run that was stopped or killed. On SIGTERM, SIGUSR1 and Ctrl-C a checkpoint is
saved and the exit code is 75, on which a scheduler can requeue the job; before the first step, Ctrl-C ends with 130.

examples:
  getnet-train --data /data/imagenet/train --max-minutes 30
  getnet-train --recipe simko2019 --data /data/imagenet/train --run runs/paper --devices 2
  getnet-train --data photos.tar --set steps=20000 batch=64 families='["head-7T"]'
  getnet-train export runs/paper --out paper.safetensors --terms terms.md
"""
STEP_TIME_FRACTION = 0.94
"""Fraction of a run's time that is spent on steps; the rest is for validation, checkpoints and the start."""


class TrainArguments:
    """The values of the command line of ``getnet-train``."""

    data: list[Path]
    recipe: str | None
    set: list[str]
    run: Path | None
    changed_recipe: bool
    cache: Path
    cache_only: bool
    start_from: Path | None
    max_minutes: float
    fit_minutes: float | None
    rate_only: bool
    save_minutes: float
    log_every: int
    validate_every: int
    accelerator: str
    devices: str
    num_nodes: int
    strategy: str


class ExportArguments:
    """The values of the command line of ``getnet-train export``."""

    run: Path
    out: Path | None
    terms: Path | None
    checkpoint: str


def default_cache() -> Path:
    """Return the default folder for decoded photographs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "getnet_bids" / "photographs"


def train_parser() -> argparse.ArgumentParser:
    """Make the parser of ``getnet-train``."""
    parser = argparse.ArgumentParser(
        prog="getnet-train",
        description="Train GetNet on photographs. `getnet-train export RUN` writes the weights of a run.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data", nargs="+", type=Path, required=True, metavar="PATH", help="folders, .tar files or photographs"
    )
    parser.add_argument(
        "--recipe",
        help="default, simko2019 or a TOML file [default: that of the run if it exists, otherwise 'default']",
    )
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="SETTING=VALUE",
        help="changes of the recipe's settings",
    )
    parser.add_argument("--run", "--run-dir", type=Path, metavar="DIR", help="folder of the run [default: runs/RECIPE]")
    parser.add_argument(
        "--changed-recipe",
        action="store_true",
        help="resume a run although it had another recipe, or other photographs",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=default_cache(),
        metavar="DIR",
        help="folder for decoded photographs [%(default)s]",
    )
    parser.add_argument("--cache-only", action="store_true", help="decode the photographs, then stop")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")

    parser.add_argument(
        "--start-from",
        type=Path,
        metavar="WEIGHTS",
        help="start a new run from these weights (.safetensors) instead of random ones",
    )

    schedule = parser.add_argument_group("schedule")
    schedule.add_argument(
        "--max-minutes", type=minutes, default=math.inf, metavar="M", help="stop after this time, with a checkpoint"
    )
    schedule.add_argument(
        "--fit-minutes",
        type=minutes,
        metavar="M",
        help="measure the speed for at least 20 seconds, and set the number of steps so that a new run takes this time",
    )
    schedule.add_argument(
        "--rate-only", action="store_true", help="print the number of steps for --fit-minutes, then stop"
    )
    schedule.add_argument(
        "--save-minutes", type=minutes, default=5.0, metavar="M", help="time between checkpoints [%(default)g]"
    )
    schedule.add_argument(
        "--log-every", type=count, default=50, metavar="N", help="steps between rows of figures [%(default)s]"
    )
    schedule.add_argument(
        "--validate-every", type=count, default=500, metavar="N", help="steps between validations [%(default)s]"
    )

    devices = parser.add_argument_group("devices (Lightning Fabric)")
    devices.add_argument("--accelerator", default="auto", help="auto, cpu, gpu, mps [%(default)s]")
    devices.add_argument(
        "--devices", default="auto", help="number of devices, or a list such as 0,2 [%(default)s: all GPUs]"
    )
    devices.add_argument("--num-nodes", type=count, default=1, metavar="N", help="[%(default)s]")
    devices.add_argument("--strategy", default="auto", help="auto or ddp [%(default)s]")
    return parser


def export_parser() -> argparse.ArgumentParser:
    """Make the parser of ``getnet-train export``."""
    parser = argparse.ArgumentParser(
        prog="getnet-train export", description="Write a run's weights as safetensors, with a model card."
    )
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--out", type=Path, metavar="FILE", help="[default: RUN/getnet.safetensors]")
    parser.add_argument(
        "--terms", type=Path, metavar="FILE", help="Markdown file on the photographs' sources and terms, for the card"
    )
    parser.add_argument(
        "--checkpoint",
        choices=("last", "best"),
        default="last",
        help="the last weights, or those that did best on held-out photographs [%(default)s]",
    )
    return parser


def minutes(text: str) -> float:
    """Read a time."""
    value = float(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text} minutes")
    return value


def count(text: str) -> int:
    """Read a number above 0."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {text}")
    return value


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code: 0, 1 for an error, 75 if it was told to stop, 130 after Ctrl-C.

    Before the first step, 75 is raised as SystemExit.
    """
    argv = sys.argv[1:] if argv is None else argv
    try:
        if argv[:1] == ["export"]:
            return run_export(export_parser().parse_args(argv[1:], ExportArguments()))
        args = train_parser().parse_args(argv, TrainArguments())
        with exit_on_signal():
            return run_training(args)
    except KeyboardInterrupt:
        print("getnet-train: interrupted; run the same command again to go on", file=sys.stderr)
        return 128 + signal.SIGINT
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"getnet-train: {error}", file=sys.stderr)
        return 1


def run_training(args: TrainArguments) -> int:
    """Train."""
    if args.rate_only and args.fit_minutes is None:
        raise ValueError("--rate-only needs --fit-minutes M")
    recipe, run = recipe_and_folder(args)

    import torch
    from lightning.fabric import Fabric

    from getnet_bids.core.network import load_weights

    from .fields import families_of
    from .loop import Outcome, Schedule, train
    from .photographs import photographs

    families_of(recipe)  # an unknown family is refused before hours of decoding
    if args.cache_only:
        photographs(args.data, args.cache, recipe.photographs, recipe.seed)
        return 0
    torch.backends.cudnn.benchmark = True  # all batches have one shape
    try:
        fabric = Fabric(
            accelerator=args.accelerator,
            devices=args.devices if not args.devices.isdigit() else int(args.devices),
            num_nodes=args.num_nodes,
            strategy=args.strategy,
            precision=recipe.precision,
        )
        fabric.launch()
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"{error} (from --accelerator, --devices, --num-nodes or --strategy)") from None
    with fabric.rank_zero_first(local=True):
        photos = photographs(args.data, args.cache, recipe.photographs, recipe.seed)
    if fabric.is_global_zero:
        print(f"{run}: recipe {recipe.name}, {len(photos)} photographs", file=sys.stderr)
    fabric.barrier()
    if args.fit_minutes is not None:
        recipe = replace(recipe, steps=steps_for(args.fit_minutes, recipe, run, photos, fabric))
        if args.rate_only:
            return 0
    schedule = Schedule(args.max_minutes, args.save_minutes, args.log_every, args.validate_every)
    start = load_weights(args.start_from).requires_grad_(True) if args.start_from else None
    outcome = train(recipe, photos, run, fabric, schedule, args.changed_recipe, start)
    if fabric.is_global_zero:
        print(f"{run}: {outcome.value}; getnet-train export {run} makes weights of it", file=sys.stderr)
    return REQUEUE if outcome is Outcome.SIGNAL else 0


def recipe_and_folder(args: TrainArguments) -> tuple[Recipe, Path]:
    """Read the recipe that is asked for, or that of the run, and determine the run's folder."""
    from .recipe import load_recipe

    began = args.run / "recipe.toml" if args.run else Path("runs/default/recipe.toml")
    name = args.recipe or (str(began) if began.exists() else "default")
    recipe = load_recipe(name, args.set)
    if args.start_from:
        found = hashlib.sha256(args.start_from.read_bytes()).hexdigest()
        if recipe.start not in ("", found):
            raise ValueError(
                f"{args.start_from}: recipe {recipe.name} begins with the weights {recipe.start[:12]}..., "
                f"these are {found[:12]}..."
            )
        recipe = replace(recipe, start=found)
    return recipe, args.run or Path("runs") / recipe.name


def steps_for(minutes: float, recipe: Recipe, run: Path, photos: Photographs, fabric: Fabric) -> int:
    """Return the number of steps that take a time on this machine, or that of the run if it exists."""
    from . import record
    from .loop import steps_per_second
    from .recipe import load_recipe

    if (run / record.NAME).exists():
        steps = load_recipe(run / record.RECIPE).steps
        if fabric.is_global_zero:
            print(f"{run}: steps={steps}, as the run began", file=sys.stderr)
        return steps
    rate = steps_per_second(recipe, photos, fabric, 20.0)
    steps = max(1, int(rate * 60 * minutes * STEP_TIME_FRACTION))
    if fabric.is_global_zero:
        speed = f"{rate:.2f} steps/s, {rate * recipe.batch:.0f} pairs/s"
        print(f"{speed}: steps={steps} for {minutes:g} minutes", file=sys.stderr)
    return steps


def run_export(args: ExportArguments) -> int:
    """Export."""
    from .export import export

    terms = text_of(args.terms.read_bytes()) if args.terms else ""
    weights, card, warnings = export(args.run, args.out, terms, args.checkpoint)
    print(weights, card, sep="\n")
    for warning in warnings:
        print(f"warning: {weights}: {warning}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
