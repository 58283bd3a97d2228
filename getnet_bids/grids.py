"""Fields on an image's grid that are not estimated: resampled, read from a file, or measured with two coils."""

from __future__ import annotations

import os

import nibabel as nib
import numpy as np
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray
from scipy import ndimage
from scipy.ndimage import map_coordinates

from .errors import GetNetError
from .images import like, magnitudes, read, voxel_size
from .masks import foreground_of

AFFINE_TOLERANCE = 1e-3
"""Largest difference between the entries of two affines of the same grid, mm."""
MIN_COVERED = 0.5
"""Smallest fraction of an image's grid that a field must cover; otherwise one of the affines is wrong."""


def on_grid(
    field: SpatialImage,
    image: SpatialImage,
    name: str | os.PathLike[str] | None = None,
    grid: str = "the field's grid",
) -> NDArray[np.float32]:
    """Resample a bias field to the grid of an image.

    The logarithm is interpolated linearly; beyond the field's grid the nearest value is used.

    Parameters
    ----------
    field : SpatialImage
        Positive, 3-D.
    image : SpatialImage
        Its affine and spatial shape are used.
    name : str or path, optional
        Name of the image, for messages.
    grid : str
        What messages call the field's grid.

    Returns
    -------
    ndarray, float32, spatial shape of the image

    Raises
    ------
    GetNetError
        The field covers less than half of the image, or is not above 0 everywhere.
    """
    values, shape = np.asanyarray(field.dataobj, np.float32), image.shape[:3]
    if values.shape == shape and np.allclose(field.affine, image.affine, atol=AFFINE_TOLERANCE):
        return values
    if not (values > 0).all():
        raise GetNetError("the field is not above 0 everywhere; give a bias field", name)
    resampled, within = resample(values, field.affine, image.affine, shape)
    if (share := float(within.mean())) < MIN_COVERED:
        raise GetNetError(f"only {share:.0%} of it lies within {grid}; look at the headers of both", name)
    return np.asfortranarray(resampled)


