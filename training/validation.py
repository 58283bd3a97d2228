"""Figures on photographs that the training has not seen, and a guard against a network that only blurs."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from getnet_bids.core.network import CELLS

from .neednet import centred
from .pairs import make_pairs
from .photographs import Photographs
from .recipe import Recipe

LEAK = 0.3
"""From this leak on, a network is said to have collapsed."""


class HasLogGain(Protocol):
    """What is validated: a GetNet, or a stand-in for one."""

    def log_gain(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """Give the logarithm of the gain and of its spread, as `GetNet.log_gain`."""


@torch.no_grad()
def validate(
    network: HasLogGain, photos: Photographs, recipe: Recipe, device: torch.device, count: int = 128
) -> dict[str, float]:
    """Measure a network, always on the same pairs.

    Parameters
    ----------
    network : HasLogGain
    photos : Photographs
        Not trained on.
    recipe : Recipe
        Its transforms and fields are used. If it has no posterised photographs, half are posterised here, since
        without known fields neither a direct error nor a collapse could be seen.
    device : torch.device
    count : int
        So many pairs; if there are fewer photographs, they come again, cut and shaded anew.

    Returns
    -------
    dict of float
        ``need``: mean absolute error of log N(v, k) on plain photographs. ``direct``: of log G on posterised ones.
        ``field``: mean absolute size of the posterised ones' true log fields, what a flat answer would score.
        ``harm``: mean absolute log field claimed where there is none. ``leak``: slope of that field on the
        logarithm of the picture's own brightness, blurred: 0 if the field knows nothing of the picture, about 1 for
        a low-pass filter (see `collapsed`). NaN where there are no such pictures.
    """
    if recipe.posterised == 0:
        recipe = replace(recipe, posterised=0.5)
    which = [i % len(photos) for i in range(count)]
    crops = torch.from_numpy(photos.crops(which, np.random.default_rng(0))).to(device)
    sums = dict.fromkeys(("need", "direct", "field", "harm"), torch.zeros(2, device=device))
    slope = torch.zeros(2, device=device)
    for start in range(0, count, 16):
        generator = torch.Generator(device).manual_seed(start)
        pairs = make_pairs(crops[start : start + 16], recipe, generator)
        first = centred(network.log_gain(pairs.first)[0], pairs.weight)
        second = centred(network.log_gain(pairs.second)[0], pairs.weight)
        truth1 = centred(pairs.log_gain_first, pairs.weight)
        truth2 = centred(pairs.log_gain_second, pairs.weight)
        known = pairs.weight * pairs.flat[:, None, None]
        bare = known * (pairs.log_gain_second.abs().amax((1, 2)) == 0)[:, None, None]
        plain = pairs.weight * ~pairs.flat[:, None, None]
        for name, error, weight in (
            ("need", first - second - truth1 + truth2, plain),
            ("direct", first - truth1, known),
            ("field", truth1, known),
            ("harm", second, bare),
        ):
            sums[name] = sums[name] + torch.stack([(error.abs() * weight).sum(), weight.sum()])
        picture = centred(brightness(pairs.second), bare)
        slope = slope + torch.stack([(second * picture * bare).sum(), (picture * picture * bare).sum()])
    return {name: float(a / b) for name, (a, b) in (sums | {"leak": slope}).items()}


def brightness(slices: Tensor) -> Tensor:
    """Logarithm of the mean brightness around each cell, of what is above 0; shape (N, 16, 16)."""
    pooled = [F.adaptive_avg_pool2d(x, CELLS) for x in (slices, (slices > 0).float())]
    for _ in range(2):
        pooled = [F.avg_pool2d(x, 3, stride=1, padding=1) for x in pooled]
    return (pooled[0] / pooled[1].clamp_min(1e-6)).clamp_min(1e-3).log()[:, 0]


def collapsed(figures: dict[str, float]) -> bool:
    """Whether a network low-passes its input, which satisfies NeedNet as well as a true field does.

    G(v) = blur(v) has G(v·k) / G(v) close to k, so that ``need`` is small; but on a picture without any field it
    gives the picture's own brightness for a field, so that ``leak`` is large.

    Examples
    --------
    >>> collapsed({"need": 0.01, "leak": 0.9}), collapsed({"need": 0.01, "leak": 0.05})
    (True, False)
    """
    return figures["leak"] > LEAK
