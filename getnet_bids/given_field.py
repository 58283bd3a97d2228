"""A bias field that is given, on an image's grid."""

from __future__ import annotations

import os

import numpy as np
from nibabel.spatialimages import SpatialImage

from .errors import GetNetError
from .grids import SAME, resample
from .images import foreground_of, like, magnitudes, read

LEAST, WHOLE = 0.5, 0.95
"""Share of an image's foreground that a field must reach; and from which on it is said to reach all of it."""


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
