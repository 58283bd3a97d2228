"""The receive field as it is measured: one object by the head coil over the same by the body coil."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray
from scipy import ndimage

from .grids import on_grid
from .images import foreground_of, like, magnitudes, voxel_size

FWHM = 12.0
"""Of the Gaussian that smooths the logarithm of the ratio, mm, as usual for such maps."""


def receive_field(head: SpatialImage, body: SpatialImage, image: SpatialImage) -> NDArray[np.float32]:
    """Compute the receive field of the head coil relative to the body coil.

    Where both images have signal the logarithm of their ratio is smoothed by a normalised Gaussian convolution;
    elsewhere the nearest such value is continued, so that the field stays within the range that was measured.

    Parameters
    ----------
    head, body : SpatialImage
        By the head coil and by the body coil (``RB1COR``), in memory.
    image : SpatialImage
        On whose grid the field is wanted.

    Returns
    -------
    ndarray, float32, spatial shape of `image`
        Above 0; its geometric mean over what has signal in both is 1.

    Raises
    ------
    GetNetError
        Nothing has signal, or the grids do not overlap.
    """
    by_head = magnitudes(head).reshape(head.shape[:3])
    shifted = nib.Nifti1Image(np.maximum(magnitudes(body).reshape(body.shape[:3]), np.float32(1e-30)), body.affine)
    by_body = on_grid(shifted, head, "the body coil's image")
    both = like(head, np.minimum(by_head, by_body * (by_head.mean() / max(by_body.mean(), 1e-30))))
    inside = foreground_of(both, "the RB1COR pair") & (by_head > 0) & (by_body > 1e-20)
    ratio = np.zeros(by_head.shape, np.float32)
    ratio[inside] = np.log(by_head[inside] / by_body[inside])
    ratio[inside] -= ratio[inside].mean()
    sigma = FWHM / np.sqrt(8 * np.log(2)) / np.array(voxel_size(head))
    weight = ndimage.gaussian_filter(inside.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(ratio, sigma) / np.maximum(weight, 1e-3)
    nearest = ndimage.distance_transform_edt(~inside, voxel_size(head), return_distances=False, return_indices=True)
    filled = ndimage.gaussian_filter(np.where(inside, smooth, smooth[tuple(nearest)]), sigma)
    log = np.where(inside, smooth, filled)
    return on_grid(nib.Nifti1Image(np.exp(log, dtype=np.float32), head.affine), image, "the image")
