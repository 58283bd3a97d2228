"""A head of ellipsoids with folds, scanned as finely as is asked for, with new noise each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import nibabel as nib
import numpy as np
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray
from scipy import ndimage

import getnet_bids
from getnet_bids.images import magnitudes

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]
EXTENT = np.array([180.0, 216.0, 180.0])
"""Of the synthetic head's grid, between the centres of the outermost voxels, mm."""


def head(shape: tuple[int, ...], shaded: bool = True, seed: int = 2019) -> NDArray[np.int16]:
    """Return a head that fills a grid: scalp, skull, folded gray and white matter; a field, Rician noise of 3 %."""
    rng = np.random.default_rng(seed)
    x, y, z = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    x, y = x[:, None], y[None]
    out = np.empty(shape, np.int16, order="F")
    for k, height in enumerate(z):
        radius = (x / 0.85) ** 2 + (y / 0.92) ** 2 + (height / 0.9) ** 2
        folds = 0.07 * np.sin(19 * x) * np.sin(17 * y) * np.sin(18 * height)
        level = np.select(
            [radius > 1, radius > 0.88, radius > 0.8, radius > 0.6 + folds, radius > 0.06],
            [0.0, 0.8, 0.05, 0.65, 1.0],
            0.25,
        )
        gain = np.exp(0.25 * x - 0.2 * y * height + 0.15 * np.cos(2 * height)) if shaded else 1.0
        noise = rng.normal(0, 0.03, (2, *level.shape))
        out[:, :, k] = 1000 * np.hypot(level * gain + noise[0], noise[1])
    return out


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
