"""A bias field that is given, on an image's grid."""

from __future__ import annotations

import os

import numpy as np
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from .errors import GetNetError
from .images import foreground_of, like, magnitudes, read

LEAST, WHOLE = 0.5, 0.95
"""Share of an image's foreground that a field must reach; and from which on it is said to reach all of it."""
SAME = 1e-3
"""Affines that differ by no more (mm) are the same."""


def field_for(
    path: str | os.PathLike[str], image: SpatialImage, name: str | os.PathLike[str]
) -> tuple[SpatialImage, float]:
    """Read a field and resample it to an image's grid, through both affines.

    The logarithm is interpolated linearly, as a field is smooth. Beyond the field's grid its nearest value counts.

    Parameters
    ----------
    path : str or path
        The field: positive everywhere, 2-D or 3-D.
    image : SpatialImage, shape (X, Y), (X, Y, Z) or (X, Y, Z, T)
    name : str or path
        Of the image, for messages.

    Returns
    -------
    SpatialImage
        Float32, on the image's spatial grid; the same bits if that is the field's own.
    float
        Share of the image's foreground that lies within the field's grid.

    Raises
    ------
    GetNetError
        It is not positive and finite everywhere, or lies beside the image.
    OSError
        It cannot be read.
    """
    field = read(path)
    values = magnitudes(field, path)
    values = values.reshape(values.shape[:3]) if all(n == 1 for n in values.shape[3:]) else values
    if values.ndim > 3:
        raise GetNetError(f"has {values.shape[3]} volumes; a field has one for all volumes", path)
    if not (np.isfinite(values).all() and values.min() > 0):
        raise GetNetError("is not above 0 everywhere, so no image can be divided by it; give a bias field", path)
    shape = image.shape[:3]
    if values.shape == shape and np.allclose(field.affine, image.affine, atol=SAME):
        return like(image, values), 1.0
    resampled, within = resample(values, field.affine, image.affine, shape)
    where = foreground_of(image, name)
    share = float(within[where].mean()) if where.any() else float(within.mean())
    if share < LEAST:
        raise GetNetError(
            f"reaches {share:.0%} of the object in {name} only; give the field of an image of the same place, and look "
            "whether both headers are right",
            path,
        )
    return like(image, resampled), share


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
