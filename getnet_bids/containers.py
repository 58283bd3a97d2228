"""Convert arrays and images of other packages to nibabel images, and results back to the same kind."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import SpatialImage
from numpy.typing import ArrayLike, NDArray

from .errors import GetNetError
from .images import like

KINDS = "a path, a nibabel, SimpleITK or ANTs image, or an array with its voxel_size"
CHANNELS_FIRST = ("monai", "torchio")
"""Packages whose images have channels on their first axis, and their own transforms in this package."""
LPS_TO_RAS = np.diag([-1.0, -1, 1, 1])
"""ITK's axes point to the left and back, nibabel's to the right and front."""

InKind = Callable[[NDArray[np.floating]], Any]
"""Turns data on an image's grid, or on its spatial axes, into an image of the same kind."""


def as_nibabel(image: Any, voxel_size: float | Sequence[float] | None = None) -> tuple[SpatialImage, InKind]:
    """Convert an image of any supported kind to a nibabel image.

    Parameters
    ----------
    image : nibabel, SimpleITK or ANTs image, or array_like, two to four dimensions
        The axes of a SimpleITK image are those of its ``GetSize()``, not those of its array.
    voxel_size : float or sequence of float, optional
        Voxel size of an array along its two or three spatial axes, mm. Images have their own.

    Returns
    -------
    image : SpatialImage
    in_kind : callable
        Converts results to the kind of the input.

    Raises
    ------
    GetNetError
        The image is of an unknown kind, or is an array without a voxel size.

    Examples
    --------
    >>> image, in_kind = as_nibabel(np.ones((4, 5, 6)), voxel_size=(1, 1, 2.5))
    >>> [float(size) for size in image.header.get_zooms()], in_kind(np.ones((4, 5, 6))).dtype.name
    ([1.0, 1.0, 2.5], 'float32')
    """
    is_nibabel = hasattr(image, "dataobj") and hasattr(image, "affine")  # not CIFTI, which has no place in space
    if voxel_size is not None and (is_nibabel or is_itk(image) or is_ants(image)):
        raise GetNetError("voxel_size is for arrays; an image has its own, so leave it out or correct its header")
    if is_nibabel:
        return image, lambda data: like(image, data)
    if is_itk(image):
        return from_itk(image)
    if is_ants(image):
        return from_ants(image)
    array = as_array(image)
    sizes = checked_sizes(array, voxel_size)
    affine = np.diag([*sizes, *[max(sizes)] * (3 - len(sizes)), 1.0])
    return nib.Nifti1Image(array, affine), lambda data: np.asarray(data, np.float32)


def as_mask(mask: Any, image: SpatialImage, in_space: bool) -> SpatialImage:
    """Convert a mask of any supported kind to a nibabel image.

    Parameters
    ----------
    mask : nibabel, SimpleITK or ANTs image, or array_like
    image : SpatialImage
        The image that the mask belongs to.
    in_space : bool
        Whether that image has a position in space. If the image or the mask is an array, it has none, and only the
        shapes have to agree.

    Returns
    -------
    SpatialImage
    """
    if hasattr(mask, "dataobj") or is_itk(mask) or is_ants(mask):
        taken, _ = as_nibabel(mask)
        return taken if in_space else nib.Nifti1Image(as_array(np.asanyarray(taken.dataobj)), image.affine)
    return nib.Nifti1Image(as_array(mask), image.affine)


def is_itk(image: Any) -> bool:
    """Return whether an object is a SimpleITK image."""
    return all(hasattr(image, name) for name in ("GetSpacing", "GetNumberOfComponentsPerPixel", "CopyInformation"))


def is_ants(image: Any) -> bool:
    """Return whether an object is an ANTs image."""
    return all(hasattr(image, name) for name in ("new_image_like", "spacing", "components"))


def as_array(image: Any) -> NDArray[Any]:
    """Convert an array, tensor or nested list to an array that nibabel accepts."""
    for package in (kind.__module__.partition(".")[0] for kind in type(image).__mro__):
        if package in CHANNELS_FIRST:  # otherwise the axis of channels would be taken for one of space
            raise GetNetError(f"an image of {package} has channels; give it to getnet_bids.{package}.GetNetCorrection")
    if hasattr(image, "detach"):  # a tensor, perhaps on a GPU
        image = image.detach().cpu()
        image = image.float() if str(image.dtype) == "torch.bfloat16" else image  # numpy has no bfloat16
    if not hasattr(image, "__array__") and not isinstance(image, list | tuple):
        kind = type(image)
        raise GetNetError(f"a {kind.__module__}.{kind.__qualname__} is not a supported image; give {KINDS}")
    array = np.ma.filled(image, 0) if isinstance(image, np.ma.MaskedArray) else np.asarray(image)
    if array.dtype.kind not in "biufc":
        raise GetNetError(f"an array of {array.dtype} is not an image; give magnitudes")
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    # nibabel does not make NIfTI images of some of these types, or not by default.
    if array.dtype == np.float16:
        return array.astype(np.float32)
    is_long = array.dtype.itemsize == 8 if array.dtype.kind in "iu" else array.dtype == np.longdouble
    return array.astype(np.float64) if is_long else array


