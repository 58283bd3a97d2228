"""Smooth fields on other grids than their own, through the affines."""

from __future__ import annotations

import os

import numpy as np
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from .errors import GetNetError

SAME = 1e-3
"""Affines that differ by no more, mm, are of one grid."""
COVERED = 0.5
"""Least share of an image's grid on which a field must be known: else one of the affines is wrong."""


def on_grid(
    field: SpatialImage, image: SpatialImage, name: str | os.PathLike[str] | None = None
) -> NDArray[np.float32]:
    """Return a gain field on the grid of an image.

    Its logarithm is interpolated linearly; beyond the field's grid its outermost values are taken.

    Parameters
    ----------
    field : SpatialImage
        Positive, 3-D.
    image : SpatialImage
        For its affine and spatial shape.
    name : str or path, optional
        Of the image, for messages.

    Returns
    -------
    ndarray, float32, spatial shape of the image

    Raises
    ------
    GetNetError
        The field covers less than half of the image, or is not above 0 everywhere.
    """
    values, shape = np.asanyarray(field.dataobj, np.float32), image.shape[:3]
    if values.shape == shape and np.allclose(field.affine, image.affine, atol=SAME):
        return values
    if not (values > 0).all():
        raise GetNetError("the field is not above 0 everywhere; give a gain field", name)
    resampled, within = resample(values, field.affine, image.affine, shape)
    if (share := float(within.mean())) < COVERED:
        raise GetNetError(f"only {share:.0%} of it lies within the field's grid; look at the headers of both", name)
    return np.asfortranarray(resampled)


def resample(
    values: NDArray[np.float32], affine: NDArray[np.floating], target: NDArray[np.floating], shape: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Interpolate a field at the voxels of another grid.

    Parameters
    ----------
    values : ndarray, shape (X, Y) or (X, Y, Z)
        Above 0.
    affine, target : ndarray, shape (4, 4)
        Of the field and of the other grid.
    shape : tuple of int
        Of the other grid.

    Returns
    -------
    resampled : ndarray, float32
    within : ndarray of bool
        Voxels whose centre lies in a voxel of the field.

    Examples
    --------
    >>> fine, within = resample(np.full((2, 2, 2), 3.0), np.diag([4.0, 4, 4, 1]), np.eye(4), (4, 4, 4))
    >>> float(fine.max().round(3)), fine.shape, bool(within[:2].all())
    (3.0, (4, 4, 4), True)
    """
    log = np.log(np.asarray(values, np.float64)).reshape((*values.shape, 1)[:3])
    try:
        transform = np.linalg.solve(np.asarray(affine, float), np.asarray(target, float))
    except np.linalg.LinAlgError:
        raise GetNetError("the field's affine is singular; repair its header") from None
    full = (*shape, 1)[:3]
    out, within = np.empty(full, np.float32), np.empty(full, bool)
    plane = np.indices((*full[:2], 1), dtype=float).reshape(3, -1)
    for k in range(full[2]):  # one slice at a time: coordinates take six times the memory of values
        plane[2] = k
        place = transform[:3, :3] @ plane + transform[:3, 3:]
        out[..., k] = np.exp(map_coordinates(log, place, order=1, mode="nearest")).reshape(full[:2])
        inside = [(p >= -0.5 - SAME) & (p <= n - 0.5 + SAME) for p, n in zip(place, log.shape, strict=True)]
        within[..., k] = np.all(inside, 0).reshape(full[:2])
    return out.reshape(shape), within.reshape(shape)
