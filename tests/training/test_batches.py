"""A step's pairs are a function of the seed and the step, however many processes make them."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from getnet_bids.training.pairs import Pairs, batches, joined, photograph_at
from getnet_bids.training.photographs import Photographs
from getnet_bids.training.recipe import load_recipe

CPU = torch.device("cpu")


def same(a: Pairs, b: Pairs) -> bool:
    return all(torch.equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(Pairs))


def test_starting_later_gives_the_same_steps(photos: Photographs) -> None:
    recipe = load_recipe("default", ["steps=3", "batch=2"])
    steps = list(batches(photos, recipe, 0, 0, 1, CPU))
    assert len(steps) == 3
    assert same(next(batches(photos, recipe, 2, 0, 1, CPU)), steps[2])
    assert not same(steps[0], steps[1])


def test_pairs_drawn_ahead_are_shared_out(photos: Photographs) -> None:
    """Each step has its share of posterised photographs, and one that starts in between has what it had."""
    recipe = load_recipe("default", ["steps=4", "batch=4", "ahead=2"])
    steps = list(batches(photos, recipe, 0, 0, 1, CPU))
    assert [p.flat.tolist() for p in steps] == [[True, True, True, False]] * 4
    assert same(next(batches(photos, recipe, 3, 0, 1, CPU)), steps[3])
    assert not same(steps[0], steps[1])


def test_processes_share_a_step(photos: Photographs) -> None:
    recipe = load_recipe("default", ["steps=1", "batch=8", "chunk=2"])
    whole = next(batches(photos, recipe, 0, 0, 1, CPU))
    halves = [next(batches(photos, recipe, 0, rank, 2, CPU)) for rank in range(2)]
    assert not same(halves[0], halves[1])

    def chunks(p: Pairs) -> list[Pairs]:
        return [Pairs(*(getattr(p, f.name)[i : i + 2] for f in fields(Pairs))) for i in range(0, len(p.flat), 2)]

    (a, c), (b, d) = map(chunks, halves)
    assert same(whole, joined([a, b, c, d]))


def test_each_epoch_has_each_photograph_once() -> None:
    epochs = [[photograph_at(7 * e + i, 7, seed=3) for i in range(7)] for e in range(3)]
    assert all(sorted(e) == list(range(7)) for e in epochs)
    assert epochs[0] != epochs[1]


def test_uneven_shares_are_refused(photos: Photographs) -> None:
    with pytest.raises(ValueError, match="cannot be shared evenly by 3 processes: set batch to a multiple of 48"):
        next(batches(photos, load_recipe("default", ["batch=32", "chunk=16"]), 0, 0, 3, CPU))
