"""Masks that belong to an image, and whether they lie on it."""

from __future__ import annotations

import itertools
import os

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError, SpatialImage
from numpy.typing import NDArray

from .errors import GetNetError
from .images import magnitudes, read

MISMATCH = 0.5
"""A mask's corners may lie this far from the image's, voxels: further off, another voxel would be meant."""


HEADER_LOST = (
    "if it was made from this image and lost its header, copy the image's, as with `fslcpgeom IMAGE MASK` or nibabel's "
    "Nifti1Image(mask.dataobj, image.affine); else resample it to the image"
)
"""What to do about a mask of the image's shape in another place: resampling one without its header would ruin it."""


def read_mask(path: str | os.PathLike[str], image: SpatialImage) -> NDArray[np.bool_]:
    """Read a mask for an image.

    Headers of one space often differ by rounding; so the mask's corners may lie up to `MISMATCH` voxels from the
    image's. Where qform and sform disagree, it may lie on either: some programs write the one, some the other.

    Parameters
    ----------
    path : str or path
        The mask; above 0 is inside.
    image : SpatialImage
        What it is for.

    Returns
    -------
    ndarray of bool, spatial shape of the image

    Raises
    ------
    GetNetError
        Another grid, or nothing inside.
    """
    return mask_for(image, read(path), path)


def mask_for(image: SpatialImage, mask: SpatialImage, name: str | os.PathLike[str] | None = None) -> NDArray[np.bool_]:
    """Fit a mask that is in memory to an image, as `read_mask` does.

    Parameters
    ----------
    image : SpatialImage
        What it is for.
    mask : SpatialImage
        Above 0 is inside.
    name : str or path, optional
        For messages; default the mask's own.

    Returns
    -------
    ndarray of bool, spatial shape of the image

    Raises
    ------
    GetNetError
        Another grid, or nothing inside.
    """
    name = name or mask.get_filename() or "mask"
    shape = (*image.shape[:3], 1)[:3]
    if (*mask.shape, 1)[:3] != shape or any(n != 1 for n in mask.shape[3:]):
        raise GetNetError(f"has shape {mask.shape}, the image {image.shape}; resample it to the image", name)
    off = min(corner_distance(one, other, shape) for one in spaces(image) for other in spaces(mask))
    if not off <= MISMATCH:
        raise GetNetError(f"lies up to {off:.1f} voxels off the image; {HEADER_LOST}", name)
    inside = magnitudes(mask, name).reshape(image.shape[:3]) > 0
    if not inside.any():
        raise GetNetError("is 0 everywhere; leave it out, or give the right one", name)
    return inside


def spaces(image: SpatialImage) -> list[NDArray[np.floating]]:
    """Return an image's affines: that in use, and those of sform and qform as far as they are set."""
    affines = [np.asarray(image.affine, dtype=float)]
    if isinstance(image.header, nib.Nifti1Header):
        for get in (image.header.get_sform, image.header.get_qform):
            try:
                affine, code = get(coded=True)
            except (HeaderDataError, ValueError):
                continue  # a quaternion that is none
            if code and affine is not None and np.isfinite(affine).all():
                affines.append(affine)
    return affines


def corner_distance(affine: NDArray[np.floating], other: NDArray[np.floating], shape: tuple[int, ...]) -> float:
    """Return how far a grid's corners lie from another's, at most, in voxels of the first.

    Examples
    --------
    >>> moved = np.diag([2.0, 2.0, 2.0, 1.0])
    >>> moved[0, 3] = 1.0
    >>> corner_distance(np.diag([2.0, 2.0, 2.0, 1.0]), moved, (10, 10, 10))
    0.5
    """
    corners = np.array([(*c, 1) for c in itertools.product(*[(0, n - 1) for n in shape])], dtype=float).T
    if not np.linalg.det(affine):
        return 0.0 if np.allclose(affine, other) else float("inf")
    moved = np.linalg.solve(affine, other @ corners) - corners
    return float(np.linalg.norm(moved[:3], axis=0).max())
