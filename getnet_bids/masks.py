"""Read a mask and fit it to an image, find the foreground, and determine whether an image is skull-stripped."""

from __future__ import annotations

import itertools
import math
import os
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError, SpatialImage
from numpy.typing import NDArray

from .errors import GetNetError
from .images import magnitudes, read, voxel_size

MAX_CORNER_DISTANCE = 0.5
"""Largest distance of a mask's corners from the image's, in voxels; beyond it the mask would select other voxels."""


HEADER_LOST = (
    "if it was made from this image and lost its header, copy the image's, as with `fslcpgeom IMAGE FILE` or nibabel's "
    "Nifti1Image(file.dataobj, image.affine); else resample it to the image"
)
"""What to do about a mask with the image's shape at another position; resampling a mask without its header is wrong."""


def read_mask(path: str | os.PathLike[str], image: SpatialImage) -> NDArray[np.bool_]:
    """Read a mask for an image.

    Headers of the same space often differ by rounding, so the mask's corners may be up to `MAX_CORNER_DISTANCE` voxels
    away from the image's. If qform and sform disagree, the mask may use either, since programs differ in which they
    write.

    Parameters
    ----------
    path : str or path
        The mask; voxels above 0 are inside.
    image : SpatialImage
        The image that the mask belongs to.

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
    """Fit a mask in memory to an image, as `read_mask` does.

    Parameters
    ----------
    image : SpatialImage
        The image that the mask belongs to.
    mask : SpatialImage
        Voxels above 0 are inside.
    name : str or path, optional
        Name for messages; default: that of the mask.

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
    if (volumes := math.prod(mask.shape[3:])) != 1:
        raise GetNetError(f"has {volumes} volumes; give a mask of one, for all volumes of the image", name)
    if (*mask.shape, 1)[:3] != shape:
        raise GetNetError(f"has shape {mask.shape}, the image {image.shape}; resample it to the image", name)
    check_position(mask, image, name)
    inside = magnitudes(mask, name).reshape(image.shape[:3]) > 0
    if not inside.any():
        raise GetNetError("is 0 everywhere; leave it out, or give the right one", name)
    return inside


def check_position(given: SpatialImage, image: SpatialImage, name: str | os.PathLike[str]) -> None:
    """Raise an error if an image of the same shape as another lies more than `MAX_CORNER_DISTANCE` off it."""
    shape = (*image.shape[:3], 1)[:3]
    off = min(corner_distance(one, other, shape) for one in spaces(image) for other in spaces(given))
    if not off <= MAX_CORNER_DISTANCE:
        raise GetNetError(f"lies up to {off:.1f} voxels off the image; {HEADER_LOST}", name)


def spaces(image: SpatialImage) -> list[NDArray[np.floating]]:
    """Return an image's affines: the one in use, and those of sform and qform if they are set."""
    affines = [np.asarray(image.affine, dtype=float)]
    if isinstance(image.header, nib.Nifti1Header):
        for get in (image.header.get_sform, image.header.get_qform):
            try:
                affine, code = get(coded=True)
            except (HeaderDataError, ValueError):
                continue  # an invalid quaternion
            if code and affine is not None and np.isfinite(affine).all():
                affines.append(affine)
    return affines


def corner_distance(affine: NDArray[np.floating], other: NDArray[np.floating], shape: tuple[int, ...]) -> float:
    """Return the largest distance between the corners of two grids, in voxels of the first.

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


def bounding_box(inside: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Return the smallest box that contains a mask; `scipy.ndimage.find_objects` takes thirty times as long.

    Examples
    --------
    >>> bounding_box(np.array([[False, True, True, False], [False] * 4]))
    (slice(0, 1, None), slice(1, 3, None))
    """
    axes = range(inside.ndim)
    used = (np.flatnonzero(inside.any(tuple(other for other in axes if other != axis))) for axis in axes)
    return tuple(slice(int(indices[0]), int(indices[-1]) + 1) for indices in used)


