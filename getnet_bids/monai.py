"""GetNet as transforms of MONAI; needs ``pip install 'getnet_bids[monai]'``.

>>> from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged  # doctest: +SKIP
>>> from getnet_bids.monai import GetNetCorrectiond  # doctest: +SKIP
>>> keys = ["image"]
>>> load = Compose([LoadImaged(keys), EnsureChannelFirstd(keys), GetNetCorrectiond(keys)])  # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from . import correct
from .core.correction import Options

try:
    from monai.data.meta_obj import get_track_meta
    from monai.data.meta_tensor import MetaTensor
    from monai.transforms.transform import MapTransform, Transform
    from monai.utils.enums import TransformBackends
    from monai.utils.type_conversion import convert_to_dst_type, convert_to_tensor
except ImportError as error:
    raise ImportError(f"getnet_bids.monai needs MONAI: pip install 'getnet_bids[monai]' ({error})") from error

__all__ = ["GetNetCorrection", "GetNetCorrectiond"]


class GetNetCorrection(Transform):  # type: ignore[misc, unused-ignore]
    """Divide the bias field out of an image, channel by channel; each channel has a field of its own.

    The result is that of `getnet_bids.correct`, to the bit. It is not random, so that caches keep it.

    Parameters
    ----------
    voxel_size : float or sequence of float
        Along the spatial axes, mm, of what has no affine; a ``MetaTensor`` has its own.
    weights : str or path, optional
        Default the package's own.
    device : str
        Where the network runs. Default the CPU, which works in the workers of a loader too.
    options : Options, optional
        All that changes the result.
    """

    backend = (TransformBackends.TORCH, TransformBackends.NUMPY)

    def __init__(
        self,
        voxel_size: float | Sequence[float] = 1.0,
        weights: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        options: Options | None = None,
    ) -> None:
        self.voxel_size = voxel_size
        self.weights = weights
        self.device = device
        self.options = options

    def __call__(self, img: Any, mask: Any = None) -> Any:
        """Correct an image.

        Parameters
        ----------
        img : MetaTensor, Tensor or ndarray, shape (C, X, Y) or (C, X, Y, Z)
        mask : the same, one channel, optional
            Above 0 where the field is to be fitted.

        Returns
        -------
        A tensor as MONAI's transforms return, float32; a ``MetaTensor`` keeps its metadata and what was applied to it.

        Raises
        ------
        GetNetError
            A channel that cannot be corrected.
        """
        size = self.voxel_size
        if isinstance(img, MetaTensor):  # before anything else becomes one, of 1 mm
            size = [float(length) for length in img.pixdim[: img.ndim - 1]]
        img = convert_to_tensor(img, track_meta=get_track_meta())
        inside = None if mask is None else np.asarray(convert_to_tensor(mask, track_meta=False).cpu())[0]
        channels = [
            correct(
                channel,
                voxel_size=size,
                mask=inside,
                weights=self.weights,
                device=self.device,
                options=self.options,
            ).image
            for channel in convert_to_tensor(img, track_meta=False).cpu().numpy()
        ]
        return convert_to_dst_type(torch.from_numpy(np.stack(channels)), img, dtype=torch.float32)[0]


class GetNetCorrectiond(MapTransform):  # type: ignore[misc, unused-ignore]
    """Divide the bias field out of images of a dictionary, by `GetNetCorrection`.

    Parameters
    ----------
    keys : str or sequence of str
        Of the images.
    mask_key : str, optional
        Of a mask for all of them, above 0 where the field is to be fitted.
    allow_missing_keys : bool
        Whether a key may be absent.
    **kwargs
        As for `GetNetCorrection`.
    """

    backend = GetNetCorrection.backend

    def __init__(
        self, keys: Any, mask_key: Hashable | None = None, allow_missing_keys: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.mask_key = mask_key
        self.correction = GetNetCorrection(**kwargs)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Correct the images of a dictionary; the other entries stay."""
        out = dict(data)
        mask = None if self.mask_key is None else data[self.mask_key]
        for key in self.key_iterator(out):
            out[key] = self.correction(out[key], mask)
        return out
