"""The heads of benchmarks/reliability.py: the same head on grids of any voxel size, with new noise each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import nibabel as nib
import numpy as np
from accuracy import Case, model
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray
from scipy import ndimage
from speed_work import head

import getnet_bids
from getnet_bids.images import magnitudes
from getnet_bids.training.evaluation.brainweb import UNIT, read_labels, signals

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]
EXTENT = np.array([180.0, 216.0, 180.0])
"""Of the synthetic head's grid, between the centres of the outermost voxels, mm."""
NOISE = 0.03


def image_of(volume: NDArray, voxel: NDArray[np.float64], first: NDArray[np.float64]) -> nib.Nifti1Image:
    """Make an image, given its voxels' size and where the first one's centre is, mm."""
    affine = np.diag([*voxel, 1.0])
    affine[:3, 3] = first
    return nib.Nifti1Image(np.asarray(volume, np.float32), affine)


@dataclass(frozen=True)
class Subject:
    """A head to be scanned.

    Parameters
    ----------
    name : str
    scan : callable
        Takes the voxels' size, mm, and a seed of the noise; gives an image.
    voxel : float
        What the size is unless another is asked for, mm.
    brain : ndarray of bool
        Where the brain is, on the grid of `image`.
    """

    name: str
    scan: Callable[[float, int], nib.Nifti1Image]
    voxel: float
    brain: Mask

    @cached_property
    def image(self) -> nib.Nifti1Image:
        """The scan that others are compared with."""
        return self.scan(self.voxel, 0)

    @cached_property
    def reference(self) -> getnet_bids.Correction:
        """Its correction."""
        return correct(self.image)


def correct(image: SpatialImage, mask: Mask | None = None) -> getnet_bids.Correction:
    """Correct an image as anyone would."""
    inside = None if mask is None else nib.Nifti1Image(mask.astype(np.uint8), image.affine)
    return getnet_bids.correct(image, mask=inside, device="cpu")


def onto(image: SpatialImage, grid: SpatialImage) -> Volume:
    """Interpolate an image linearly on the grid of another whose axes are parallel to its own."""
    there = np.linalg.inv(image.affine) @ grid.affine
    return ndimage.affine_transform(magnitudes(image), there[:3, :3], there[:3, 3], grid.shape, order=1, mode="nearest")


def synthetic(voxel: float = 1.0, shaded: bool = True) -> Subject:
    """Make a head of ellipsoids with folds, scanned as finely as is asked for."""

    def scan(size: float, seed: int) -> nib.Nifti1Image:
        shape = np.rint(EXTENT / size).astype(int) + 1
        return image_of(head(tuple(shape.tolist()), shaded, 2019 + seed), EXTENT / (shape - 1), np.zeros(3))

    grid = [np.linspace(-1, 1, n) for n in (np.rint(EXTENT / voxel).astype(int) + 1).tolist()]
    radius = sum((x / r) ** 2 for x, r in zip(np.ix_(*grid), (0.85, 0.92, 0.9), strict=True))
    return Subject("synthetic" if shaded else "synthetic, no field", scan, voxel, np.asarray(radius) < 0.8)


def brainweb(models: Path, number: str, contrast: str, field: str) -> Subject:
    """Make a head from an anatomical model of 0.5 mm, under a known field that does not depend on the voxels."""
    case = Case(number, contrast, field, NOISE, 0)
    about, gain, _ = case.simulate(models)
    of_gain = image_of(gain, np.ones(3), np.full(3, 0.5))

    def scan(size: float, seed: int) -> nib.Nifti1Image:
        fine = fine_signal(models, number, contrast)
        spans = [spans_of(n, 0.5, size) for n in fine.shape]
        for axis, (weights, _) in enumerate(spans):
            fine = np.moveaxis(np.tensordot(weights, fine, (1, axis)), 0, axis)
        grid = image_of(fine, np.full(3, size), np.array([first for _, first in spans]))
        rng = np.random.default_rng([seed, int(number)])
        real, imaginary = NOISE * rng.standard_normal((2, *fine.shape), np.float32)
        noisy = np.rint(UNIT * np.hypot(fine * onto(of_gain, grid) + real, imaginary))
        return image_of(noisy, np.full(3, size), grid.affine[:3, 3])

    return Subject(f"{number} {contrast} {field}", scan, 1.0, about.brain)


@lru_cache(maxsize=1)
def fine_signal(models: Path, number: str, contrast: str) -> Volume:
    """Read a model as an image of 0.5 mm without field and noise; the last one is kept."""
    return signals(contrast)[read_labels(model(models, number))].T


def spans_of(count: int, fine: float, coarse: float) -> tuple[Volume, float]:
    """Give the matrix that averages samples over longer spans in their middle, and where the first span's centre is."""
    spans = round(count * fine / coarse)
    low = (count * fine - spans * coarse) / 2 + np.arange(spans)[:, None] * coarse
    begin = np.arange(count) * fine
    weights = np.clip(np.minimum(low + coarse, begin + fine) - np.maximum(low, begin), 0, None)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32), float(low[0, 0] + coarse / 2)
