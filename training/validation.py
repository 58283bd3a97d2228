"""Figures on photographs that the training has not seen."""

from __future__ import annotations

import torch

from getnet_bids.core.network import GetNet

from .neednet import centred, weighted_mean
from .pairs import make_pairs
from .photographs import Photographs
from .recipe import Recipe


@torch.no_grad()
def validate(
    network: GetNet, photos: Photographs, recipe: Recipe, device: torch.device, count: int = 128
) -> dict[str, float]:
    """Measure a network, always on the same pairs.

    Parameters
    ----------
    network : GetNet
    photos : Photographs
    recipe : Recipe
        Its transforms and fields are used.
    device : torch.device
    count : int
        At most so many photographs.

    Returns
    -------
    dict of float
        ``need``: mean absolute error of log N(v, k) on plain photographs. ``direct``: of log G on posterised ones.
        ``field``: mean absolute size of the posterised ones' true log fields, what a flat answer would score.
        ``harm``: mean absolute log field claimed where there is none.
    """
    import numpy as np

    count = min(count, len(photos))
    rng = np.random.default_rng(0)
    crops = torch.from_numpy(photos.crops(range(count), rng)).to(device)
    sums: dict[str, float] = {"need": 0.0, "direct": 0.0, "field": 0.0, "harm": 0.0}
    parts = range(0, count, 16)
    for start in parts:
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
            sums[name] += float(weighted_mean(error.abs(), weight)) / len(parts)
    return sums
