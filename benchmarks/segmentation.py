"""Measure the segmentation of heads: Dice of TissueSegmentation against BrainWeb's anatomical models.

    python benchmarks/segmentation.py --models DIR [--out benchmarks/segmentation.tsv]

Whole heads with scalp and skull, T1w, 1 mm, 3 % Rician noise, shaded by a random field of 0.1 standard deviation (log).
The image is first corrected by getnet_bids; the labels are made as in the comparison workflow.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from tqdm import tqdm

from getnet_bids import correct
from getnet_bids.core.gain import smooth_log_gain, with_spread
from getnet_bids.interfaces import TissueSegmentation
from getnet_bids.training.evaluation.brainweb import read_heads

NOISE, SPREAD = 0.03, 0.1
COLUMNS = ["model", "brain", "CSF", "GM", "WM"]


def head(path: Path) -> tuple[nib.Nifti1Image, dict[str, np.ndarray]]:
    """Simulate a head; return the image (x, y, z) and the true tissues."""
    simulated = read_heads(path, ["T1w"])["T1w"]
    original = 1000 * simulated.original
    truth = {name: share > 0.5 for name, share in simulated.shares.items()} | {"brain": simulated.brain}
    seed = int(path.name[7:9])
    field = smooth_log_gain(original.shape, torch.tensor([0.4]), torch.Generator().manual_seed(seed))
    gain = with_spread(field, torch.from_numpy(truth["brain"])[None], torch.tensor([SPREAD]))[0].exp().numpy()
    noise = 1000 * NOISE * np.random.default_rng(seed).normal(size=(2, *original.shape))
    shaded = np.hypot(original * gain + noise[0], noise[1]).astype(np.float32)
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = -90, -126, -72
    return nib.Nifti1Image(shaded, affine), truth


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Compute the overlap of two masks: 1 if they are the same."""
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def measure(path: Path, folder: Path) -> dict[str, float]:
    """Segment a head; return Dice by region."""
    image, truth = head(path)
    source, bias = folder / "head_T1w.nii.gz", folder / "bias.nii.gz"
    nib.save(image, source)
    nib.save(correct(image).field, bias)
    node = TissueSegmentation(input_image=str(source), bias_images=[str(bias)], method="atropos", num_threads=-1)
    outputs = node.run(cwd=str(folder)).outputs
    labels = np.asarray(nib.load(outputs.dseg).dataobj)
    found = {name: labels == label for name, label in {"GM": 1, "WM": 2, "CSF": 3}.items()}
    found["brain"] = np.asarray(nib.load(outputs.brain_mask).dataobj) > 0
    return {name: dice(found[name], truth[name]) for name in COLUMNS[1:]}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="folder of subjectNN_crisp_v.mnc.gz files")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".tsv"))
    args = parser.parse_args()
    paths = sorted(args.models.glob("subject*_crisp_v.mnc.gz"))
    if not paths:
        parser.error(f"{args.models}: no subjectNN_crisp_v.mnc.gz in it")
    with open(args.out, "w", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(COLUMNS)
        for path in tqdm(paths, unit="head"):
            with tempfile.TemporaryDirectory() as folder:
                row = measure(path, Path(folder))
            table.writerow([path.name[7:9], *(f"{row[name]:.3f}" for name in COLUMNS[1:])])
            file.flush()


if __name__ == "__main__":
    main()
