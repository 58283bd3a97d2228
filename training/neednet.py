"""NeedNet: what GetNet is trained to satisfy.

With G the network's field and k a gain multiplied onto a photograph v, the need of v·k beyond that of v is
N(v, k) = G(v·k) / G(v), and it must equal k (Simko et al., MIDL 2019). A photograph's own field need not be
known. The condition alone is also met by a G that only blurs its input; posterised photographs, whose own field
is flat, rule that out: for them G(v·k) itself must equal k.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .pairs import Pairs

SPREAD_WEIGHT = 0.02
"""Weight of the expected error's likelihood beside the error; small, as both share the network's layers."""


def centred(x: Tensor, weight: Tensor) -> Tensor:
    """Take off each slice's weighted mean; shapes (N, 16, 16)."""
    total = weight.sum((1, 2), keepdim=True).clamp_min(1e-6)
    return x - (x * weight).sum((1, 2), keepdim=True) / total


def weighted_means(x: Tensor, weight: Tensor, chunks: int = 1) -> Tensor:
    """Mean over all cells of each chunk of slices, each cell by its weight; shape (chunks,).

    Parameters
    ----------
    x, weight : Tensor, shape (N, ...)
    chunks : int
        Into so many equal parts the N slices are divided, in their order.
    """
    x, weight = x.reshape(chunks, -1), weight.reshape(chunks, -1)
    return (x * weight).sum(1) / weight.sum(1).clamp_min(1e-6)


def neednet_loss(
    network: Callable[[Tensor], tuple[Tensor, Tensor]], pairs: Pairs, kind: str = "log", chunks: int = 1
) -> dict[str, Tensor]:
    """Compute the loss of a batch: the mean of its chunks' losses, whatever chunks it is put together of.

    Parameters
    ----------
    network : callable
        `GetNet.log_gain`, or what wraps it.
    pairs : Pairs
        N pairs.
    kind : {"log", "gain"}
        ``log``: mean absolute error of the logarithms, free of scale, on posterised photographs of each field
        itself and on plain ones of their ratio. ``gain``: the paper's ``|k - N(v, k)|``, where k and N are first
        divided by their means, since this network does not see the scale of its input.
    chunks : int
        Number of chunks that the pairs were drawn in.

    Returns
    -------
    dict of Tensor
        ``loss`` to descend; ``ratio_mae`` (mean absolute error of log N on plain photographs) and ``field_mae`` (of
        log G on posterised ones), detached.
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
        # is detached: a likelihood of both would care less for the slices that are hard.
        spread = torch.stack([log_spread[:n], log_spread[n:]], 1)
        loss = loss + SPREAD_WEIGHT * weighted_means(direct_error.detach() / spread.exp() + spread, known, chunks)
    return {"loss": loss.mean(), "ratio_mae": need.mean().detach(), "field_mae": direct.mean().detach()}


def of_mean_one(gain: Tensor, weight: Tensor) -> Tensor:
    """Divide each slice's gain by its weighted mean; shapes (N, 16, 16)."""
    total = weight.sum((1, 2), keepdim=True).clamp_min(1e-6)
    return gain * total / (gain * weight).sum((1, 2), keepdim=True).clamp_min(1e-6)
