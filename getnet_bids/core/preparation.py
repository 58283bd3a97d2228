"""Prepare an image for the estimate: the magnitudes of an object with a background of 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from getnet_bids.errors import GetNetError

from .averages import mean_volume
from .device import at_once
from .foreground import find_foreground
from .geometry import support
from .noise import blurred_parts
from .verdict import Evidence
from .voxels import Background, scaled

MIN_VOXELS = 64
"""Smallest number of voxels from which a field is estimated."""


def usable_foreground(volume: Tensor, part: tuple[slice, slice, slice], voxel: tuple[float, float, float]) -> Tensor:
    """Find the voxels with signal in a part of a volume, except in regions that were blurred.

    Parameters
    ----------
    volume : Tensor, shape (X, Y, Z), float32
        As for `find_foreground`.
    part : tuple of slice
        As found by `support`.
    voxel : tuple of float
        mm.

    Returns
    -------
    Tensor of bool, shape (X, Y, Z)
    """
    foreground = torch.zeros_like(volume, dtype=torch.bool)
    foreground[part] = find_foreground(volume[part], voxel)
    if (blurred := blurred_parts(volume[part], foreground[part])) is not None:
        foreground[part] &= ~blurred
    return foreground


@dataclass(frozen=True)
class Prepared:
    """An image ready for the estimate.

    Parameters
    ----------
    mean : ndarray, spatial shape
        The image, or the mean of a series' volumes; 0 where it has a background of another value.
    evidence : Evidence
        The measurements of the image for its verdict.
    volume : Tensor, shape (X, Y, Z), float32
        The scaled volume, 0 in the background.
    part : tuple of slice
        Part of the volume outside which nothing is above 0.
    foreground : Tensor of bool, shape (X, Y, Z)
    chosen : Tensor of bool, shape (X, Y, Z)
        The foreground, restricted to the mask if there is one.
    """

    mean: NDArray[np.float32]
    evidence: Evidence
    volume: Tensor
    part: tuple[slice, slice, slice]
    foreground: Tensor
    chosen: Tensor

    @classmethod
    def of(
        cls,
        image: NDArray[np.float32],
        voxel: tuple[float, float, float],
        inside: Tensor | None,
        device: torch.device,
        known: Tensor | None = None,
    ) -> Prepared:
        """Find an image's foreground, and set the background to 0.

        Parameters
        ----------
        image : ndarray, shape (X, Y), (X, Y, Z) or (X, Y, Z, T)
        voxel : tuple of float
            mm.
        inside : Tensor of bool, optional, shape (X, Y, Z)
            Mask.
        device : torch.device
        known : Tensor of bool, optional, shape (X, Y, Z)
            Voxels that belong to the foreground for certain.

        Raises
        ------
        GetNetError
            There is too little signal, or the image is mostly negative.
        """
        mean = mean_volume(image)
        if mean.size < MIN_VOXELS:
            raise GetNetError(f"the image must have at least {MIN_VOXELS} voxels, not shape {mean.shape}")
        background = Background.of(mean)
        evidence = Evidence.of_image(mean, background)
        mean = background.removed_from(mean)
        volume = torch.from_numpy(scaled(mean)).to(device)
        volume = volume[:, :, None] if volume.ndim == 2 else volume
        part = support(volume)  # margins of 0 contain no information, and must not change the object's border
        foreground = usable_foreground(volume, part, voxel)
        if known is not None:
            foreground |= known
        slabs_per_chunk = at_once(volume.permute(2, 1, 0), 1)
        for values, kept in zip(volume.split(slabs_per_chunk, 2), foreground.split(slabs_per_chunk, 2), strict=True):
            values.mul_(kept.view(torch.uint8))
        chosen = foreground if inside is None else foreground & inside
        if int(torch.count_nonzero(chosen)) < MIN_VOXELS:
            what = "; look whether it is a magnitude image of an object"
            if inside is not None:
                what = " inside the mask; leave the mask out, or give the right one"
            raise GetNetError(f"fewer than {MIN_VOXELS} voxels have signal above the noise{what}")
        return cls(mean, evidence, volume, part, foreground, chosen)


def quotient(
    mean: NDArray[np.float32], field: NDArray[np.float32], voxel: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Divide an image by its field, without the noise beside the object, which would become as bright as tissue.

    Parameters
    ----------
    mean, field : ndarray, spatial shape
        The image with a background of 0, and its field.
    voxel : tuple of float
        mm.

    Returns
    -------
    ndarray, spatial shape
        Nowhere brighter than the image; 0 in the noise.
    """
    volume = torch.from_numpy(scaled(mean))
    above = find_foreground(volume[:, :, None] if volume.ndim == 2 else volume, voxel, dark_share=0.0)
    return np.where(above.numpy().reshape(mean.shape, order="F"), mean / (field / field.min()), np.float32(0))


def joint_part(parts: list[tuple[slice, slice, slice]]) -> tuple[slice, slice, slice]:
    """Return the smallest part that contains all given parts.

    Examples
    --------
    >>> joint_part([(slice(1, 4), slice(0, 2), slice(2, 3)), (slice(2, 5), slice(0, 2), slice(0, 1))])
    (slice(1, 5, None), slice(0, 2, None), slice(0, 3, None))
    """
    x, y, z = (slice(min(p[axis].start for p in parts), max(p[axis].stop for p in parts)) for axis in range(3))
    return x, y, z
