"""Check the header, and whether its lengths are plausible for the object: reasons to doubt a result."""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
from nibabel.spatialimages import SpatialImage

from .core import DOUBTFUL
from .core.correction import CorrectedVolume
from .core.signs import sides
from .formats import UNSCALED
from .images import MAX_SIZE_IN_METRES

EXTENT_RANGE = 2.0, 3000.0
"""Smallest and largest plausible extent of an object, mm: a fly, and more than a person."""
SMOOTHNESS_RANGE = 1 / 12, 1.5
"""Smallest and largest useful smoothness, as a fraction of the object's extent."""
METRE = 1
"""Code of the unit metre in a NIfTI header."""


def length_reasons(extent: float, smoothness: float | None) -> list[str]:
    """Return the reasons to doubt the lengths of an image.

    Parameters
    ----------
    extent : float
        Extent of the foreground, mm.
    smoothness : float, optional
        The smoothness that was asked for, mm.

    Returns
    -------
    list of str
        Sentences, each with what to do.

    Examples
    --------
    >>> length_reasons(200.0, 100.0), length_reasons(200.0, None)
    ([], [])
    >>> length_reasons(9.0, 70.0)[0][:69]
    'a smoothness of 70 mm is 7.8 times the extent of the object, 9 mm, so'
    """
    reasons = []
    if not EXTENT_RANGE[0] <= extent <= EXTENT_RANGE[1]:
        reasons.append(
            f"by its header the object is {extent:.3g} mm long: taken so; repair the voxel size if that is wrong, "
            "though the field does not change with it unless a smoothness is given"
        )
    if smoothness is not None and smoothness > SMOOTHNESS_RANGE[1] * extent:
        reasons.append(
            f"a smoothness of {smoothness:g} mm is {smoothness / extent:.1f} times the extent of the object, "
            f"{extent:.3g} mm, so that next to no field is left: leave the smoothness out, or repair the voxel size"
        )
    if smoothness is not None and smoothness < SMOOTHNESS_RANGE[0] * extent:
        reasons.append(
            f"a smoothness of {smoothness:g} mm is 1/{extent / smoothness:.0f} of the extent of the object, "
            f"{extent:.3g} mm, so that the field may follow anatomy: leave the smoothness out, or repair the voxel size"
        )
    return reasons


def header_reasons(image: SpatialImage) -> list[str]:
    """Return the reasons to doubt the header of an image.

    Parameters
    ----------
    image : SpatialImage
        As `images.read` returns it.

    Returns
    -------
    list of str
        Sentences, each with what to do.

    Examples
    --------
    >>> image = nib.Nifti1Image(np.zeros((4, 4, 4), np.float32), np.eye(4))
    >>> image.header["pixdim"][1] = np.nan
    >>> header_reasons(image)[0][:31]
    'its pixdim holds nan, 1, 1: the'
    """
    reasons = []
    axes = [axis for axis, n in enumerate(image.shape[:3]) if n > 1]  # a single slice often has no thickness
    if image.affine is not None and np.linalg.matrix_rank(image.affine[:3, axes]) < len(axes):
        reasons.append(
            "its affine puts different voxels into one place, as a row of zeros does: the result has this affine, and "
            "other programs cannot use it; repair the sform and the qform"
        )
    if isinstance(image.header, nib.Nifti1Header):
        pixdim = [float(image.header["pixdim"][1 + axis]) for axis in axes]
        if not np.isfinite(pixdim).all():
            text = ", ".join(f"{size:g}" for size in pixdim)
            reasons.append(f"its pixdim holds {text}: the voxel sizes of the affine were used; repair the header")
    if UNSCALED in image.extra:
        reasons.append(
            f"its scl_slope is {image.extra[UNSCALED]}: taken as no scaling, though only 0 means that; set it to 1, or "
            "to the right factor"
        )
    return reasons


def add_header_reasons(
    volume: CorrectedVolume, image: SpatialImage, sizes: tuple[float, ...], smoothness: float | None
) -> CorrectedVolume:
    """Add the reasons about the image's header and lengths to the verdict of a result.

    Parameters
    ----------
    volume : CorrectedVolume
    image : SpatialImage
        The image that was corrected, for the unit in its header.
    sizes : tuple of float
        Its voxel size, mm.
    smoothness : float, optional
        The smoothness that was asked for, mm.

    Returns
    -------
    CorrectedVolume
    """
    found = [*header_reasons(image), *length_reasons(max(sides(volume.foreground, sizes)), smoothness)]
    if is_mislabelled(image):
        found.insert(0, "its header gives voxel sizes in metres, which are mm: taken so; repair its xyzt_units")
    if not found:
        return volume
    return replace(volume, verdict=DOUBTFUL, reasons=(*volume.reasons, *found))


def is_mislabelled(image: SpatialImage) -> bool:
    """Return whether a header says metres although its voxel sizes can only be in mm."""
    header = image.header
    if not isinstance(header, nib.Nifti1Header) or int(header["xyzt_units"]) & 7 != METRE:
        return False
    return any(float(size) >= MAX_SIZE_IN_METRES for size in header.get_zooms()[:3])
