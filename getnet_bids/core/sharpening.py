"""Sharpening of a histogram: what a log intensity should have been, had no field blurred it (N3, Sled et al. 1998)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

BIN = 0.01
"""Width of the histogram's bins (log)."""
WIENER = 0.01
"""Noise term of the deconvolution."""
EMPTY = 1e-9
"""Bins with less than this share of the fullest one's mass tell nothing."""


class Sharpening:
    """Tells for log intensities how far they lie from what they should have been.

    The histogram is deconvolved by the field's, a Gaussian; what is left gives for each intensity the expectation of
    the true one (Sled et al., IEEE TMI 1998, eq. 10-13).

    Parameters
    ----------
    low, high : float
        The histogram's ends; intensities beyond them count as these.
    width : float
        Full width at half maximum of the field's histogram.
    device : torch.device
    """

    def __init__(self, low: float, high: float, width: float, device: torch.device) -> None:
        self.low, self.count = low, int((high - low) / BIN) + 2
        self.padded = 2 ** math.ceil(math.log2(self.count + 8 * width / BIN))
        sigma = width / (2 * math.sqrt(2 * math.log(2)))
        frequency = torch.fft.rfftfreq(self.padded, BIN, dtype=torch.float64, device=device)
        self.blur = torch.exp(-2 * (math.pi * frequency * sigma) ** 2)
        self.deblur = self.blur / (self.blur.square() + WIENER)
        # The padding wraps around: its second half lies below the first bin.
        bins = torch.arange(self.padded, dtype=torch.float64, device=device)
        self.bins = torch.where(bins < (self.count + self.padded) / 2, bins, bins - self.padded) * BIN + low

    def __call__(self, values: Tensor, weight: Tensor) -> Tensor:
        """Give what is to be added to log intensities, of which these are the histogram.

        Parameters
        ----------
        values, weight : Tensor, shape (n,)
            Log intensities and their weights.

        Returns
        -------
        Tensor, shape (n,), float64
        """
        place = ((values - self.low) / BIN).clamp_(0, self.count - 1.001)
        left = place.to(torch.int32)
        right_share = place.sub_(left)
        on_right = weight * right_share
        histogram = torch.bincount(left, weight - on_right, self.count)
        histogram[1:] += torch.bincount(left, on_right, self.count)[:-1]

        sharp = self.blurred(histogram, self.deblur).clamp_min_(0)
        mass, moment = self.blurred(torch.stack([sharp, sharp * self.bins]), self.blur)
        change = torch.where(mass > EMPTY * mass.amax(), moment / mass.clamp_min(1e-30) - self.bins, 0.0)
        return torch.lerp(change.index_select(0, left), change[1:].index_select(0, left), right_share)

    def blurred(self, histogram: Tensor, response: Tensor) -> Tensor:
        """Multiply a histogram's spectrum by a response; shape (..., padded)."""
        return torch.fft.irfft(torch.fft.rfft(histogram, self.padded) * response, self.padded)
