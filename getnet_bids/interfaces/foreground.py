"""The foreground of an image in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from getnet_bids.errors import GetNetError

if TYPE_CHECKING:
    import numpy as np
    from nibabel.spatialimages import SpatialImage
    from numpy.typing import NDArray


def foreground_of(image: SpatialImage, name: str) -> NDArray[np.bool_]:
    """Find the voxels of an image that have signal, as the correction does.

    Parameters
    ----------
    image : SpatialImage, shape (X, Y), (X, Y, Z) or (X, Y, Z, T)
    name : str
        For the message.

    Returns
    -------
    ndarray of bool, spatial shape of the image

    Raises
    ------
    GetNetError
        Nothing has signal.
    """
    import torch

    from getnet_bids import images
    from getnet_bids.core.correction import mean_volume, scaled
    from getnet_bids.core.foreground import find_foreground

    volume = scaled(mean_volume(images.magnitudes(image).reshape(image.shape[:4])))
    sizes = images.voxel_size(image)
    voxel = (sizes[0], sizes[1], sizes[2] if len(sizes) > 2 else max(sizes))
    solid = volume if volume.ndim == 3 else volume[:, :, None]
    found = find_foreground(torch.from_numpy(solid), voxel)
    if not found.any():
        raise GetNetError("has no signal above the noise; look at the image", name)
    return found.numpy().reshape(volume.shape)
