"""An image of one format as one of another."""

from __future__ import annotations

import math
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import SpatialImage


def as_format(image: SpatialImage, kind: Any) -> Any:
    """Turn an image into MGH or NIfTI, unless it is that already."""
    if isinstance(image, kind):
        return image
    if kind is nib.MGHImage:
        return mgh_image(image)
    if not isinstance(image, nib.Nifti1Pair):
        return kind(np.asanyarray(image.dataobj), None, nifti_header(image))
    return kind.from_image(image)


def mgh_image(image: SpatialImage) -> nib.MGHImage:
    """Turn an image into MGH, which knows three dimensions, or four if there is more than one volume."""
    data = np.asanyarray(image.dataobj)
    space, volumes = (*data.shape, 1)[:3], math.prod(data.shape[3:])
    with np.errstate(divide="ignore", invalid="ignore"):
        turned = nib.MGHImage(data.reshape(space if volumes == 1 else (*space, volumes)), image.affine)
    turned.header["Mdc"] = np.nan_to_num(turned.header["Mdc"])  # an axis of no length has no direction
    return turned


def nifti_header(image: SpatialImage) -> nib.Nifti1Header:
    """Make a NIfTI header for an image of another format."""
    header = nib.Nifti1Header()
    header.set_data_dtype(image.get_data_dtype())
    header.set_data_shape(image.shape)
    header.set_xyzt_units("mm")
    header.set_sform(image.affine, code="scanner")
    if np.linalg.matrix_rank(image.affine[:3, :3]) == 3:
        header.set_qform(image.affine, code="scanner")
    return header
