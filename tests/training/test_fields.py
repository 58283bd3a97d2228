"""Field families, and the strengths of the fields drawn from them."""

from __future__ import annotations

import pytest
import torch

from getnet_bids.core.known_fields import AMPLITUDE, CONTRAST_POWER, polynomials
from getnet_bids.training.fields import FAMILIES, families_of, random_log_gain, with_peak
from getnet_bids.training.recipe import load_recipe

EVERYWHERE = torch.ones(200, 1, 64, 64)


def draw(flat: float = 0.0, changes: tuple[str, ...] = (), recipe: str = "default", seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return random_log_gain(EVERYWHERE, load_recipe(recipe, changes), flat, generator)


def test_same_seed_same_fields_positive() -> None:
    assert torch.equal(draw(), draw())
    assert not torch.equal(draw(), draw(seed=1))
    assert bool((draw().exp() > 0).all())


@pytest.mark.parametrize("name", FAMILIES)
def test_spread_lies_in_the_family(name: str) -> None:
    spread = draw(changes=(f'families=["{name}"]', "known=0")).flatten(1).std(1)
    low, high = FAMILIES[name].spread
    assert low * 0.99 < float(spread.min()) < float(spread.max()) < high * 1.01
    assert float(spread.max()) - float(spread.min()) > 0.8 * (high - low)


def test_a_mixture_draws_from_each_family_and_keeps_length_and_strength_together() -> None:
    mixed = draw(changes=('families=["head-1.5T", "head-7T"]', "bowl=0", "wedge=0", "known=0"))[:, 0]
    spread = mixed.flatten(1).std(1)
    steep = mixed.diff(dim=1).abs().mean((1, 2)) / spread
    weak = spread < 0.125
    assert 0.3 < float(weak.float().mean()) < 0.7
    assert float(steep[~weak].mean()) > 1.5 * float(steep[weak].mean())


def test_flat_share() -> None:
    bare = draw(flat=0.25, changes=("known=0",)).abs().amax((1, 2, 3)) == 0
    assert 0.15 < float(bare.float().mean()) < 0.35
    assert float(draw(flat=1.0, changes=("known=0",)).abs().max()) == 0
    assert float(draw(flat=1.0, recipe="simko2019").abs().max()) == 0


def test_known_fields_have_the_terms_of_those_that_slices_are_multiplied_with() -> None:
    known = draw(flat=1.0, changes=("known=0.5",))
    some = known.abs().amax((1, 2, 3)) > 0
    assert 0.35 < float(some.float().mean()) < 0.65
    terms = polynomials(known.shape[-1]).flatten(1)
    parts = torch.linalg.lstsq(terms.T, known[some].flatten(1).T)
    assert float((terms.T @ parts.solution - known[some].flatten(1).T).abs().max()) < 1e-4
    size = parts.solution.abs()
    assert 0.6 * AMPLITUDE * 0.999 < float(size.min()) < AMPLITUDE * CONTRAST_POWER < float(size.max())
    assert 0.4 < float((parts.solution > 0).float().mean()) < 0.6


def test_the_papers_fields_stay_within_30_percent() -> None:
    gain = draw(recipe="simko2019").exp()
    peak = gain.amax((1, 2, 3)) - 1
    assert torch.allclose(gain.amin((1, 2, 3)), 1 - peak, atol=1e-5)
    assert 0.28 < float(peak.max()) <= 0.3 + 1e-6


def test_peak_0_is_a_gain_of_1() -> None:
    log_gain = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert float(with_peak(log_gain, torch.zeros(3)).abs().max()) == 0


def test_unknown_family() -> None:
    with pytest.raises(ValueError, match=r"no field family 'head-9T'; there are head-1\.5T"):
        families_of(load_recipe("default", ['families=["head-9T"]']))
