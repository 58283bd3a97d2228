"""``getnet-evaluate brainweb``: the paper's Table 1 and a figure like its Figure 2."""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import replace
from pathlib import Path

from getnet_bids import __version__

from ..cli import count

TABLE, FIGURE = "table1.tsv", "figure2.png"
"""Files in the folder of --out."""
SEARCH_SLICES = 10
"""Number of slices, from the end of the random order, for the search of N4's spline distance."""

DESCRIPTION = """
Relative MAE of slices of 256x256 pixels (1 mm) in all three planes of BrainWeb's anatomical models. T1w slices are
simulated from published tissue parameters and multiplied by a gain field from 0.4 to 1.6. They are measured without
correction (Gain), and after correction by N4, by the network alone as in the paper (GetNet), and as `getnet` corrects
a single slice (getnet_bids: network, smooth basis, refinement).

There are two conventions for the scale: with `as is`, each estimated field has a geometric mean of 1 over the
foreground; with `best scale`, each slice is scaled by the factor that fits best in least squares over the foreground.
N4 takes long and is only run on request, on a random subset of the slices, with its defaults and, as `N4 tuned`,
without shrinking and with the spline distance that is best on ten other slices; its time is extrapolated. Times are
for --threads threads.
"""


class Arguments:
    """The values of the command line."""

    models: Path
    weights: Path | None
    slices: int | None
    product_slices: int
    n4_slices: int
    gain: float
    noise: float
    threads: int
    write_slices: Path | None
    fields: list[tuple[str, str]]
    seed: int
    device: str
    out: Path | None


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of ``getnet-evaluate``."""
    parser = argparse.ArgumentParser(prog="getnet-evaluate", description="Measure trained weights.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    brainweb = commands.add_parser(
        "brainweb",
        help="the paper's Table 1",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    brainweb.add_argument(
        "--models", type=Path, required=True, metavar="DIR", help="folder of subjectNN_crisp_v.mnc.gz files"
    )
    brainweb.add_argument(
        "--weights", type=Path, metavar="FILE", help="weights, a .safetensors file [default: the package's]"
    )
    brainweb.add_argument("--slices", type=count, metavar="N", help="number of slices in a random subset [all]")
    brainweb.add_argument(
        "--product-slices", type=int, default=100, metavar="N", help="number of these for getnet_bids [%(default)s]"
    )
    brainweb.add_argument("--n4-slices", type=int, default=0, metavar="N", help="number of these for N4 [%(default)s]")
    brainweb.add_argument(
        "--gain", type=float, default=0.6, help="fields span 1 minus this to 1 plus this [%(default)s]"
    )
    brainweb.add_argument(
        "--noise", type=float, default=0.0, help="Rician noise, as a fraction of white matter's signal [%(default)s]"
    )
    brainweb.add_argument("--threads", type=count, default=1, metavar="N", help="threads of all methods [%(default)s]")
    brainweb.add_argument(
        "--write-slices", type=Path, metavar="FILE", help="write the images as a .npy array for another tool, and stop"
    )
    brainweb.add_argument(
        "--fields",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "FILE"),
        help="add a row for another tool: a .npy array of the fields that it has estimated from all these slices",
    )
    brainweb.add_argument("--seed", type=int, default=0, help="[%(default)s]")
    brainweb.add_argument("--device", default="auto", help="auto, cpu or cuda [%(default)s]")
    brainweb.add_argument("--out", type=Path, metavar="DIR", help=f"folder for {TABLE} and {FIGURE}")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = make_parser().parse_args(argv, Arguments())
    try:
        return run_brainweb(args)
    except (ValueError, OSError) as error:
        print(f"getnet-evaluate: {error}", file=sys.stderr)
        return 1


def check_out(folder: Path | None) -> None:
    """Raise ValueError if a folder has files of the names of the table and the figure, but not made by this command."""
    there = [file for name in (TABLE, FIGURE) if folder is not None and (file := folder / name).exists()]
    if there and not (there[0].name == TABLE and there[0].read_bytes().startswith(b"method\tscale\t")):
        raise ValueError(f"{there[0]}: was not made by getnet-evaluate, and would be replaced; give another --out")


def run_brainweb(args: Arguments) -> int:
    """Make the table."""
    models = sorted(args.models.glob("subject*_crisp_v.mnc.gz"))
    if not models:
        raise ValueError(f"{args.models}: no subjectNN_crisp_v.mnc.gz in it")
    check_out(args.out)
    if not 0 < args.gain < 1:
        raise ValueError(f"--gain must lie between 0 and 1, not {args.gain}")

    import os
    import random

    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(args.threads)
    import torch

    from getnet_bids.weights import load_network

    from .table1 import (
        as_rows,
        best_spline,
        given_fields,
        measure,
        n4_fields,
        one_look_fields,
        product_fields,
        shaded_slices,
        write_slices,
    )

    torch.set_num_threads(args.threads)
    network = load_network(args.weights, args.device)
    slices = shaded_slices(models, args.slices or 0, args.gain, args.seed, args.noise)
    # In random order, so that the first slices are a random subset.
    random.Random(args.seed).shuffle(slices)
    print(f"{len(slices)} slices of {len(models)} models", file=sys.stderr)
    if args.write_slices:
        write_slices(args.write_slices, slices)
        return 0
    methods = [measure("Gain", slices, None)]
    for name, path in args.fields:
        fields = given_fields(Path(path), slices)
        methods.append(replace(measure(name, slices, fields.__iter__), seconds=0.0))
    if args.n4_slices:
        some, others = slices[: args.n4_slices], slices[-SEARCH_SLICES:]
        methods.append(measure("N4", some, lambda: n4_fields(some)))
        spline = best_spline(others)
        print(f"N4 tuned: splines of {f'{spline:g} mm' if spline else 'one element a side'}", file=sys.stderr)
        methods.append(measure("N4 tuned", some, lambda: n4_fields(some, shrink=1, spline=spline)))
    list(one_look_fields(slices[:64], network))  # warm-up, so that the time is that of the steady state
    methods.append(measure("GetNet, one look", slices, lambda: one_look_fields(slices, network)))
    methods.append(measure("GetNet", slices, lambda: product_fields(slices, network, refine=False)))
    if args.product_slices:
        few = slices[: args.product_slices]
        methods.append(measure("getnet_bids", few, lambda: product_fields(few, network)))

    rows = as_rows(methods)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if args.out:
        from .table1 import draw_figure2

        args.out.mkdir(parents=True, exist_ok=True)
        with open(args.out / TABLE, "w", newline="") as file:
            csv.writer(file, delimiter="\t", lineterminator="\n").writerows(rows)
        draw_figure2(slices, methods, args.out / FIGURE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
