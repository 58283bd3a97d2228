"""GetNet as transforms of MONAI; needs ``pip install 'getnet_bids[monai]'``.

>>> from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged  # doctest: +SKIP
>>> from getnet_bids.monai import GetNetCorrectiond  # doctest: +SKIP
>>> keys = ["image"]
>>> load = Compose([LoadImaged(keys), EnsureChannelFirstd(keys), GetNetCorrectiond(keys)])  # doctest: +SKIP
"""

from __future__ import annotations

import logging
import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from . import correct
from .core.correction import Options
from .errors import GetNetError

try:
    from monai.data.meta_obj import get_track_meta
    from monai.data.meta_tensor import MetaTensor
    from monai.transforms.transform import MapTransform, Transform
    from monai.utils.enums import TransformBackends
    from monai.utils.type_conversion import convert_to_dst_type, convert_to_tensor
except ImportError as error:
    raise ImportError(f"getnet_bids.monai needs MONAI: pip install 'getnet_bids[monai]' ({error})") from error

__all__ = ["GetNetCorrection", "GetNetCorrectionD", "GetNetCorrectionDict", "GetNetCorrectiond"]

LOG = logging.getLogger(__name__)


class GetNetCorrection(Transform):  # type: ignore[misc, unused-ignore]
    """Divide the bias field out of an image, channel by channel; each channel has a field of its own.

    The result is that of `getnet_bids.correct`, to the bit. It is not random, so that caches keep it. Why a result is
    doubtful is logged.

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
            A channel that cannot be corrected, or there are no channels.
        """
        check_channels(img)
        size = self.voxel_size
        if isinstance(img, MetaTensor):  # before anything else becomes one, of 1 mm
            size = [float(length) for length in img.pixdim[: img.ndim - 1]]
        img = convert_to_tensor(img, track_meta=get_track_meta())
        inside = None if mask is None else self._mask(mask, img)
        channels = []
        for i, channel in enumerate(convert_to_tensor(img, track_meta=False)):
            result = correct(
                channel,
                voxel_size=size,
                mask=inside,
                weights=self.weights,
                device=self.device,
                options=self.options,
            )
            for reason in result.reasons:
                LOG.warning("channel %d: %s: %s", i, result.verdict, reason)
            channels.append(result.image)
        return convert_to_dst_type(torch.from_numpy(np.stack(channels)), img.detach(), dtype=torch.float32)[0]

    def _mask(self, mask: Any, img: Any) -> Any:
        """Return the one channel of a mask as a tensor."""
        mask = convert_to_tensor(mask, track_meta=False)
        if mask.shape != (1, *img.shape[1:]):
            raise GetNetError(f"the mask must have shape {(1, *img.shape[1:])}, not {tuple(mask.shape)}")
        return mask[0]


def check_channels(img: Any) -> None:
    """Refuse an image without channels, or with the last axis for them, and a batch."""
    shape = tuple(img.shape)
    meta = img.meta if isinstance(img, MetaTensor) else {}
    of_space = tuple(int(n) for n in meta.get("spatial_shape", ()))
    channels_elsewhere = of_space and shape[1:] != of_space and of_space in (shape, shape[:-1])
    if len(shape) not in (3, 4) or channels_elsewhere:
        raise GetNetError(
            f"an image has shape (C, X, Y) or (C, X, Y, Z), not {shape}; put EnsureChannelFirst before this transform, "
            "and give batches to getnet_bids.correct_batch"
        )


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
        if self.mask_key is not None and self.mask_key not in out:
            raise KeyError(f"mask_key {self.mask_key!r} is not in the data, which has {', '.join(map(str, out))}")
        mask = None if self.mask_key is None else out[self.mask_key]
        for key in self.key_iterator(out):
            out[key] = self.correction(out[key], mask)
        return out


GetNetCorrectionD = GetNetCorrectionDict = GetNetCorrectiond