def checked_sizes(array: NDArray[Any], voxel_size: float | Sequence[float] | None) -> list[float]:
    """Return the voxel sizes of an array's spatial axes; raise an error if they are missing or do not fit."""
    axes = min(array.ndim, 3)
    if axes < 2 or array.size == 0:
        raise GetNetError(
            f"an array of shape {array.shape} is no image; give two, three or four dimensions with voxels"
        )
    if voxel_size is None:
        raise GetNetError(f"an array has no voxel size; give voxel_size, {axes} numbers in mm")
    sizes = as_sizes(voxel_size, axes)
    if len(sizes) != axes or not all(math.isfinite(v) and v > 0 for v in sizes):
        raise GetNetError(f"voxel_size must be {axes} numbers above 0 in mm, for the axes of space, not {voxel_size}")
    return sizes


def as_sizes(voxel_size: float | Sequence[float], axes: int) -> list[float]:
    """Return voxel sizes as a list; a single size applies to all axes.

    Examples
    --------
    >>> as_sizes(2, 3), as_sizes((1, 2.5), 2)
    ([2.0, 2.0, 2.0], [1.0, 2.5])
    """
    try:
        sizes = [float(v) for v in np.atleast_1d(np.asarray(voxel_size, dtype=float))]
    except (TypeError, ValueError):
        raise GetNetError(f"voxel_size must be {axes} numbers above 0 in mm, not {voxel_size!r}") from None
    return sizes * axes if len(sizes) == 1 else sizes


def spatial_affine(direction: ArrayLike, spacing: Sequence[float], origin: Sequence[float]) -> NDArray[np.float64]:
    """Compute nibabel's affine from ITK's direction, spacing and origin.

    Examples
    --------
    >>> spatial_affine(np.eye(2), (2, 3), (10, 20)).tolist()
    [[-2.0, 0.0, 0.0, -10.0], [0.0, -3.0, 0.0, -20.0], [0.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    """
    count = min(len(spacing), 3)
    matrix = np.asarray(direction, dtype=float).reshape(len(spacing), len(spacing))[:count, :count]
    affine = np.diag([1.0, 1, max(spacing[:count]), 1])
    affine[:count, :count] = matrix * np.asarray(spacing[:count], dtype=float)
    affine[:count, 3] = origin[:count]
    return LPS_TO_RAS @ affine


def from_itk(image: Any) -> tuple[SpatialImage, InKind]:
    """Convert a SimpleITK image."""
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise GetNetError("holds vectors or colours; give the magnitude image")
    sitk = import_module("SimpleITK")
    array = as_array(sitk.GetArrayFromImage(image).T)
    spacing = image.GetSpacing()
    affine = spatial_affine(image.GetDirection(), spacing, image.GetOrigin())

    def in_kind(data: NDArray[np.floating]) -> Any:
        made = sitk.GetImageFromArray(np.ascontiguousarray(np.asarray(data, np.float32).T), isVector=False)
        made.CopyInformation(image if data.ndim == len(spacing) else image[..., 0])
        for key in image.GetMetaDataKeys():  # the codes of a NIfTI header, a description
            made.SetMetaData(key, image.GetMetaData(key))
        return made

    return nib.Nifti1Image(array, affine), in_kind


def from_ants(image: Any) -> tuple[SpatialImage, InKind]:
    """Convert an ANTs image."""
    if image.components != 1:
        raise GetNetError("holds vectors or colours; give the magnitude image")
    ants = import_module("ants")
    affine = spatial_affine(image.direction, image.spacing, image.origin)

    def in_kind(data: NDArray[np.floating]) -> Any:
        count = data.ndim
        return ants.from_numpy(
            np.asarray(data, np.float32),
            origin=tuple(image.origin[:count]),
            spacing=tuple(image.spacing[:count]),
            direction=np.asarray(image.direction)[:count, :count],
        )

    return nib.Nifti1Image(as_array(image.numpy()), affine), in_kind
