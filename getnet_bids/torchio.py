"""GetNet as a TorchIO transform; needs ``pip install 'getnet_bids[torchio]'``.

>>> import torchio as tio  # doctest: +SKIP
>>> from getnet_bids.torchio import GetNetCorrection  # doctest: +SKIP
>>> subject = tio.Subject(t1=tio.ScalarImage("T1w.nii.gz"))  # doctest: +SKIP
>>> GetNetCorrection()(subject).history  # doctest: +SKIP
"""

from __future__ import annotations

import logging
import os
from typing import Any

import numpy as np
import torch

from . import correct
from .core.options import Options
from .errors import GetNetError

try:
    from torchio.transforms.intensity_transform import IntensityTransform
except ImportError as error:
    raise ImportError(f"getnet_bids.torchio needs TorchIO: pip install 'getnet_bids[torchio]' ({error})") from error

__all__ = ["GetNetCorrection"]

LOG = logging.getLogger(__name__)


class GetNetCorrection(IntensityTransform):  # type: ignore[misc, unused-ignore]
    """Correct the bias field of a subject's scalar images, channel by channel; label maps are unchanged.

    The result is that of `getnet_bids.correct`, bit for bit; the subject's history records the transform. The reasons
    for a doubtful result are logged.

    Parameters
    ----------
    mask : str, optional
        Name of a label map of the subject; fields are fitted where it is above 0.
    weights : str or path, optional
        File of the network's weights; default: the package's own.
    device : str
        Device of the network. Default: the CPU, which also works in the workers of a data loader.
    smoothness, refine, precision
        As for `getnet_bids.Options`.
    **kwargs
        As for all transforms: ``p``, ``include``, ``exclude``, ``copy``, ``keep`` ...

    Raises
    ------
    GetNetError
        An option is invalid.
    """

    def __init__(
        self,
        mask: str | None = None,
        weights: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        smoothness: float | None = None,
        refine: bool = True,
        precision: str = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mask = mask
        self.weights = None if weights is None else os.fspath(weights)
        self.device = device
        self.smoothness = smoothness
        self.refine = refine
        self.precision = precision
        self._options()
        self.args_names = ["mask", "weights", "device", "smoothness", "refine", "precision"]

    def apply_transform(self, subject: Any) -> Any:
        """Correct the images of a subject.

        Raises
        ------
        GetNetError
            An image cannot be corrected, or the subject has no such mask.
        """
        if self.mask is not None and self.mask not in subject:
            raise GetNetError(f"the subject has no mask {self.mask!r}; it has {', '.join(subject)}")
        mask = None if self.mask is None else subject[self.mask].data[0]
        for name, image in self.get_images_dict(subject).items():
            channels = []
            for i, channel in enumerate(image.data):
                result = correct(
                    channel,
                    voxel_size=image.spacing,
                    mask=mask,
                    weights=self.weights,
                    device=self.device,
                    options=self._options(),
                )
                for reason in result.reasons:
                    LOG.warning("%s, channel %d: %s: %s", name, i, result.verdict, reason)
                channels.append(result.image)
            image.set_data(torch.from_numpy(np.stack(channels)))
        return subject

    def _options(self) -> Options:
        return Options(smoothness=self.smoothness, refine=self.refine, precision=self.precision)
