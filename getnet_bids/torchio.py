"""GetNet as a TorchIO transform; needs ``pip install 'getnet_bids[torchio]'``.

>>> import torchio as tio  # doctest: +SKIP
>>> from getnet_bids.torchio import GetNetCorrection  # doctest: +SKIP
>>> subject = tio.Subject(t1=tio.ScalarImage("T1w.nii.gz"))  # doctest: +SKIP
>>> GetNetCorrection()(subject).history  # doctest: +SKIP
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from . import correct
from .core.correction import Options

try:
    from torchio.transforms.intensity_transform import IntensityTransform
except ImportError as error:
    raise ImportError(f"getnet_bids.torchio needs TorchIO: pip install 'getnet_bids[torchio]' ({error})") from error

__all__ = ["GetNetCorrection"]


class GetNetCorrection(IntensityTransform):  # type: ignore[misc, unused-ignore]
    """Correct the bias field of a subject's scalar images, channel by channel; label maps are unchanged.

    The result is that of `getnet_bids.correct`, bit for bit; the subject's history records the transform.

    Parameters
    ----------
    mask : str, optional
        Name of a label map of the subject; fields are fitted where it is above 0.
    weights : str, optional
        File of the network's weights; default: the package's own.
    device : str
        Device of the network. Default: the CPU, which also works in the workers of a data loader.
    smoothness, refine, precision
        As for `getnet_bids.Options`.
    **kwargs
        As for all transforms: ``p``, ``include``, ``exclude``, ``copy``, ``keep`` ...
    """

    def __init__(
        self,
        mask: str | None = None,
        weights: str | None = None,
        device: str = "cpu",
        smoothness: float | None = None,
        refine: bool = True,
        precision: str = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mask = mask
        self.weights = weights
        self.device = device
        self.smoothness = smoothness
        self.refine = refine
        self.precision = precision
        self.args_names = ["mask", "weights", "device", "smoothness", "refine", "precision"]

    def apply_transform(self, subject: Any) -> Any:
        """Correct the images of a subject.

        Raises
        ------
        GetNetError
            An image cannot be corrected.
        """
        options = Options(smoothness=self.smoothness, refine=self.refine, precision=self.precision)
        mask = None if self.mask is None else subject[self.mask].data[0].numpy()
        for image in self.get_images(subject):
            with np.errstate(all="warn"):  # TorchIO makes numpy raise errors
                channels = [
                    correct(
                        channel,
                        voxel_size=image.spacing,
                        mask=mask,
                        weights=self.weights,
                        device=self.device,
                        options=options,
                    ).image
                    for channel in image.data.numpy()
                ]
            image.set_data(torch.from_numpy(np.stack(channels)))
        return subject
