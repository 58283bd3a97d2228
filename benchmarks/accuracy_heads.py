"""Measure the accuracy on simulated heads whose tissues vary, and the accuracy of the predicted uncertainty.

    python -m benchmarks heads BIDS --out DIR [--subjects 01 02] [--fields smooth20 coil] [--methods input getnet]
    python -m benchmarks heads BIDS --out DIR --foreign monai torchio      # their fields on the images of ses-none
    python -m benchmarks heads --table benchmarks/accuracy_heads.tsv

BIDS is a dataset of images ``sub-NN_ses-FIELD_CONTRAST``, in which NN is a whole head and NNs the same head stripped.
derivatives/truth has the field of each session, and for each subject the image without field and noise
(``desc-original``) and the fractions of CSF, GM and WM (``probseg``). Measurements are kept in OUT/accuracy_heads.tsv,
and are not repeated as long as weights, options and code are the same. The means, accuracy_heads_means.tsv, and a plot
of the uncertainty, accuracy_heads.png, are written to the same folder. benchmarks/README.rst defines the measures.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import accuracy_command
import numpy as np
from accuracy_command import Measured
from accuracy_heads_tables import METHODS, as_rst, draw_calibration, summarise
from accuracy_methods import fingerprint, make_methods
from accuracy_tables import Row, write
from foreign_fields import FOREIGN, foreign_field
from numpy.typing import NDArray
from tqdm import tqdm

from getnet_bids import images
from getnet_bids.core import metrics
from getnet_bids.core.correction import CorrectedVolume, correct_volume
from getnet_bids.core.options import Options
from getnet_bids.interfaces.inhomogeneity import volume_like
from getnet_bids.training.evaluation.brainweb import hashed
from getnet_bids.weights import load_network

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]
OPTIONS = {"getnet-alone": Options(refine=False), "getnet": Options(uncertainty=True)}
"""Options of the methods that are GetNet."""
KEY = ("set", "subject", "part", "contrast", "field", "method", "fingerprint")
SCORES = ("field_brain", "field_head", "slope", "kept", "cjv", "error", "sd", "z_sd", "verdict", "seconds")
PURE_SHARE = 0.9
"""Fraction of a tissue above which a voxel is pure."""
HEAD = 0.03
"""Fraction of the clean image's maximum above which a voxel belongs to the head."""


@dataclass(frozen=True)
class Case:
    """An image of the dataset: its path, and the content of its name."""

    root: Path
    path: Path
    subject: str
    field: str
    contrast: str

    @property
    def part(self) -> str:
        """Whether the head is whole or stripped to the brain."""
        return "stripped" if self.subject.endswith("s") else "whole"

    @property
    def key(self) -> tuple[str, ...]:
        """The first cells of the rows of this image."""
        return self.root.resolve().name, self.subject.removesuffix("s"), self.part, self.contrast, self.field


@dataclass(frozen=True)
class Truth:
    """The truth from which a simulated image was made."""

    field: Volume
    original: Volume
    brain: Mask
    gray: Mask
    white: Mask


def find_cases(root: Path, subjects: Sequence[str], contrasts: Sequence[str], fields: Sequence[str]) -> list[Case]:
    """List the images of a dataset, or those of the given subjects, contrasts and fields; a head, then its brain."""
    cases = []
    for path in sorted(root.glob("sub-*/ses-*/anat/*.nii.gz")):
        subject, session, contrast = path.name.removesuffix(".nii.gz").split("_")
        case = Case(root, path, subject.removeprefix("sub-"), session.removeprefix("ses-"), contrast)
        if all(not of or one in of for one, of in zip(names_of(case), (subjects, contrasts, fields), strict=True)):
            cases.append(case)
    return cases


def thin(cases: Sequence[Case], every: int) -> list[Case]:
    """Keep every n-th image, evenly over anatomies, contrasts and fields, like a Latin square."""
    axes = [sorted({values[i] for values in map(names_of, cases)}) for i in range(3)]
    places = [sum(axis.index(name) for axis, name in zip(axes, names_of(case), strict=True)) for case in cases]
    return [case for case, place in zip(cases, places, strict=True) if place % every == 0]


def names_of(case: Case) -> tuple[str, str, str]:
    """Return the names of an image's anatomy, contrast and field."""
    return case.subject.removesuffix("s"), case.contrast, case.field


@lru_cache(maxsize=8)
def read_volume(path: Path) -> Volume:
    """Read a map of the truth."""
    return np.asarray(images.read(path).dataobj, np.float32)


def read_truth(case: Case) -> Truth:
    """Read the truth of an image."""
    folder = case.root / "derivatives" / "truth" / f"sub-{case.subject}"
    name = f"sub-{case.subject}"
    csf, gray, white = (read_volume(folder / "anat" / f"{name}_label-{t}_probseg.nii.gz") for t in ("CSF", "GM", "WM"))
    original = read_volume(folder / "anat" / f"{name}_desc-original_{case.contrast}.nii.gz")
    if case.field in FOREIGN:
        field = foreign_field(case.field, original.shape, hashed(f"{name} {case.contrast} {case.field}"))
    else:
        field = read_volume(folder / f"ses-{case.field}" / "anat" / f"{name}_ses-{case.field}_biasfield.nii.gz")
    return Truth(field, original, csf + gray + white > 0.5, gray > PURE_SHARE, white > PURE_SHARE)


