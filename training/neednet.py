"""NeedNet: the condition that GetNet is trained to satisfy, as a loss and as figures on held-out photographs.

With G the network's field, and k a gain by which a photograph v is multiplied, N(v, k) = G(v·k) / G(v) must equal k
(Simko et al., MIDL 2019). A photograph's own field need not be known. A G that only blurs its input also meets this
condition; posterised photographs, whose own field is flat, rule that out, since for them G(v·k) itself must equal k.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from getnet_bids.core.network import CELLS

from .pairs import Pairs, make_pairs
from .photographs import Photographs
from .recipe import Recipe, load_recipe

SPREAD_WEIGHT = 0.02
"""Weight of the expected error's likelihood relative to the error; small, since both share the network's layers."""


def centred(x: Tensor, weight: Tensor) -> Tensor:
    """Subtract each slice's weighted mean; shapes (N, 16, 16)."""
    total = weight.sum((1, 2), keepdim=True).clamp_min(1e-6)
    return x - (x * weight).sum((1, 2), keepdim=True) / total


def weighted_means(x: Tensor, weight: Tensor, chunks: int = 1) -> Tensor:
    """Compute the weighted mean over all cells of each chunk of slices; shape (chunks,).

    Parameters
    ----------
    x, weight : Tensor, shape (N, ...)
    chunks : int
        Number of equal parts into which the N slices are divided, in their order.
    """
    x, weight = x.reshape(chunks, -1), weight.reshape(chunks, -1)
    return (x * weight).sum(1) / weight.sum(1).clamp_min(1e-6)


def neednet_loss(
    network: Callable[[Tensor], tuple[Tensor, Tensor]], pairs: Pairs, kind: str = "log", chunks: int = 1
) -> dict[str, Tensor]:
    """Compute the loss of a batch, which is the mean of the losses of its chunks.

    Parameters
    ----------
    network : callable
        `GetNet.log_gain`, or a wrapper of it.
    pairs : Pairs
        N pairs.
    kind : {"log", "gain"}
        ``log``: mean absolute error of the logarithms, independent of scale: of each field itself on posterised
        photographs, and of their ratio on plain ones. ``gain``: the paper's ``|k - N(v, k)|``, where k and N are first
        divided by their means, since this network does not see the scale of its input.
    chunks : int
        Number of chunks that the pairs were drawn in.

    Returns
    -------
    dict of Tensor
        ``loss`` for the gradient; ``ratio_mae`` (mean absolute error of log N on plain photographs) and ``field_mae``
        (of log G on posterised ones), detached.
    """
    n = len(pairs.flat)
    log_gain, log_spread = network(torch.cat([pairs.first, pairs.second]))
    first, second = log_gain[:n], log_gain[n:]
    truth_first, truth_second = pairs.log_gain_first, pairs.log_gain_second
    weight = pairs.weight
    plain = weight * ~pairs.flat[:, None, None]

    ratio = centred(first - second - truth_first + truth_second, weight).abs()
    need = weighted_means(ratio, plain, chunks)
    both = [centred(first - truth_first, weight), centred(second - truth_second, weight)]
    direct_error = torch.stack(both, 1).abs()
    known = (weight * pairs.flat[:, None, None])[:, None].expand_as(direct_error)
    direct = weighted_means(direct_error, known, chunks)

    if kind == "gain":
        estimate, truth = (of_mean_one(x.exp(), weight) for x in (first - second, truth_first - truth_second))
        loss = weighted_means((estimate - truth).abs(), weight, chunks)
    else:
        share = plain.reshape(chunks, -1).sum(1) / weight.reshape(chunks, -1).sum(1).clamp_min(1e-6)
        loss = share * need + (1 - share) * direct
        # The spread is that of a Laplace distribution of the error, by its negative log likelihood. The error itself
        # is detached, since a joint likelihood would give less weight to difficult slices.
        spread = torch.stack([log_spread[:n], log_spread[n:]], 1)
        loss = loss + SPREAD_WEIGHT * weighted_means(direct_error.detach() / spread.exp() + spread, known, chunks)
    return {"loss": loss.mean(), "ratio_mae": need.mean().detach(), "field_mae": direct.mean().detach()}


def of_mean_one(gain: Tensor, weight: Tensor) -> Tensor:
    """Divide each slice's gain by its weighted mean; shapes (N, 16, 16)."""
    total = weight.sum((1, 2), keepdim=True).clamp_min(1e-6)
    return gain * total / (gain * weight).sum((1, 2), keepdim=True).clamp_min(1e-6)


COLLAPSE_LEAKAGE = 0.3
"""Leakage from which a network counts as collapsed."""
ERRORS = ("ratio_mae", "field_mae", "field_size", "false_field", "error_over_spread")
SLOPES = ("picture", "variation")
PAIRS_PER_BATCH = 16
"""Number of pairs that are measured at a time."""


