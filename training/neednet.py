"""NeedNet: what GetNet is trained to satisfy.

With G the network's field and k a gain multiplied onto a photograph v, the need of v·k beyond that of v is
N(v, k) = G(v·k) / G(v), and it must equal k (Simko et al., MIDL 2019). A photograph's own field need not be
known. The condition alone is also met by a G that only blurs its input; posterised photographs, whose own field
is flat, rule that out: for them G(v·k) itself must equal k.
"""

from __future__ import annotations

import torch
from torch import Tensor

from getnet_bids.core.network import GetNet

from .pairs import Pairs


def centred(x: Tensor, weight: Tensor) -> Tensor:
    """Take off each slice's weighted mean; shapes (N, 16, 16)."""
    total = weight.sum((1, 2), keepdim=True).clamp_min(1e-6)
    return x - (x * weight).sum((1, 2), keepdim=True) / total


def weighted_mean(x: Tensor, weight: Tensor) -> Tensor:
    """Mean over all cells of the batch, each by its weight."""
    return (x * weight).sum() / weight.sum().clamp_min(1e-6)


def neednet_loss(network: GetNet, pairs: Pairs, kind: str = "log") -> dict[str, Tensor]:
    """Compute the loss of a batch.

    Parameters
    ----------
    network : GetNet
        Or what wraps it; called with the slices, it gives `GetNet.log_gain`'s two results.
    pairs : Pairs
    kind : {"log", "gain"}
        ``log``: mean absolute error of the logarithms, free of scale, on posterised photographs of each field
        itself and on plain ones of their ratio. ``gain``: the paper's mean absolute error of N(v, k).

    Returns
    -------
    dict of Tensor
        ``loss`` to descend; ``need`` (mean absolute error of log N on plain photographs) and ``direct`` (of
        log G on posterised ones), detached.
    """
    n = len(pairs.flat)
    log_gain, log_spread = network(torch.cat([pairs.first, pairs.second]))
    first, second = log_gain[:n], log_gain[n:]
    truth_first, truth_second = pairs.log_gain_first, pairs.log_gain_second
    weight = pairs.weight

    ratio = centred(first - second - truth_first + truth_second, weight).abs()
    direct = torch.stack([centred(first - truth_first, weight), centred(second - truth_second, weight)]).abs()
    plain = weight * ~pairs.flat[:, None, None]
    known = (weight * pairs.flat[:, None, None]).expand_as(direct)
    need_error, direct_error = weighted_mean(ratio, plain), weighted_mean(direct, known)
    if kind == "gain":
        truth = torch.exp(truth_first - truth_second)
        loss = weighted_mean((torch.exp(first - second) - truth).abs(), weight)
    else:
        share = plain.sum() / weight.sum().clamp_min(1e-6)
        loss = share * need_error + (1 - share) * direct_error
        # The spread learns the size of the error and leaves the error itself alone.
        spread = log_spread.reshape(2, n, *log_spread.shape[1:])
        loss = loss + 0.02 * weighted_mean(direct.detach() / spread.exp() + spread, known)
    return {"loss": loss, "need": need_error.detach(), "direct": direct_error.detach()}
