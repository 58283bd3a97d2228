"""The options of getnet-bids, getnet and getnet-bids doctor; imports nothing heavy, so that --help is fast."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from getnet_bids import __version__, settings
from getnet_bids.bids.names import ALL, ON_REQUEST, SERIES, SUFFIXES, WEIGHTED
from getnet_bids.comparison.methods import METHODS
from getnet_bids.core import BATCH_SIZE, PRECISIONS
from getnet_bids.errors import GetNetError
from getnet_bids.run.console import USAGE
from getnet_bids.settings import (
    HAND_OVERS,
    LAYOUTS,
    RECEIVE_FIELDS,
    SEGMENTATIONS,
    SERIES_REFERENCES,
    SHARED_FIELDS,
)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and exit with `USAGE`."""

    def error(self, message: str) -> NoReturn:
        """End the program."""
        self.exit(USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def typed(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Turn a function that reads a value into one for argparse, which shows the message of one error type only."""

    def convert(text: str) -> Any:
        try:
            return read(text)
        except GetNetError as error:
            raise argparse.ArgumentTypeError(error.reason) from None

    return convert


device, path, percent = typed(settings.device), typed(settings.path), typed(settings.percent)
named_path = typed(settings.named_path)
positive_float, positive_int = typed(settings.positive_float), typed(settings.positive_int)
gzip_level, seed = typed(settings.gzip_level), typed(settings.seed)


def app_parser() -> Parser:
    """Build the parser of getnet-bids."""
    parser = Parser(
        prog="getnet-bids",
        description="Correct the intensity (bias field) of the MR images of a BIDS dataset with GetNet.",
        epilog="Exit codes: 0 all done, 1 some image failed, 16 not a BIDS dataset, 17 unknown analysis level, "
        "18 nothing matched, 64 usage, 65 bad data, 66 no input, 73 cannot create output, 74 I/O error. "
        "`getnet-bids doctor` checks an installation.",
        allow_abbrev=False,
    )
    parser.add_argument("bids_dir", type=path, help="the dataset")
    parser.add_argument("output_dir", type=path, help="folder for the derivatives; created if it does not exist")
    parser.add_argument(
        "analysis_level",
        metavar="{participant,group}",
        help="participant: correct the images; group: collect the measures of all results in output_dir",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    add_selection(parser.add_argument_group("selection"))
    add_model_options(parser.add_argument_group("model"))
    add_comparison(parser.add_argument_group("comparison"))
    add_performance(parser.add_argument_group("performance"))
    add_output(parser.add_argument_group("output"))
    add_run(parser.add_argument_group("run"))
    return without_defaults(parser)


def image_parser() -> Parser:
    """Build the parser of getnet."""
    parser = Parser(
        prog="getnet",
        description="Correct the intensity (bias field) of an MR image with GetNet.",
        epilog="Exit codes: 0 done, 64 usage, 65 bad data, 66 no input, 73 cannot create output, 74 I/O error.",
    )
    parser.add_argument("image", type=path, metavar="IN", help="the image: .nii, .nii.gz, .mgh or .mgz; 2-D to 4-D")
    parser.add_argument("corrected", type=path, metavar="OUT", help="the corrected image to write")
    parser.add_argument("--field", type=path, metavar="FILE", help="also write the bias field")
    parser.add_argument(
        "--uncertainty", type=path, metavar="FILE", help="also write a map of the standard deviation of the log field"
    )
    parser.add_argument(
        "--mask", type=path, metavar="FILE", help="fit the field only where this image is above 0; usually not needed"
    )
    parser.add_argument(
        "--bvals",
        type=path,
        metavar="FILE",
        help="b-values of a diffusion series, as FSL writes them: the field is estimated from the mean b = 0 volume",
    )
    parser.add_argument(
        "--apply",
        type=path,
        metavar="FIELD",
        help="do not estimate a field: divide by this one, resampled to the image by means of the affines",
    )
    add_model_options(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="print what was done")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return without_defaults(parser, keep=("field", "uncertainty", "mask", "bvals", "apply", "verbose"))


def doctor_parser() -> Parser:
    """Build the parser of getnet-bids doctor."""
    parser = Parser(
        prog="getnet-bids doctor",
        description="Print what a bug report should contain (versions, weights, processors, memory, device, "
        "precision), correct a tiny head whose field is known, and say what is wrong.",
        epilog="Exit codes: 0 nothing is wrong, 1 something is, 64 usage.",
        allow_abbrev=False,
    )
    parser.add_argument("--device", type=device, default="auto", help="auto, cpu, cuda, cuda:N or mps (%(default)s)")
    parser.add_argument(
        "--output-dir",
        type=path,
        metavar="DIR",
        help="check that derivatives can be written to this folder, and that it supports locks",
    )
    return parser


def without_defaults(parser: Parser, keep: Sequence[str] = ()) -> Parser:
    """Remove the default values of options, since the settings have them; those of `keep` stay."""
    for action in parser._actions:
        if action.dest not in keep:
            action.default = argparse.SUPPRESS
    return parser


def add_model_options(parser: argparse._ActionsContainer) -> None:
    """Add the options that both commands have."""
    parser.add_argument(
        "--weights",
        type=path,
        metavar="FILE",
        help="weights of the network, a .safetensors file (default: the package's own)",
    )
    parser.add_argument(
        "--device",
        type=device,
        help="auto (CUDA if available, otherwise the CPU; default), cpu, cuda, cuda:N or mps",
    )
    parser.add_argument(
        "--batch-size",
        type=positive_int,
        metavar="N",
        help=f"number of slices that the network processes at a time (default: {BATCH_SIZE})",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="floating-point precision of the network (default: auto, that is bfloat16 if the device supports it)",
    )
    parser.add_argument(
        "--refine",
        action=argparse.BooleanOptionalAction,
        help="refine the network's field with the image's own tissues (default: yes); --no-refine uses it as it is",
    )
    parser.add_argument(
        "--smoothness",
        type=positive_float,
        metavar="MM",
        help="smoothness of the field, in mm: it has no half waves shorter than a third to a half of this (default: "
        "100 for a head, scaled to the size of other objects)",
    )
    parser.add_argument(
        "--output-dtype",
        choices=settings.OUTPUT_DTYPES,
        help="data type of the corrected image: float32 (default), or same as its source, with the same scale and "
        "intercept, rounded; refused if values exceed the range of that type",
    )
    parser.add_argument(
        "--compress",
        type=gzip_level,
        metavar="LEVEL",
        help="gzip level, 1 (default) to 9, which makes files at most 6 %% smaller and takes ten times as long to "
        "compress",
    )


def add_selection(group: argparse._ActionsContainer) -> None:
    """Add the options that select images."""
    group.add_argument(
        "--participant-label",
        "--participant_label",
        nargs="+",
        action="extend",
        metavar="LABEL",
        help="only these subjects, with or without sub-; or a text file of labels",
    )
    group.add_argument(
        "--session-label",
        "--session_label",
        nargs="+",
        action="extend",
        metavar="LABEL",
        help="only these sessions, with or without ses-; or a text file of labels",
    )
    group.add_argument(
        "-m",
        "--modalities",
        nargs="+",
        choices=[*SUFFIXES, ALL],
        metavar="SUFFIX",
        help=f"images with these suffixes (default: {' '.join(WEIGHTED)}; only when named: "
        f"{' '.join([*ON_REQUEST, *SERIES])}; {ALL}: all of these but UNIT1)",
    )
    group.add_argument(
        "--bids-filter-file",
        type=path,
        metavar="FILE",
        help="JSON file of named PyBIDS queries, as for fMRIPrep: a query named after a suffix in lower case (t1w, "
        "t2w, flair, ...) applies to images of that suffix",
    )
    group.add_argument(
        "--bids-database-dir",
        type=path,
        metavar="DIR",
        help="PyBIDS database that lists the files; made if there is none, and never updated",
    )
    group.add_argument(
        "-d",
        "--derivatives",
        nargs="+",
        action="extend",
        type=named_path,
        metavar="NAME=PATH",
        help="derivative datasets whose brain masks and tissue segmentations --compare may use",
    )
    group.add_argument(
        "--skip-bids-validation",
        action="store_true",
        help="do not check that the input has a valid dataset_description.json",
    )


def add_comparison(group: argparse._ActionsContainer) -> None:
    """Add the options of the comparison with another method."""
    group.add_argument(
        "--compare", choices=tuple(METHODS), help="also run another method on each image, and measure both corrections"
    )
    group.add_argument(
        "--segmentation",
        choices=SEGMENTATIONS,
        help="source of the tissues in which the corrections are measured: --derivatives, ANTs Atropos (brains) or "
        "none; auto uses the first of these that is available (default)",
    )
    group.add_argument(
        "--template",
        metavar="NAME",
        help="template with tissue priors for atropos: bundled (default; MNI152), or the name of a TemplateFlow "
        "template",
    )
    group.add_argument(
        "--simulate-gain",
        type=percent,
        metavar="PERCENT",
        help="first multiply each image by a known random field from 1 - P/100 to 1 + P/100, and measure the error",
    )
    group.add_argument("--random-seed", type=seed, metavar="N", help="seed of the simulated fields (default: 0)")


def add_performance(group: argparse._ActionsContainer) -> None:
    """Add the options of speed and memory."""
    group.add_argument(
        "--nprocs",
        "--nthreads",
        "--n-cpus",
        "--n_cpus",
        dest="nprocs",
        type=positive_int,
        metavar="N",
        help="number of computing threads, over all images or steps (default: the number of processors)",
    )
    group.add_argument(
        "--omp-nthreads",
        type=positive_int,
        metavar="N",
        help="threads per image, or with --compare per step (default: 1, or more if there are fewer images than "
        "--nprocs)",
    )
    group.add_argument(
        "--mem-mb",
        "--mem_mb",
        type=positive_int,
        metavar="MB",
        help="memory for images, in MB: an image is read only when it fits beside those in progress (default: 1500)",
    )
    group.add_argument(
        "--use-plugin", type=path, metavar="FILE", help="YAML file with nipype's plugin and plugin_args, for --compare"
    )


def add_output(group: argparse._ActionsContainer) -> None:
    """Add the options for the outputs."""
    group.add_argument(
        "--series-reference",
        choices=SERIES_REFERENCES,
        help="image from which the field of a bold or dwi series is estimated: mean (default), its mean or that of its "
        "b = 0 volumes; sbref, the single-band reference of the same run if there is one",
    )
    group.add_argument(
        "--receive-field",
        choices=RECEIVE_FIELDS,
        help="how to use a session's pair of images from head coil and body coil (acq-head*, acq-body* RB1COR): none "
        "(default); auto, if there is a pair divide by its ratio first and estimate the rest; measured, divide only by "
        "the ratio",
    )
    group.add_argument(
        "--reference-only",
        action="store_true",
        help="for bold, dwi and asl series write only the corrected mean (boldref, dwiref, aslref), not the series",
    )
    group.add_argument(
        "--shared-field",
        choices=SHARED_FIELDS,
        help="session: estimate one common field for all anatomical images of a session on the same grid (for example "
        "before and after a contrast agent); by default each image has its own field",
    )
    group.add_argument("--no-field", action="store_true", help="do not write the bias fields")
    group.add_argument(
        "--uncertainty",
        action="store_true",
        help="also write maps of the standard deviation of the log field, ..._stat-std_biasfield.nii.gz",
    )
    group.add_argument(
        "--output-layout",
        choices=LAYOUTS,
        help="as in fMRIPrep; bids: output_dir is the derivative dataset (default), legacy: output_dir/getnet_bids is",
    )
    group.add_argument(
        "--for",
        "--hand-over",
        dest="hand_over",
        choices=HAND_OVERS,
        help="also make a dataset for fMRIPrep's --derivatives: one corrected T1w image for each subject "
        "(fmriprep-sessionwise: session), and nothing else",
    )
    group.add_argument(
        "--hand-over-dir",
        type=path,
        metavar="DIR",
        help="folder for that dataset (default: output_dir with -fmriprep appended to its name)",
    )
    group.add_argument(
        "--reports-only",
        action="store_true",
        help="write the reports again, from existing results",
    )
    group.add_argument("--dry-run", action="store_true", help="print the jobs as a TSV table and run none of them")
    group.add_argument("--force", action="store_true", help="correct images again that are already done")


def add_run(group: argparse._ActionsContainer) -> None:
    """Add the options for the run itself."""
    group.add_argument(
        "-w",
        "--work-dir",
        type=path,
        metavar="DIR",
        help="folder for the intermediate files of --compare (default: a temporary folder, removed on success)",
    )
    group.add_argument(
        "--config-file",
        type=path,
        metavar="FILE",
        help="TOML file of options by their long names, such as participant-label = ['01']; the command line takes "
        "precedence",
    )
    group.add_argument(
        "--stop-on-first-crash",
        action="store_true",
        help="stop at the first image that fails",
    )
    group.add_argument(
        "--write-graph",
        action="store_true",
        help="draw the workflow of --compare into logs/<run>",
    )
    group.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="name each file that is left out, and why",
    )
    group.add_argument(
        "--notrack",
        action="store_true",
        help="accepted for compatibility; nothing is ever tracked",
    )