def is_background(volume: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Find the voxels that have the background value around an extracted object.

    This value is 0 or NaN, or any value that nearly all of the outermost voxels have, since images may be rescaled or
    shifted after the extraction.

    Parameters
    ----------
    volume : ndarray

    Returns
    -------
    ndarray of bool, same shape

    Examples
    --------
    >>> int(is_background(np.array([[0.0, 0, 0], [0, 5, np.nan], [0, 0, 0]])).sum())
    8
    >>> int(is_background(np.array([[7.0, 7, 7], [7, 5, 7], [7, 7, 7]])).sum())
    8
    """
    empty = np.isnan(volume)
    empty |= volume == 0
    border = outermost(volume)
    values, counts = np.unique(border[~np.isnan(border) & (border != 0)], return_counts=True)
    if len(values) and counts.max() >= (1 - MAX_BORDER_SHARE) * len(border):
        background = volume == values[counts.argmax()]
        if not (empty | background).all():
            empty |= background
    return empty


def outermost(volume: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the outermost voxels of a volume in one row, without those of axes of one or two slices.

    Examples
    --------
    >>> outermost(np.arange(9).reshape(3, 3)).tolist()
    [0, 1, 2, 6, 7, 8, 3, 5]
    """
    faces, rest = [volume[:0].ravel()], volume
    for axis, n in enumerate(volume.shape[:3]):
        if n > 2:
            along = np.moveaxis(rest, axis, 0)
            faces += [along[0].ravel(), along[-1].ravel()]
            rest = np.moveaxis(along[1:-1], 0, axis)
    return np.concatenate(faces)


def inside_of(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the part without the outermost voxels; axes of one or two slices are kept whole."""
    return tuple(slice(1, -1) if n > 2 and axis < 3 else slice(None) for axis, n in enumerate(shape))


MAX_BORDER_SHARE = 0.02
"""Largest fraction of a stripped volume's outermost voxels that are not background."""
MAX_SIGNAL_SHARE = 2 / 3
"""Largest fraction of all voxels of a stripped volume that are not background."""


def skull_stripped(volume: NDArray[np.floating], metadata: dict[str, Any]) -> tuple[bool, str]:
    """Return whether an image is skull-stripped, and how that was determined.

    The raw image's metadata decide, if they say so. Otherwise it is measured: a head is cut by the field of view, at
    least at the neck, and most scanners leave noise around it, so that many of the outermost voxels are not 0. An
    extracted brain is surrounded by exact zeros.

    Parameters
    ----------
    volume : ndarray, shape (X, Y), (X, Y, Z) or (X, Y, Z, T)
        The raw image.
    metadata : dict
        Metadata of the raw image.

    Returns
    -------
    stripped : bool
    how : str
        A sentence for the sidecar.

    Examples
    --------
    >>> brain = np.zeros((10, 10, 10))
    >>> brain[3:7, 3:7, 3:7] = 1
    >>> skull_stripped(brain, {})
    (True, 'Measured: 0.0% of the outermost voxels and 6.4% of all are not background (stripped: at most 2% and 67%).')
    >>> skull_stripped(brain, {"SkullStripped": False})
    (False, 'From the metadata of the source image.')
    """
    if isinstance(metadata.get("SkullStripped"), bool):
        return metadata["SkullStripped"], "From the metadata of the source image."
    signal = np.logical_not(is_background(volume))
    if signal.ndim == 4:
        signal = np.asarray(signal.any(3))
    inner = signal[inside_of(signal.shape)]
    outermost = signal.size - inner.size
    count = np.count_nonzero(signal)
    border = (count - np.count_nonzero(inner)) / max(outermost, 1)
    inside = count / signal.size
    how = (
        f"Measured: {border:.1%} of the outermost voxels and {inside:.1%} of all are not background "
        f"(stripped: at most {MAX_BORDER_SHARE:.0%} and {MAX_SIGNAL_SHARE:.0%})."
    )
    return bool(border <= MAX_BORDER_SHARE and inside <= MAX_SIGNAL_SHARE), how


def foreground_of(image: SpatialImage, name: str | os.PathLike[str]) -> NDArray[np.bool_]:
    """Find the voxels of an image with signal, in the same way as the correction.

    Parameters
    ----------
    image : SpatialImage, shape (X, Y), (X, Y, Z) or (X, Y, Z, T)
    name : str or path
        For the message.

    Returns
    -------
    ndarray of bool, spatial shape of the image

    Raises
    ------
    GetNetError
        No voxel has signal.
    """
    import torch

    from .core.averages import mean_volume
    from .core.geometry import support
    from .core.preparation import usable_foreground
    from .core.voxels import Background, scaled

    mean = mean_volume(magnitudes(image).reshape(image.shape[:4]))
    volume = scaled(Background.of(mean).removed_from(mean))
    sizes = voxel_size(image)
    voxel = (sizes[0], sizes[1], sizes[2] if len(sizes) > 2 else max(sizes))
    solid = torch.from_numpy(volume if volume.ndim == 3 else volume[:, :, None])
    found = usable_foreground(solid, support(solid), voxel)
    if not found.any():
        raise GetNetError("has no signal above the noise; look at the image", name)
    return found.numpy().reshape(volume.shape)
