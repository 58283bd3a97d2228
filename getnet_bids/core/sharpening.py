"""Sharpening of a histogram: what a log intensity should have been, had no field blurred it (N3, Sled et al. 1998)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

BIN = 0.01
"""Width of the histogram's bins (log)."""
FINE = 8
"""A bin is counted in so many parts, since adding to one number again and again takes longer."""
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
        self.low, self.count = low, math.ceil((high - low) / BIN) + 1
        self.padded = 2 ** math.ceil(math.log2(self.count + 8 * width / BIN))
        sigma = width / (2 * math.sqrt(2 * math.log(2)))
        frequency = torch.fft.rfftfreq(self.padded, BIN, dtype=torch.float64, device=device)
        self.blur = torch.exp(-2 * (math.pi * frequency * sigma) ** 2)
        # Complex, as what they are multiplied with.
        self.deblur = (self.blur / (self.blur.square() + WIENER)).to(torch.complex128)
        self.blur = self.blur.to(torch.complex128)
        # The padding wraps around: its second half lies below the first bin.
        bins = torch.arange(self.padded, dtype=torch.float64, device=device)
        self.bins = torch.where(bins < (self.count + self.padded) / 2, bins, bins - self.padded) * BIN + low
        self.moments = torch.stack([torch.ones_like(self.bins), self.bins])
        share = torch.arange(FINE, dtype=torch.float64, device=device) / FINE
        self.share, self.shares = share.float(), torch.stack([share, 1 - share], 1)
        self.table = torch.zeros(self.count + 1, FINE, device=device)
        self.histogram = torch.zeros(self.padded, dtype=torch.float64, device=device)

    def places(self, values: Tensor) -> Tensor:
        """Give where in `table` log intensities lie, as numbers to be rounded down."""
        return ((values - self.low) / BIN + 1) * FINE

    def __call__(self, places: Tensor, weight: Tensor) -> Tensor:
        """Give what is to be added to log intensities, of which these are the histogram.

        Parameters
        ----------
        places, weight : Tensor, same shape, float32
            The log intensities, as `places` gives them, which are overwritten, and their weights.

        Returns
        -------
        Tensor, of the same shape, float32
        """
        # Shared out between the parts on either side, and interpolated between them: without any step.
        places = places.view(-1).clamp_(FINE, FINE * self.count - 1.01)
        left = places.int()
        right = places.frac_()
        counts = torch.bincount(left, weight.view(-1), self.table.numel()).double()
        on_right = torch.bincount(left, weight.view(-1) * right, self.table.numel()).double()
        counts -= on_right
        counts[1:] += on_right[:-1]
        above, below = (counts.view(-1, FINE) @ self.shares).unbind(1)
        torch.add(above[:-1], below[1:], out=self.histogram[: self.count])
        sharp = self.blurred(self.histogram, self.deblur).clamp_min_(0)
        mass, moment = self.blurred(sharp * self.moments, self.blur)
        change = torch.where(mass > EMPTY * mass.amax(), moment / mass.clamp_min(1e-30) - self.bins, 0.0)
        change = change[: self.count, None].float()
        torch.lerp(change[:-1], change[1:], self.share, out=self.table[1 : self.count])
        table = self.table.view(-1)
        return torch.lerp(table.index_select(0, left), table[1:].index_select(0, left), right).view(weight.shape)

    def blurred(self, histogram: Tensor, response: Tensor) -> Tensor:
        """Multiply a histogram's spectrum by a response; shape (..., padded)."""
        return torch.fft.irfft(torch.fft.rfft(histogram) * response, self.padded)