def contrast_of(image: Volume, truth: Truth) -> float:
    """Compute the log ratio of the means of white and gray matter over pure voxels."""
    return float(np.log(image[truth.white].mean() / image[truth.gray].mean()))


def scores(image: Volume, field: Volume, truth: Truth) -> dict[str, float]:
    """Measure an estimated field and the image that it corrects."""
    head, corrected = truth.original > HEAD * truth.original.max(), image / field
    flat = float(truth.field.std()) == 0
    return {
        "field_brain": metrics.field_error(field, truth.field, truth.brain),
        "field_head": metrics.field_error(field, truth.field, head),
        "slope": float("nan") if flat else metrics.slope(field, truth.field, head),
        "kept": contrast_of(corrected, truth) / contrast_of(truth.original, truth),
        "cjv": metrics.cjv(corrected, truth.gray, truth.white),
    }


def calibration(result: CorrectedVolume, truth: Volume) -> dict[str, float]:
    """Compare the field's predicted standard deviation with its error.

    Parameters
    ----------
    result : CorrectedVolume
        Result with a map of the uncertainty.
    truth : ndarray
        The true field.

    Returns
    -------
    dict
        Over the foreground: ``error``, standard deviation of the log field's error; ``sd``, median of the predicted
        standard deviation; ``z_sd``, standard deviation of the ratio of the error (minus its mean) to the predicted
        one.
    """
    assert result.uncertainty is not None
    where = result.foreground
    error = np.log(result.field[where].astype(np.float64)) - np.log(truth[where].astype(np.float64))
    error -= error.mean()
    sd = result.uncertainty[where].astype(np.float64)
    return {"error": float(error.std()), "sd": float(np.median(sd)), "z_sd": float((error / sd).std())}


def measure(case: Case, methods: Sequence[str], weights: Path | None) -> Iterator[tuple[str, dict[str, object]]]:
    """Correct an image by the given methods; yield the name and the figures of each."""
    truth = read_truth(case)
    loaded = images.read(case.path)
    image, voxel = volume_like(loaded, str(case.path)), images.voxel_size(loaded)
    if case.field in FOREIGN:
        image = image * truth.field  # including its noise
    for method in methods:
        began = time.process_time()
        if method in OPTIONS:
            result = correct_volume(image, voxel, load_network(weights, "cpu"), options=OPTIONS[method])
            seconds = time.process_time() - began
            found: dict[str, object] = {**scores(image, result.field, truth), "verdict": result.verdict}
            if result.uncertainty is not None:
                found |= calibration(result, truth.field)
        else:
            field = make_methods()[method].run(image, voxel)
            seconds = time.process_time() - began
            found = {**scores(image, field, truth)}
        yield method, found | {"seconds": seconds}


def fingerprint_of(method: str, weights: Path | None) -> str:
    """Return a fingerprint that changes whenever a method's results may change."""
    return fingerprint(weights, "cpu", OPTIONS[method]) if method in OPTIONS else make_methods()[method].fingerprint


def run(cases: Sequence[Case], methods: Sequence[str], weights: Path | None, table: Path) -> list[Row]:
    """Make all missing measurements, a row at a time, and return all rows."""
    measured = Measured(table, KEY, SCORES)
    prints = {method: fingerprint_of(method, weights) for method in methods}
    for case in tqdm(cases, unit="image"):
        wanted = [m for m in methods if (*case.key, m, prints[m]) not in measured]
        for method, found in measure(case, wanted, weights) if wanted else ():
            measured.add((*case.key, method, prints[method]), found)
    return measured.rows


class Arguments(accuracy_command.Arguments):
    """The values of the command line."""

    subjects: list[str]
    contrasts: list[str]
    fields: list[str]
    foreign: list[str]
    every: int


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = accuracy_command.make_parser(__doc__, "simulated heads", METHODS, "accuracy_heads.tsv")
    parser.add_argument("--subjects", nargs="+", default=[], metavar="NN", help="anatomies [all]")
    parser.add_argument("--contrasts", nargs="+", default=[], metavar="SUFFIX", help="[all]")
    parser.add_argument("--fields", nargs="+", default=[], metavar="KIND", help="[all]")
    parser.add_argument(
        "--foreign",
        nargs="+",
        default=[],
        choices=FOREIGN,
        help="libraries whose random fields shade the images without a field, instead of the dataset's fields",
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="use one image in N, evenly [%(default)s]")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = make_parser()
    args = accuracy_command.parse(parser, argv, Arguments(), as_rst)
    if args is None:
        return 0
    named = args.subjects, args.contrasts, args.fields
    if args.foreign:
        named = args.subjects, args.contrasts, ["none"]
    cases = [c for root in args.bids for c in thin(find_cases(root, *named), args.every)]
    if args.foreign:
        cases = [replace(case, field=kind) for case in cases for kind in args.foreign]
    if not cases:
        parser.error(f"{args.bids[0]}: no image of these subjects, contrasts and fields")
    args.out.mkdir(parents=True, exist_ok=True)
    rows = run(cases, args.methods, args.weights, args.out / "accuracy_heads.tsv")
    write(summarise(rows), args.out / "accuracy_heads_means.tsv")
    draw_calibration(rows, args.out / "accuracy_heads.png")
    print(as_rst(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
