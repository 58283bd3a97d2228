"""GetNet as MONAI transforms; needs ``pip install 'getnet_bids[monai]'``.

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
from .core.options import Options
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
    """Correct the bias field of an image, channel by channel; each channel has its own field.

    The result is that of `getnet_bids.correct`, bit for bit. It is deterministic, so that it can be cached. The reasons
    for a doubtful result are logged.

    Parameters
    ----------
    voxel_size : float or sequence of float
        Voxel size along the spatial axes, mm, for images without an affine; a ``MetaTensor`` has its own.
    weights : str or path, optional
        File of the network's weights; default: the package's own.
    device : str
        Device of the network. Default: the CPU, which also works in the workers of a data loader.
    options : Options, optional
        The options that change the result.
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
            The field is fitted where the mask is above 0.

        Returns
        -------
        A float32 tensor, as MONAI's transforms return; a ``MetaTensor`` keeps its metadata and applied operations.

        Raises
        ------
        GetNetError
            A channel cannot be corrected, or there are no channels.
        """
        check_channels(img)
        size = self.voxel_size
        if isinstance(img, MetaTensor):  # before other types are converted to one with voxels of 1 mm
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
        """Return the only channel of a mask as a tensor."""
        mask = convert_to_tensor(mask, track_meta=False)
        if mask.shape != (1, *img.shape[1:]):
            raise GetNetError(f"the mask must have shape {(1, *img.shape[1:])}, not {tuple(mask.shape)}")
        return mask[0]


def check_channels(img: Any) -> None:
    """Refuse a batch, and an image without channels or with channels on its last axis."""
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
    """Correct the bias field of images in a dictionary by `GetNetCorrection`.

    Parameters
    ----------
    keys : str or sequence of str
        Keys of the images.
    mask_key : str, optional
        Key of a mask for all images; fields are fitted where it is above 0.
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
        """Correct the images of a dictionary; other entries are unchanged."""
        out = dict(data)
        if self.mask_key is not None and self.mask_key not in out:
            raise KeyError(f"mask_key {self.mask_key!r} is not in the data, which has {', '.join(map(str, out))}")
        mask = None if self.mask_key is None else out[self.mask_key]
        for key in self.key_iterator(out):
            out[key] = self.correction(out[key], mask)
        return out


GetNetCorrectionD = GetNetCorrectionDict = GetNetCorrectiond
