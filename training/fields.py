"""Families of gain fields, by field strength and coil, and random fields drawn from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from getnet_bids.core.gain import coil_log_gain, smooth_log_gain, with_spread
from getnet_bids.core.known_fields import AMPLITUDE, TERMS, polynomials

from .recipe import Recipe
from .transforms import chance, uniform

GRID = 64
"""Number of points per side of the grid on which fields are drawn, which is much finer than their variation."""


@dataclass(frozen=True)
class Family:
    """Gain fields of one kind of scan.

    Parameters
    ----------
    length : tuple of float
        Smallest and largest correlation length, as a fraction of the slice's side.
    spread : tuple of float
        Smallest and largest standard deviation of the natural logarithm over the foreground; weak fields are drawn more
        often, like the square of a uniform number.
    coil : float
        Fraction of the fields that are those of receive loops; the rest are Gaussian random fields.
    """

    length: tuple[float, float]
    spread: tuple[float, float]
    coil: float


def relative_to(low: float, high: float, view: float) -> tuple[float, float]:
    """Convert lengths in mm to fractions of a field of view in mm."""
    return low / view, high / view


FAMILIES = {
    "head-1.5T": Family(relative_to(150, 300, 256), (0.03, 0.10), coil=0.0),
    "head-3T": Family(relative_to(80, 200, 256), (0.06, 0.20), coil=0.2),
    "head-7T": Family(relative_to(40, 120, 256), (0.15, 0.45), coil=0.3),
    "body-3T": Family(relative_to(100, 300, 450), (0.10, 0.35), coil=0.3),
    "surface-coil": Family(relative_to(40, 120, 256), (0.15, 0.45), coil=1.0),
}
"""Ranges found at these field strengths, rounded outwards. Lengths are in mm, in a field of view of 256 mm for heads
and 450 mm for bodies; a spread of .10 corresponds to a max/min of about 1.4, .20 to 2, .45 to 5."""


def families_of(recipe: Recipe) -> list[Family]:
    """Return the families that a recipe draws from.

    Raises
    ------
    ValueError
        The recipe names an unknown family.

    Examples
    --------
    >>> from getnet_bids.training.recipe import load_recipe
    >>> families_of(load_recipe("default", ["families=['head-7T']"]))[0].spread
    (0.15, 0.45)
    """
    for name in recipe.families:
        if name not in FAMILIES:
            raise ValueError(f"there is no field family {name!r}; there are {', '.join(FAMILIES)}")
    return [FAMILIES[n] for n in recipe.families] or [Family(recipe.length, recipe.spread, recipe.coil)]


def random_log_gain(share: Tensor, recipe: Recipe, flat: float, generator: torch.Generator) -> Tensor:
    """Draw fields of a recipe's families and strengths.

    Parameters
    ----------
    share : Tensor, shape (N, 1, 64, 64)
        Fraction of each grid point's surroundings with signal, as weights for the fields' spread.
    recipe : Recipe
    flat : float
        Fraction of the fields that are 1 everywhere.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, 64, 64)
        Natural logarithms of the fields.
    """
    n, families = len(share), families_of(recipe)
    rows = [(*map(math.log, f.length), *f.spread, f.coil) for f in families]
    ranges = torch.tensor(rows, device=share.device)
    if len(families) > 1:
        ranges = ranges[torch.randint(len(families), (n,), generator=generator, device=share.device)]
    shortest, longest, least, greatest, often = ranges.unbind(1)  # shape (N,), or (1,) for all

    length = uniform(n, shortest, longest, generator).exp()
    log_gain = smooth_log_gain((GRID, GRID), length, generator)
    kind = uniform(n, 0, 1, generator)
    for portion, draw in ((often, coil_fields), (recipe.bowl, bowls), (recipe.wedge, wedges)):
        if isinstance(portion, Tensor) or portion > 0:
            log_gain = torch.where((kind < portion)[:, None, None], draw(n, log_gain, generator), log_gain)
            kind = torch.where(kind < portion, 2.0, kind - portion)

    by_peak = recipe.peak > 0
    if by_peak:
        strength = uniform(n, 0, recipe.peak, generator)
    else:
        strength = least + (greatest - least) * uniform(n, 0, 1, generator).square()
    strength = torch.where(uniform(n, 0, 1, generator) < flat, 0.0, strength)
    log_gain = log_gain[:, None]
    # A small object would see only part of a field, so its surroundings count a little.
    log_gain = with_peak(log_gain, strength) if by_peak else with_spread(log_gain, share.clamp_min(0.1), strength)
    if recipe.known > 0:
        log_gain = log_gain + chance(n, recipe.known, generator) * known_fields(n, generator)
    return log_gain


def coil_fields(n: int, _smooth: Tensor, generator: torch.Generator) -> Tensor:
    """Draw fields of receive loops, shape (n, 64, 64)."""
    return coil_log_gain((GRID, GRID), n, generator)


def bowls(n: int, smooth: Tensor, generator: torch.Generator) -> Tensor:
    """Draw fields that are bright or dark around a centre, like those of dielectric effects at high field strength.

    Each is a Gaussian of .15 to .6 of the side, longer along one axis, with a centre up to .25 away from the middle,
    plus a little of a smooth field.

    Parameters
    ----------
    n : int
    smooth : Tensor, shape (n, 64, 64)
        Fields of a standard deviation of about 1.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (n, 64, 64)
        With arbitrary mean and strength.
    """
    y, x = grid(smooth)
    centre = [uniform(n, -0.25, 0.25, generator)[:, None, None] for _ in range(2)]
    width = uniform(n, math.log(0.15), math.log(0.6), generator).exp()[:, None, None]
    longer = uniform(n, 1, 1.6, generator)[:, None, None]
    angle = uniform(n, 0, math.pi, generator)[:, None, None]
    cos, sin = torch.cos(angle), torch.sin(angle)
    u, v = cos * (x - centre[0]) + sin * (y - centre[1]), cos * (y - centre[1]) - sin * (x - centre[0])
    bowl = torch.exp(-0.5 * ((u / longer).square() + v.square()) / width.square())
    sign = torch.where(uniform(n, 0, 1, generator) < 0.5, -1.0, 1.0)[:, None, None]
    return sign * bowl + 0.1 * uniform(n, 0, 1, generator)[:, None, None] * smooth


def wedges(n: int, smooth: Tensor, generator: torch.Generator) -> Tensor:
    """Draw fields that rise along one direction, with a little of a smooth field; shape (n, 64, 64)."""
    y, x = grid(smooth)
    angle = uniform(n, 0, 2 * math.pi, generator)[:, None, None]
    return torch.cos(angle) * x + torch.sin(angle) * y + 0.1 * uniform(n, 0, 1, generator)[:, None, None] * smooth


def known_fields(n: int, generator: torch.Generator) -> Tensor:
    """Draw fields like those that getnet_bids multiplies slices with (`core.known_fields`), shape (n, 1, 64, 64).

    Each term has either sign, and .6 to 1.8 times the amplitude, since raising slices to a power amplifies the field.
    """
    sign = torch.randint(2, (n, TERMS), generator=generator, device=generator.device) * 2 - 1
    size = AMPLITUDE * (0.6 + 1.2 * torch.rand(n, TERMS, generator=generator, device=generator.device))
    return torch.einsum("nt,txy->nxy", sign * size, polynomials(GRID).to(generator.device))[:, None]


def grid(like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the coordinates of the grid's points, for a side of length 1 centred at 0; shapes (64, 1) and (1, 64)."""
    axis = (torch.arange(GRID, device=like.device) + 0.5) / GRID - 0.5
    return axis[:, None], axis[None, :]


def with_peak(log_gain: Tensor, peak: Tensor) -> Tensor:
    """Shift and scale log fields such that the gain spans 1 - peak to 1 + peak.

    Parameters
    ----------
    log_gain : Tensor, shape (N, ...)
        Fields with any mean and spread.
    peak : Tensor, shape (N,)
        Below 1; 0 gives a gain of 1 everywhere.

    Returns
    -------
    Tensor, shape (N, ...)
    """
    x = log_gain.flatten(1)
    low, high = x.amin(1, keepdim=True), x.amax(1, keepdim=True)
    unit = 2 * (x - low) / (high - low).clamp_min(1e-6) - 1
    return torch.log1p(unit * peak[:, None]).reshape(log_gain.shape)