def resample(
    values: NDArray[np.float32], affine: NDArray[np.floating], target: NDArray[np.floating], shape: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Interpolate a field at the voxels of another grid.

    Parameters
    ----------
    values : ndarray, shape (X, Y) or (X, Y, Z)
        The field, above 0.
    affine, target : ndarray, shape (4, 4)
        Affines of the field and of the other grid.
    shape : tuple of int
        Shape of the other grid.

    Returns
    -------
    resampled : ndarray, float32
    within : ndarray of bool
        Voxels whose centre lies within a voxel of the field.

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
    for k in range(full[2]):  # one slice at a time, since coordinates take six times as much memory as values
        plane[2] = k
        place = transform[:3, :3] @ plane + transform[:3, 3:]
        out[..., k] = np.exp(map_coordinates(log, place, order=1, mode="nearest")).reshape(full[:2])
        inside = [
            (p >= -0.5 - AFFINE_TOLERANCE) & (p <= n - 0.5 + AFFINE_TOLERANCE)
            for p, n in zip(place, log.shape, strict=True)
        ]
        within[..., k] = np.all(inside, 0).reshape(full[:2])
    return out.reshape(shape), within.reshape(shape)


MIN_SHARE, WHOLE_SHARE = 0.5, 0.95
"""Smallest fraction of an image's foreground that a field must cover, and that below which a message is printed."""


def field_for(
    path: str | os.PathLike[str], image: SpatialImage, name: str | os.PathLike[str]
) -> tuple[SpatialImage, float]:
    """Read a field and resample it to an image's grid by means of both affines.

    The logarithm is interpolated linearly, since a field is smooth. Beyond the field's grid the nearest value is used.

    Parameters
    ----------
    path : str or path
        The field: positive everywhere, 2-D or 3-D.
    image : SpatialImage, shape (X, Y), (X, Y, Z) or (X, Y, Z, T)
    name : str or path
        Name of the image, for messages.

    Returns
    -------
    SpatialImage
        Float32, on the image's spatial grid; identical to the field, bit for bit, if the grids are the same.
    float
        Fraction of the image's foreground that lies within the field's grid.

    Raises
    ------
    GetNetError
        The field is not positive and finite everywhere, or does not overlap the image.
    OSError
        The file cannot be read.
    """
    field = read(path)
    values = magnitudes(field, path)
    values = values.reshape(values.shape[:3]) if all(n == 1 for n in values.shape[3:]) else values
    if values.ndim > 3:
        raise GetNetError(f"has {values.shape[3]} volumes; a field has one for all volumes", path)
    if not (np.isfinite(values).all() and values.min() > 0):
        raise GetNetError("is not above 0 everywhere, so no image can be divided by it; give a bias field", path)
    if (rough := roughness(values)) > MAX_ROUGHNESS:
        text = f"neighbouring voxels differ by {rough:.0%}, so it is an image and no bias field; give the field"
        raise GetNetError(text, path)
    shape = image.shape[:3]
    if values.shape == shape and np.allclose(field.affine, image.affine, atol=AFFINE_TOLERANCE):
        return like(image, values), 1.0
    resampled, within = resample(values, field.affine, image.affine, shape)
    where = foreground_of(image, name)
    share = float(within[where].mean())
    if share < MIN_SHARE:
        raise GetNetError(
            f"reaches {share:.0%} of the object in {name} only; give the field of an image of the same place, and look "
            "whether both headers are right",
            path,
        )
    return like(image, resampled), share


MAX_ROUGHNESS = 0.1
"""Largest 90th percentile of the differences between neighbouring voxels of a log field. A surface coil's field falls
by half in 30 mm; details and noise of images differ by more."""


def roughness(field: NDArray[np.float32]) -> float:
    """Compute the 90th percentile of the absolute second differences of a log field, which is 0 for a constant slope.

    Examples
    --------
    >>> roughness(np.exp(np.linspace(0, 1, 60, dtype=np.float32)).reshape(3, 20)) < 0.01
    True
    >>> roughness(np.random.default_rng(0).uniform(0.5, 1, (20, 20, 20)).astype(np.float32)) > 0.1
    True
    """
    log = np.log(field)
    second = [np.abs(np.diff(log, 2, axis)).ravel() for axis in range(log.ndim) if log.shape[axis] > 2]
    return float(np.percentile(np.concatenate(second), 90)) if second else 0.0


RECEIVE_FWHM = 12.0
"""Full width at half maximum of the Gaussian that smooths the log ratio, mm; usual for such maps."""


def receive_field(
    head: SpatialImage,
    body: SpatialImage,
    image: SpatialImage,
    names: tuple[str, str] = ("the head coil's image", "the body coil's image"),
    name: str | os.PathLike[str] = "the image",
) -> NDArray[np.float32]:
    """Compute the receive field of the head coil relative to the body coil.

    The logarithm of the ratio is smoothed by normalised Gaussian convolution over the voxels with signal in both.
    Elsewhere the nearest such value is used, so that the field stays within the measured range.

    Parameters
    ----------
    head, body : SpatialImage
        Images from the head coil and from the body coil (``RB1COR``), in memory.
    image : SpatialImage
        The image on whose grid the field is returned.
    names, name : str or path
        Names of the head coil's, the body coil's and the corrected image, for messages.

    Returns
    -------
    ndarray, float32, spatial shape of `image`
        Above 0; its geometric mean over the voxels with signal in both is 1.

    Raises
    ------
    GetNetError
        Nothing has signal, or the grids do not overlap.
    """
    by_head = magnitudes(head).reshape(head.shape[:3])
    shifted = nib.Nifti1Image(np.maximum(magnitudes(body).reshape(body.shape[:3]), np.float32(1e-30)), body.affine)
    by_body = on_grid(shifted, head, names[0], f"the grid of {names[1]}")
    both = like(head, np.minimum(by_head, by_body * (by_head.mean() / max(by_body.mean(), 1e-30))))
    if not (both_signal := (by_head > 0) & (by_body > 1e-20)).any():
        raise GetNetError(f"{names[1]} has no signal where this has; look at both, or leave them out", names[0])
    inside = foreground_of(both, names[0]) & both_signal
    ratio = np.zeros(by_head.shape, np.float32)
    ratio[inside] = np.log(by_head[inside] / by_body[inside])
    ratio[inside] -= ratio[inside].mean()
    sigma = RECEIVE_FWHM / np.sqrt(8 * np.log(2)) / np.array(voxel_size(head))
    weight = ndimage.gaussian_filter(inside.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(ratio, sigma) / np.maximum(weight, 1e-3)
    nearest = ndimage.distance_transform_edt(~inside, voxel_size(head), return_distances=False, return_indices=True)
    filled = ndimage.gaussian_filter(np.where(inside, smooth, smooth[tuple(nearest)]), sigma)
    log = np.where(inside, smooth, filled)
    return on_grid(nib.Nifti1Image(np.exp(log, dtype=np.float32), head.affine), image, name, f"the grid of {names[0]}")
