"""The loss: 0 for the truth, blind to scale, the same however its batch is put together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from getnet_bids.training.neednet import neednet_loss
from getnet_bids.training.pairs import Pairs, joined, make_pairs
from getnet_bids.training.photographs import Photographs
from getnet_bids.training.recipe import load_recipe


@pytest.fixture(scope="module", params=["log", "gain"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def chunks(photos: Photographs) -> list[Pairs]:
    crops = torch.from_numpy(photos.crops(range(4), np.random.default_rng(0)))
    return [make_pairs(crops, load_recipe("default"), torch.Generator().manual_seed(s)) for s in range(3)]


def answering(first: Tensor, second: Tensor):
    """Return a network that gives these log gains, whatever it is asked."""
    return lambda _slices: (torch.cat([first, second]), torch.zeros(2 * len(first), 16, 16))


def test_the_truth_has_no_error_whatever_its_scale(chunks: list[Pairs], kind: str) -> None:
    p = chunks[0]
    scale = torch.randn(4, 1, 1, generator=torch.Generator().manual_seed(0))
    losses = neednet_loss(answering(p.log_gain_first + scale, p.log_gain_second - scale), p, kind)
    assert float(losses["ratio_mae"]) < 1e-5
    assert float(losses["field_mae"]) < 1e-5
    assert float(losses["loss"]) < 1e-5


def test_a_batch_is_the_mean_of_its_chunks(chunks: list[Pairs], kind: str) -> None:
    rng = torch.Generator().manual_seed(0)
    answers = [torch.randn(2, 4, 16, 16, generator=rng) for _ in chunks]
    each = [neednet_loss(answering(*a), p, kind) for a, p in zip(answers, chunks, strict=True)]
    first, second = (torch.cat([a[i] for a in answers]) for i in range(2))
    whole = neednet_loss(answering(first, second), joined(chunks), kind, chunks=3)
    for name in ("loss", "ratio_mae", "field_mae"):
        assert float(whole[name]) == pytest.approx(np.mean([float(e[name]) for e in each]), rel=1e-5)


def test_the_spread_learns_the_error_and_leaves_it_alone(chunks: list[Pairs]) -> None:
    p = chunks[0]
    gain = torch.zeros(8, 16, 16, requires_grad=True)
    spread = torch.zeros(8, 16, 16, requires_grad=True)
    neednet_loss(lambda _slices: (gain, spread), p)["loss"].backward()
    with_spread = gain.grad.clone()
    gain.grad = None
    neednet_loss(lambda _slices: (gain, spread.detach() + 1), p)["loss"].backward()
    assert torch.allclose(gain.grad, with_spread, atol=1e-7)
    assert float(spread.grad.abs().sum()) > 0
