"""Compare GetNet with N4 on EPI of a phantom with a known field, and on the mean volumes of real series.

    python -m benchmarks series [BIDS] [--images TEXT ...]

The phantom is the echo-planar head of ``odd_inputs.py``. For a real series, the field is estimated from its mean, once
as it is and once multiplied by a known random field of +-20 %; the error is the part of the known field by which the
two estimates fail to differ. N4 is run as in two pipelines, with a brain mask: the phantom's own, or nilearn's for EPI
images.

* N4, dwibiascorrect: MRtrix3's defaults, ``-s 4 -b [100,3] -c [1000,0.0]``, in the brain mask.
* N4, fMRIPrep: niworkflows' settings for the BOLD reference, a spline distance of 200 mm, in the mask dilated by 3 mm.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import odd_inputs
from accuracy_methods import Volume
from accuracy_tables import Row, number, read, simple_table, write
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from getnet_bids.bids.discovery import find_images
from getnet_bids.bids.metadata import Metadata
from getnet_bids.bids.names import SERIES
from getnet_bids.core.correction import correct_volume
from getnet_bids.core.network import GetNet
from getnet_bids.images import magnitudes, voxel_size
from getnet_bids.interfaces import N4Correction
from getnet_bids.interfaces.fields import gain_field
from getnet_bids.interfaces.n4 import antspyx_field
from getnet_bids.run.results import Average
from getnet_bids.weights import load_network

TABLE = Path(__file__).with_suffix(".tsv")
PERCENT = 20.0
"""The known field spans 1 - p/100 to 1 + p/100 over the brain."""
GROWN = 3.0
"""Distance by which niworkflows dilates its mask, mm."""
NAMES = {
    "input": "uncorrected",
    "n4-mrtrix": "N4, dwibiascorrect",
    "n4-fmriprep": "N4, fMRIPrep",
    "getnet": "GetNet",
    "getnet-mask": "GetNet, mask",
}


@dataclass(frozen=True)
class Scan:
    """A mean volume.

    Parameters
    ----------
    name : str
    volume : ndarray, shape (X, Y, Z)
    voxel : tuple of float
        mm.
    brain : ndarray of bool
    truth : ndarray, optional
        The true field, which is unknown for real images.
    """

    name: str
    volume: Volume
    voxel: tuple[float, ...]
    brain: NDArray[np.bool_]
    truth: Volume | None = None


def phantoms() -> Iterator[Scan]:
    """Make the phantom's images."""
    for case in odd_inputs.echo_planar():
        yield Scan(f"phantom, {case.name}", case.volume.astype(np.float32), case.voxel, case.brain, case.truth)


def real(root: Path, some: Sequence[str]) -> Iterator[Scan]:
    """Average the series of a dataset whose names contain any of the given texts."""
    from nilearn.masking import compute_epi_mask

    metadata = Metadata(root)
    for source in find_images(root, suffixes=SERIES).sources:
        if any(text in source.relative for text in some):
            image = Average.of(source, metadata).image
            volume = magnitudes(image)
            mask = compute_epi_mask(nib.Nifti1Image(volume, image.affine), exclude_zeros=True)
            yield Scan(Path(source.relative).name.partition(".")[0], volume, voxel_size(image), mask.get_fdata() > 0)


def n4_field(volume: Volume, voxel: tuple[float, ...], brain: NDArray[np.bool_], **settings: Any) -> Volume:
    """Run N4 in a mask."""
    return antspyx_field(volume, list(voxel), brain, None, N4Correction(**settings).inputs)


def fields(scan: Scan, volume: Volume, network: GetNet) -> Iterator[tuple[str, Volume]]:
    """Yield the field of a volume by each method."""
    mrtrix = {"shrink_factor": 4, "bspline_fitting_distance": 100.0, "n_iterations": [1000]}
    grown = distance_transform_edt(~scan.brain, scan.voxel) <= GROWN
    yield "input", np.ones_like(volume)
    yield "n4-mrtrix", n4_field(volume, scan.voxel, scan.brain, convergence_threshold=0.0, **mrtrix)
    yield "n4-fmriprep", n4_field(volume, scan.voxel, grown, bspline_fitting_distance=200.0)
    yield "getnet", correct_volume(volume, scan.voxel, network).field
    yield "getnet-mask", correct_volume(volume, scan.voxel, network, scan.brain).field


def measure(scan: Scan, network: GetNet) -> list[Row]:
    """Measure all methods on a scan."""
    inside = scan.brain
    if scan.truth is not None:
        found = {name: (field, field / scan.truth) for name, field in fields(scan, scan.volume, network)}
    else:
        known = gain_field(inside, scan.voxel, PERCENT, seed=1)
        once = dict(fields(scan, scan.volume, network))
        again = dict(fields(scan, scan.volume * known, network))
        found = {name: (field, again[name] / (field * known)) for name, field in once.items()}
    rows = []
    for name, (field, wrong) in found.items():
        corrected = (scan.volume / field)[inside]
        rows.append(
            {
                "image": scan.name,
                "method": name,
                "error": f"{np.log(wrong[inside]).std():.4f}",
                "cv": f"{corrected.std() / corrected.mean():.4f}",
                "voxels": str(int(inside.sum())),
            }
        )
    return rows


def as_rst(rows: Sequence[Row]) -> str:
    """Make the README's table: the error, and the coefficient of variation over the brain."""
    images = list(dict.fromkeys(row["image"] for row in rows))
    by = {(row["image"], row["method"]): row for row in rows}
    lines = [["image", *(f"{NAMES[name]}" for name in NAMES)]]
    for column, form in (("error", "{:.3f}"), ("cv", "CV {:.2f}")):
        lines += [[image, *(form.format(number(by[image, name], column)) for name in NAMES)] for image in images]
    return simple_table(lines)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bids", type=Path, nargs="?", metavar="BIDS", help="a dataset with series of heads")
    parser.add_argument(
        "--images", nargs="+", default=[""], metavar="TEXT", help="only images whose names contain one of these texts"
    )
    parser.add_argument("--out", type=Path, default=TABLE, metavar="FILE", help="the table")
    parser.add_argument("--table", type=Path, metavar="FILE", help="only print a series.tsv as RST")
    args = parser.parse_args(argv)
    if args.table:
        print(as_rst(read(args.table)))
        return 0
    warnings.filterwarnings("ignore")
    network = load_network(None, "cpu")
    rows: list[Row] = []
    for scan in [*phantoms(), *(real(args.bids, args.images) if args.bids else ())]:
        rows += measure(scan, network)
        print(*rows[-len(NAMES) :], sep="\n", flush=True)
        write(rows, args.out)
    print(as_rst(rows))
    return 0
