"""The options of getnet-bids and getnet; imports nothing heavy, so that --help is quick."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path

from getnet_bids import __version__
from getnet_bids.bids.names import ON_REQUEST, WEIGHTED

from .exits import Parser


def app_parser() -> Parser:
    """Build the parser of getnet-bids."""
    parser = Parser(
        prog="getnet-bids",
        description="Correct the intensity (bias field) of the MR images of a BIDS dataset with GetNet.",
        epilog="Exit codes: 0 all done, 1 some image failed, 16 not a BIDS dataset, 17 unknown analysis level, "
        "18 nothing matched, 64 usage, 65 bad data, 66 no input, 73 cannot create output, 74 I/O error.",
    )
    parser.add_argument("bids_dir", type=Path, help="the dataset")
    parser.add_argument("output_dir", type=Path, help="where the derivatives go; made if need be")
    parser.add_argument("analysis_level", help="participant")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")

    chosen = parser.add_argument_group("selection")
    chosen.add_argument(
        "--participant-label",
        "--participant_label",
        nargs="+",
        action="extend",
        metavar="LABEL",
        help="these subjects alone, with or without sub-; or a text file of labels",
    )
    chosen.add_argument(
        "--session-label",
        "--session_label",
        nargs="+",
        action="extend",
        metavar="LABEL",
        help="these sessions alone, with or without ses-",
    )
    chosen.add_argument(
        "-m",
        "--modalities",
        nargs="+",
        choices=[*WEIGHTED, *ON_REQUEST],
        default=list(WEIGHTED),
        metavar="SUFFIX",
        help=f"images with these suffixes (default: {' '.join(WEIGHTED)}; only when named: {' '.join(ON_REQUEST)})",
    )
    chosen.add_argument(
        "--skip-bids-validation",
        action="store_true",
        help="do not look whether the input has a valid dataset_description.json",
    )
    add_model_options(parser.add_argument_group("model"))

    speed = parser.add_argument_group("performance")
    speed.add_argument(
        "--nprocs",
        "--nthreads",
        "--n-cpus",
        "--n_cpus",
        dest="threads",
        type=positive_int,
        metavar="N",
        help="threads for computing (default: as torch sees fit)",
    )

    output = parser.add_argument_group("output")
    output.add_argument("--no-field", action="store_true", help="do not write the gain fields")
    output.add_argument("--dry-run", action="store_true", help="print the jobs as a TSV table and do none")
    output.add_argument("--force", action="store_true", help="do again what is done")

    run = parser.add_argument_group("run")
    run.add_argument("--stop-on-first-crash", action="store_true", help="stop at the first image that fails")
    run.add_argument("-v", "--verbose", action="store_true", help="name each file that is passed over, and why")
    run.add_argument("--notrack", action="store_true", help="accepted for compatibility; nothing is ever tracked")
    return parser


def image_parser() -> Parser:
    """Build the parser of getnet."""
    parser = Parser(
        prog="getnet",
        description="Correct the intensity (bias field) of an MR image with GetNet.",
        epilog="Exit codes: 0 done, 64 usage, 65 bad data, 66 no input, 73 cannot create output, 74 I/O error.",
    )
    parser.add_argument("image", type=Path, metavar="IN", help="the image: .nii, .nii.gz, .mgh or .mgz; 2-D to 4-D")
    parser.add_argument("corrected", type=Path, metavar="OUT", help="the corrected image to write")
    parser.add_argument("--field", type=Path, metavar="FILE", help="write the gain field too")
    parser.add_argument("--mask", type=Path, metavar="FILE", help="fit the field where this is above 0; not needed")
    add_model_options(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="tell what is done")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def add_model_options(parser: argparse._ActionsContainer) -> None:
    """Add the options that both commands have."""
    parser.add_argument("--weights", type=Path, metavar="FILE", help="safetensors (default: the package's own)")
    parser.add_argument(
        "--device",
        type=device,
        default="auto",
        help="auto (CUDA if there is one, else the CPU), cpu, cuda, cuda:N or mps",
    )
    parser.add_argument(
        "--batch-size", type=positive_int, default=32, metavar="N", help="slices at a time (default: 32)"
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="of the network (default: auto, bfloat16 where the processor has it)",
    )
    parser.add_argument(
        "--refine",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="sharpen the histogram from where the network's field leaves it (default: yes)",
    )
    parser.add_argument(
        "--smoothness",
        type=positive_float,
        metavar="MM",
        help="suppress details of the field finer than this (default: from the object's size)",
    )


def device(text: str) -> str:
    """Check a device's name; whether it is there is seen later, with torch."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not auto, cpu, cuda, cuda:N or mps")
    return text


def positive_int(text: str) -> int:
    """Read a whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def positive_float(text: str) -> float:
    """Read a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value
