"""The options of getnet-bids, getnet and getnet-bids doctor; imports nothing heavy, so that --help is quick."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from getnet_bids import __version__, settings
from getnet_bids.bids.names import ALL, ON_REQUEST, SERIES, SUFFIXES, WEIGHTED
from getnet_bids.comparison.methods import METHODS
from getnet_bids.core import PRECISIONS
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
    """Turn a reader of values into one for argparse, which shows the text of one kind of error only."""

    def convert(text: str) -> Any:
        try:
            return read(text)
        except GetNetError as error:
            raise argparse.ArgumentTypeError(error.reason) from None

    return convert


device, named_path, percent = typed(settings.device), typed(settings.named_path), typed(settings.percent)
positive_float, positive_int = typed(settings.positive_float), typed(settings.positive_int)
gzip_level, seed = typed(settings.gzip_level), typed(settings.seed)


def app_parser() -> Parser:
    """Build the parser of getnet-bids."""
    parser = Parser(
        prog="getnet-bids",
        description="Correct the intensity (bias field) of the MR images of a BIDS dataset with GetNet.",
        epilog="Exit codes: 0 all done, 1 some image failed, 16 not a BIDS dataset, 17 unknown analysis level, "
        "18 nothing matched, 64 usage, 65 bad data, 66 no input, 73 cannot create output, 74 I/O error. "
        "`getnet-bids doctor` tells what is wrong with an installation.",
        allow_abbrev=False,
    )
    parser.add_argument("bids_dir", type=Path, help="the dataset")
    parser.add_argument("output_dir", type=Path, help="where the derivatives go; made if need be")
    parser.add_argument(
        "analysis_level",
        metavar="{participant,group}",
        help="participant: correct the images; group: gather the measures of all that is in output_dir",
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
    parser.add_argument("image", type=Path, metavar="IN", help="the image: .nii, .nii.gz, .mgh or .mgz; 2-D to 4-D")
    parser.add_argument("corrected", type=Path, metavar="OUT", help="the corrected image to write")
    parser.add_argument("--field", type=Path, metavar="FILE", help="write the bias field too")
    parser.add_argument(
        "--uncertainty", type=Path, metavar="FILE", help="write a map of the standard deviation of the log field too"
    )
    parser.add_argument("--mask", type=Path, metavar="FILE", help="fit the field where this is above 0; not needed")
    parser.add_argument(
        "--bvals",
        type=Path,
        metavar="FILE",
        help="b-values of a diffusion series, as FSL writes them: the field is estimated from the mean b = 0 volume",
    )
    parser.add_argument(
        "--apply",
        type=Path,
        metavar="FIELD",
        help="estimate nothing: divide by this bias field, resampled to the image through the affines",
    )
    add_model_options(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="print what was done")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return without_defaults(parser, keep=("field", "uncertainty", "mask", "bvals", "apply", "verbose"))


def doctor_parser() -> Parser:
    """Build the parser of getnet-bids doctor."""
    parser = Parser(
        prog="getnet-bids doctor",
        description="Print what a report of a bug needs to know (versions, weights, processors, memory, device, "
        "precision), correct a tiny head whose field is known, and tell what is wrong.",
        epilog="Exit codes: 0 nothing is wrong, 1 something is, 64 usage.",
        allow_abbrev=False,
    )
    parser.add_argument("--device", type=device, default="auto", help="auto, cpu, cuda, cuda:N or mps (%(default)s)")
    parser.add_argument(
        "--output-dir", type=Path, metavar="DIR", help="look whether derivatives can be written there, and for locks"
    )
    return parser


def without_defaults(parser: Parser, keep: Sequence[str] = ()) -> Parser:
    """Let options that are not given have no value, since settings have the defaults; but for some."""
    for action in parser._actions:
        if action.dest not in keep:
            action.default = argparse.SUPPRESS
    return parser


def add_model_options(parser: argparse._ActionsContainer) -> None:
    """Add the options that both commands have."""
    parser.add_argument("--weights", type=Path, metavar="FILE", help="safetensors (default: the package's own)")
    parser.add_argument(
        "--device",
        type=device,
        help="auto (CUDA if there is one, else the CPU), cpu, cuda, cuda:N or mps",
    )
    parser.add_argument("--batch-size", type=positive_int, metavar="N", help="slices at a time (default: 32)")
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="floating-point precision of the network (default: auto, bfloat16 where the processor has it)",
    )
    parser.add_argument(
        "--refine",
        action=argparse.BooleanOptionalAction,
        help="weigh the network's field against the image's own tissues (default: yes); --no-refine takes it as it is",
    )
    parser.add_argument(
        "--smoothness",
        type=positive_float,
        metavar="MM",
        help="suppress details of the field finer than this (default: 100 for a head, in proportion for other objects)",
    )
    parser.add_argument(
        "--output-dtype",
        choices=settings.OUTPUT_DTYPES,
        help="numbers that the corrected image is stored in: float32 (default), or those of its source (same type, "
        "scale and intercept), rounded; refused where they do not reach as far",
    )
    parser.add_argument(
        "--compress",
        type=gzip_level,
        metavar="LEVEL",
        help="level of gzip, 1 (default) to 9: files get at most 6 %% smaller, and packing takes ten times as long",
    )


def add_selection(group: argparse._ActionsContainer) -> None:
    """Add the options that choose images."""
    group.add_argument(
        "--participant-label",
        "--participant_label",
        nargs="+",
        action="extend",
        metavar="LABEL",
        help="these subjects alone, with or without sub-; or a text file of labels",
    )
    group.add_argument(
        "--session-label",
        "--session_label",
        nargs="+",
        action="extend",
        metavar="LABEL",
        help="these sessions alone, with or without ses-; or a text file of labels",
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
        type=Path,
        metavar="FILE",
        help="JSON of named queries in PyBIDS's language, as for fMRIPrep: those named after a modality in lower case "
        "(t1w, t2w, flair, ...) are applied to images of that suffix",
    )
    group.add_argument(
        "--bids-database-dir",
        type=Path,
        metavar="DIR",
        help="PyBIDS database to take the files from; made there if there is none. It is not brought up to date",
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
        help="do not look whether the input has a valid dataset_description.json",
    )


def add_comparison(group: argparse._ActionsContainer) -> None:
    """Add the options of the comparison with another method."""
    group.add_argument(
        "--compare", choices=tuple(METHODS), help="run another method on each image too, and measure both corrections"
    )
    group.add_argument(
        "--segmentation",
        choices=SEGMENTATIONS,
        help="where the tissues come from that are measured: --derivatives, ANTs Atropos (brains), none; "
        "auto takes the first of these that can be had (default)",
    )
    group.add_argument(
        "--template",
        metavar="NAME",
        help="template with tissue priors for atropos: bundled (default; MNI152), or a name that TemplateFlow knows",
    )
    group.add_argument(
        "--simulate-gain",
        type=percent,
        metavar="PERCENT",
        help="first multiply each image by a known, random field of 1 - P/100 to 1 + P/100, and measure what is left",
    )
    group.add_argument("--random-seed", type=seed, metavar="N", help="seed of the simulated fields (default: 0)")


def add_performance(group: argparse._ActionsContainer) -> None:
    """Add the options of speed and size."""
    group.add_argument(
        "--nprocs",
        "--nthreads",
        "--n-cpus",
        "--n_cpus",
        dest="nprocs",
        type=positive_int,
        metavar="N",
        help="threads that compute, of all images or steps at a time (default: as many as there are processors)",
    )
    group.add_argument(
        "--omp-nthreads",
        type=positive_int,
        metavar="N",
        help="threads of one image, or with --compare of one step (default: 1, or more if there are fewer images than "
        "--nprocs)",
    )
    group.add_argument(
        "--mem-mb",
        "--mem_mb",
        type=positive_int,
        metavar="MB",
        help="memory for images: another is not read before it fits beside those in work (default: 1500)",
    )
    group.add_argument(
        "--use-plugin", type=Path, metavar="FILE", help="YAML with nipype's plugin and plugin_args, for --compare"
    )


def add_output(group: argparse._ActionsContainer) -> None:
    """Add the options of what is written."""
    group.add_argument(
        "--series-reference",
        choices=SERIES_REFERENCES,
        help="what the field of a bold or dwi series is estimated from: mean (default), its mean or that of its b = 0 "
        "volumes; sbref, the single-band reference of the same run where there is one",
    )
    group.add_argument(
        "--receive-field",
        choices=RECEIVE_FIELDS,
        help="use of pairs of images by head coil and body coil (acq-head*, acq-body* RB1COR) of a session: none "
        "(default); auto, where there is a pair divide by its ratio first and estimate the rest; measured, divide by "
        "the ratio alone",
    )
    group.add_argument(
        "--reference-only",
        action="store_true",
        help="of bold, dwi and asl series write the corrected mean alone (boldref, dwiref, aslref), not the series",
    )
    group.add_argument(
        "--shared-field",
        choices=SHARED_FIELDS,
        help="session: estimate one field for the anatomical images of a session that lie on one grid, from all of "
        "them (say, before and after a contrast agent); by default each has its own",
    )
    group.add_argument("--no-field", action="store_true", help="do not write the bias fields")
    group.add_argument(
        "--uncertainty",
        action="store_true",
        help="write maps of the standard deviation of the log field too, ..._stat-std_biasfield.nii.gz",
    )
    group.add_argument(
        "--output-layout",
        choices=LAYOUTS,
        help="as fMRIPrep has it; bids: output_dir is the derivative dataset (default), legacy: output_dir/getnet_bids",
    )
    group.add_argument(
        "--for",
        "--hand-over",
        dest="hand_over",
        choices=HAND_OVERS,
        help="make a dataset to be given to fMRIPrep by --derivatives, too: one corrected T1w image for each subject "
        "(fmriprep-sessionwise: session), and nothing else",
    )
    group.add_argument(
        "--hand-over-dir",
        type=Path,
        metavar="DIR",
        help="where that dataset goes (default: output_dir with -fmriprep behind its name)",
    )
    group.add_argument(
        "--reports-only",
        action="store_true",
        help="write the reports anew of what is there already",
    )
    group.add_argument("--dry-run", action="store_true", help="print the jobs as a TSV table and do none")
    group.add_argument("--force", action="store_true", help="do again what is done")


def add_run(group: argparse._ActionsContainer) -> None:
    """Add the options of the run itself."""
    group.add_argument(
        "-w",
        "--work-dir",
        type=Path,
        metavar="DIR",
        help="for the intermediate files of --compare (default: a temporary folder, removed on success)",
    )
    group.add_argument(
        "--config-file",
        type=Path,
        metavar="FILE",
        help="TOML of options by their long names, such as participant-label = ['01']; the command line wins",
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
        help="name each file that is passed over, and why",
    )
    group.add_argument(
        "--notrack",
        action="store_true",
        help="accepted for compatibility; nothing is ever tracked",
    )
