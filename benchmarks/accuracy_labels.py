"""Accuracy on real scans: a field multiplied onto them, their manual labels, a measured receive field, a second pass.

    python -m benchmarks real BIDS ... --out DIR [--only ibsr dream] [--methods input getnet-alone getnet]
    python -m benchmarks real --table benchmarks/accuracy_labels.tsv

BIDS are datasets of scans. Under derivatives/truth may lie a segmentation of the same name (``dseg``: 1 CSF,
2 gray, 3 white matter) and, for a subject, a measured field (``biasfield``) with its mask (``mask``).
What has been measured stands in OUT/accuracy_labels.tsv and is not measured again while weights, options and code are
the same; its means are in OUT/accuracy_labels_means.tsv. benchmarks/README.rst defines the figures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import accuracy_command
import numpy as np
import torch
from accuracy_command import Measured
from accuracy_methods import Method, make_methods
from accuracy_tables import NAMES, Row, mean, number, simple_table, text, write
from label_field import LabelField, fit_label_field
from numpy.typing import NDArray
from scipy import ndimage
from tqdm import tqdm

from getnet_bids import images
from getnet_bids.core import metrics
from getnet_bids.core.gain import coil_log_gain, smooth_log_gain, with_spread
from getnet_bids.training.evaluation.brainweb import hashed

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]
KEY = ("dataset", "image", "method", "fingerprint")
SCORES = ("field_sd", "inject", "again", "labels", "labels_coil", "kept", "cjv", "measured", "measured_slope")
SIGNAL = 0.12
"""Fraction of the 99th percentile above which a smoothed voxel is foreground."""
FIELDS = {"smooth40": 0.2, "coil": 0.13}
"""Fields that are multiplied onto a scan, and the standard deviation of their logarithm over the foreground."""
POINTS = 32
"""Points along the longest side of the grid that they are drawn on."""


def foreground(image: Volume) -> Mask:
    """Find the largest bright object, the same rule for all methods."""
    bright = ndimage.gaussian_filter(image, 1) > SIGNAL * np.percentile(image[image > 0], 99)
    labels, count = ndimage.label(ndimage.binary_opening(bright))
    if not count:
        return bright & (image > 0)
    return (labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])) & (image > 0)


def known_field(kind: str, where: Mask, voxel: Sequence[float], seed: str) -> Volume:
    """Draw a bias field: Gaussian random, correlation length a quarter of the longest side, or of receive loops."""
    extents = np.array(where.shape) * np.array(voxel)
    coarse = tuple(max(4, round(POINTS * e / extents.max())) for e in extents)
    generator = torch.Generator().manual_seed(hashed(seed + kind))
    if kind == "coil":
        drawn = coil_log_gain(coarse, 1, generator)
    else:
        drawn = smooth_log_gain(coarse, torch.tensor([0.25]), generator)
    factors = [n / c for n, c in zip(where.shape, coarse, strict=True)]
    log_gain = ndimage.zoom(drawn[0].numpy(), factors, order=3, mode="nearest", grid_mode=True)
    inside = torch.from_numpy(where)[None]
    return with_spread(torch.from_numpy(log_gain)[None], inside, torch.tensor([FIELDS[kind]]))[0].exp().numpy()


def first_volume(path: Path) -> Volume:
    """Read an image; of a series its first volume; what is no number is 0."""
    values = np.nan_to_num(np.asarray(images.read(path).dataobj, np.float32))
    return np.ascontiguousarray(values[..., 0] if values.ndim == 4 else values)


def file_of(folder: Path, pattern: str) -> Path | None:
    """Find a file of the truth, if there is one."""
    return next(iter(sorted(folder.glob(pattern))), None)


def measure(root: Path, path: Path, method: Method) -> dict[str, float]:
    """Measure what a method does with a scan.

    Parameters
    ----------
    root : Path
        The dataset.
    path : Path
        Of the scan.
    method : Method

    Returns
    -------
    dict
        Columns `SCORES`, those that the dataset has the truth for.
    """
    image, voxel = first_volume(path), images.voxel_size(images.read(path))[:3]
    where = foreground(image)

    def estimate(of: Volume) -> Volume:
        return np.log(method.run(of, voxel).reshape(of.shape))

    found = estimate(image)
    out = {"field_sd": float(found[where].std())}
    shares, coil = [], (np.zeros_like(image), found)
    for kind in FIELDS:
        log_gain = np.log(known_field(kind, where, voxel, path.name))
        shaded = estimate(image * np.exp(log_gain))
        shares.append((shaded - found - log_gain)[where].std() / log_gain[where].std())
        coil = (log_gain, shaded)
    out["inject"] = float(np.mean(shares))
    out["again"] = float(estimate(image / np.exp(found))[where].std())
    truth = root / "derivatives" / "truth" / path.relative_to(root).parent
    stem = path.name.removesuffix(".nii.gz")
    segmentation = file_of(truth, f"{stem.rsplit('_', 1)[0]}*_dseg.nii.gz")
    measured = file_of(truth, f"{stem.split('_')[0]}*_biasfield.nii.gz")
    if segmentation is not None and (labels := read_labels(segmentation)) is not None:
        out |= by_labels(image, found, coil, fit_label_field(image, labels, voxel))
    if measured is not None:
        mask = file_of(truth, f"{stem.split('_')[0]}*_mask.nii.gz")
        out |= by_measured_field(found, first_volume(measured), where if mask is None else first_volume(mask) > 0.5)
    return out


def read_labels(path: Path) -> NDArray[np.int16] | None:
    """Read a segmentation into CSF, gray and white matter; None if it is of something else."""
    labels = first_volume(path).astype(np.int16)
    return labels if set(np.unique(labels)) == {0, 1, 2, 3} else None


def by_labels(image: Volume, found: Volume, coil: tuple[Volume, Volume], reference: LabelField) -> dict[str, float]:
    """Compare log fields, as the image is and under a known field, with the field that manual labels tell."""
    log_gain, shaded = coil
    gray, white, both = reference.gray, reference.white, reference.both
    corrected = image / np.exp(found)
    log_corrected = np.log(corrected, where=gray | white, out=np.zeros_like(corrected))
    contrast = float(np.median(log_corrected[white]) - np.median(log_corrected[gray]))
    return {
        "labels": float((found - reference.log_field)[both].std()),
        "labels_coil": float((shaded - reference.log_field - log_gain)[both].std()),
        "kept": contrast / reference.contrast,
        "cjv": metrics.cjv(corrected, gray, white),
    }


def by_measured_field(found: Volume, measured: Volume, mask: Mask) -> dict[str, float]:
    """Compare a log field with a measured one."""
    where = mask & (measured > 0)
    field = np.exp(found)
    error, slope = metrics.field_error(field, measured, where), metrics.slope(field, measured, where)
    return {"measured": error, "measured_slope": slope}


def run(scans: Sequence[tuple[Path, Path]], methods: dict[str, Method], table: Path) -> list[Row]:
    """Measure what has not been measured, a line at a time, and return all rows."""
    measured = Measured(table, KEY, SCORES)
    for root, path in tqdm(scans, unit="image"):
        for name, method in methods.items():
            key = (root.resolve().name, path.name, name, method.fingerprint)
            if key in measured:
                continue
            try:
                found = measure(root, path, method)
            except ValueError as error:  # refused: the figures of this scan are missing, the others are not
                print(f"{path.name}, {name}: {error}", file=sys.stderr)
            else:
                measured.add(key, found)
    return measured.rows


def groups(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Split the scans into those with manual labels, with a measured field, and all."""
    has: dict[str, Callable[[Row], bool]] = {
        "all": lambda r: True,
        "manual labels": lambda r: r["labels"] != "n/a",
        "measured field": lambda r: r["measured"] != "n/a",
    }
    return {name: [r for r in rows if test(r)] for name, test in has.items()}


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Average the figures of each method, and find the worst scan by the field that was multiplied on."""
    out = []
    for group, some in groups(rows).items():
        for method in NAMES:
            own = [r for r in some if r["method"] == method]
            if not own:
                continue
            line: dict[str, object] = {"scans": group, "method": method, "images": len(own)}
            line |= {score: mean(number(r, score) for r in own) for score in SCORES}
            for score in ("inject", "again"):
                worst = max(own, key=lambda r: -1 if r[score] == "n/a" else number(r, score))
                line |= {f"worst_{score}": number(worst, score), f"worst_{score}_image": worst["image"]}
            out.append({column: text(value) for column, value in line.items()})
    return out


def as_rst(rows: Sequence[Row]) -> str:
    """Make the README's tables: the means, and each scan by the default method."""
    columns = ("inject", "again", "labels", "labels_coil", "kept", "cjv", "measured")

    def cells(row: Row) -> list[str]:
        values = [(c, number(row, c)) for c in columns]
        return ["" if np.isnan(v) else f"{v:.2f}" if c in ("kept", "cjv") else f"{v:.3f}" for c, v in values]

    means = [[r["scans"], NAMES[r["method"]], r["images"], *cells(r)] for r in summarise(rows)]
    each = [[r["image"].removesuffix(".nii.gz"), *cells(r)] for r in rows if r["method"] == "getnet"]
    first = simple_table([["scans", "method", "images", *columns], *means])
    return f"{first}\nEach scan, by default:\n\n{simple_table([['', *columns], *each])}"


class Arguments(accuracy_command.Arguments):
    """The values of the command line."""

    only: list[str]


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    methods = [name for name, method in make_methods().items() if not method.needs_brain]
    parser = accuracy_command.make_parser(__doc__, "scans", methods, "accuracy_labels.tsv")
    parser.add_argument("--only", nargs="+", default=[""], metavar="TEXT", help="scans with such a text in their name")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = make_parser()
    args = accuracy_command.parse(parser, argv, Arguments(), as_rst)
    if args is None:
        return 0
    found = [(root, path) for root in args.bids for path in sorted(root.glob("sub-*/**/*.nii.gz"))]
    scans = [(root, path) for root, path in found if any(some in path.name for some in args.only)]
    if not scans:
        parser.error(f"{args.bids[0]}: no such scan")
    methods = {n: m for n, m in make_methods(args.weights).items() if n in args.methods}
    args.out.mkdir(parents=True, exist_ok=True)
    rows = run(scans, methods, args.out / "accuracy_labels.tsv")
    write(summarise(rows), args.out / "accuracy_labels_means.tsv")
    print(as_rst(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