class HasLogGain(Protocol):
    """The object to validate: a GetNet, or a stand-in for one."""

    def log_gain(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logarithm of the gain and of its spread, as `GetNet.log_gain`."""


@torch.no_grad()
def validate(
    network: HasLogGain, photos: Photographs, recipe: Recipe, device: torch.device, count: int = 128
) -> dict[str, float]:
    """Compute the validation figures of a network, always on the same pairs.

    Parameters
    ----------
    network : HasLogGain
    photos : Photographs
        Not trained on.
    recipe : Recipe
        Recipe whose transforms and fields are used. If it has hardly any posterised photographs, or hardly any plain
        ones, half are posterised here, since otherwise the error of the field, or that of the ratio, could not be
        measured.
    device : torch.device
    count : int
        Number of pairs; if there are fewer photographs, they are used several times, cut and shaded differently.

    Returns
    -------
    dict of float
        ``ratio_mae``: mean absolute error of log N(v, k) on plain photographs.
        ``field_mae``: of log G on posterised ones, whose field is known.
        ``field_size``: mean absolute size of these fields, which is the error of a flat answer.
        ``false_field``: mean absolute log field that is estimated where there is none.
        ``image_leakage``: slope of that field on the logarithm of the picture's own brightness, blurred: 0 if the
        field is independent of the picture, about 1 for a low-pass filter (see `collapsed`).
        ``rim_leakage``, ``core_leakage``: the same on pictures of which all have rims, or cores, by the transforms of
        the default recipe.
        ``variation_leakage``: slope of the error on the smooth changes within classes, which are not a field.
        ``error_over_spread``: mean of the absolute error over the expected one; 1 if the expectation is right.
        NaN if there are no such pictures.
    """
    if round(recipe.posterised * PAIRS_PER_BATCH) in (0, PAIRS_PER_BATCH):
        recipe = replace(recipe, posterised=0.5)
    which = [i % len(photos) for i in range(count)]
    crops = torch.from_numpy(photos.crops(which, np.random.default_rng(0))).to(device)
    errors, slopes = measure(network, crops, recipe)
    figures = {name: value for name, value in errors.items() if name != "error_over_spread"}
    figures["image_leakage"] = slopes["picture"]
    some = crops[: count // 2]
    probe = load_recipe("default")  # the same for all recipes, so that they can be compared
    bare = replace(probe, posterised=1.0, background=1.0, flat=1.0, known=0.0, ribbons=0.0, rims=0.0, cores=0.0)
    figures["rim_leakage"] = measure(network, some, replace(bare, rims=1.0))[1]["picture"]
    with_cores = measure(network, some, replace(bare, cores=1.0))[1]
    figures["core_leakage"], figures["variation_leakage"] = with_cores["picture"], with_cores["variation"]
    figures["error_over_spread"] = errors["error_over_spread"]
    return figures


def measure(network: HasLogGain, crops: Tensor, recipe: Recipe) -> tuple[dict[str, float], dict[str, float]]:
    """Compute errors, and slopes of the estimated field on the picture and on changes within classes.

    Parameters
    ----------
    network : HasLogGain
    crops : Tensor, shape (N, 1, 256, 256), uint8
    recipe : Recipe

    Returns
    -------
    errors, slopes : dict of float
        See `validate`; ``picture`` and ``variation`` are the slopes.
    """
    device = crops.device
    sums = {name: torch.zeros(2, device=device) for name in (*ERRORS, *SLOPES)}
    for start in range(0, len(crops), PAIRS_PER_BATCH):
        generator = torch.Generator(device).manual_seed(start)
        pairs = make_pairs(crops[start : start + PAIRS_PER_BATCH], recipe, generator)
        log_first, spread_first = network.log_gain(pairs.first)
        first = centred(log_first, pairs.weight)
        second = centred(network.log_gain(pairs.second)[0], pairs.weight)
        truth1 = centred(pairs.log_gain_first, pairs.weight)
        truth2 = centred(pairs.log_gain_second, pairs.weight)
        known = pairs.weight * pairs.flat[:, None, None]
        bare = known * (pairs.log_gain_second.abs().amax((1, 2)) == 0)[:, None, None]
        plain = pairs.weight * ~pairs.flat[:, None, None]
        for name, error, weight in (
            ("ratio_mae", first - second - truth1 + truth2, plain),
            ("field_mae", first - truth1, known),
            ("field_size", truth1, known),
            ("false_field", second, bare),
            ("error_over_spread", (first - truth1) / spread_first.exp(), known),
        ):
            sums[name] += torch.stack([(error.abs() * weight).sum(), weight.sum()])
        picture, change = centred(brightness(pairs.second), bare), centred(pairs.variation, known)
        for name, answer, cause, weight in (
            ("picture", second, picture, bare),
            ("variation", first - truth1 + second - truth2, 2 * change, known),
        ):
            sums[name] += torch.stack([(answer * cause * weight).sum(), (cause * cause * weight).sum()])
    ratios = {name: float(a / b) for name, (a, b) in sums.items()}
    return {name: ratios[name] for name in ERRORS}, {name: ratios[name] for name in SLOPES}


def brightness(slices: Tensor) -> Tensor:
    """Compute the logarithm of the mean brightness, over values above 0, around each cell; shape (N, 16, 16)."""
    pooled = [F.adaptive_avg_pool2d(x, CELLS) for x in (slices, (slices > 0).float())]
    for _ in range(2):
        pooled = [F.avg_pool2d(x, 3, stride=1, padding=1) for x in pooled]
    return (pooled[0] / pooled[1].clamp_min(1e-6)).clamp_min(1e-3).log()[:, 0]


def collapsed(figures: dict[str, float]) -> bool:
    """Return whether a network low-passes its input, which satisfies NeedNet as well as the true field does.

    For G(v) = blur(v), G(v·k) / G(v) is close to k, so that ``ratio_mae`` is small; but for a picture without any
    field, its estimate is the picture's own brightness, so that ``image_leakage`` is large.

    Examples
    --------
    >>> collapsed({"image_leakage": 0.9}), collapsed({"image_leakage": 0.05})
    (True, False)
    """
    return figures["image_leakage"] > COLLAPSE_LEAKAGE
