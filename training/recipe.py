"""A recipe: every setting of a training, with its unit."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """Settings of a training; the TOML files in ``recipes`` say where each value comes from.

    Parameters
    ----------
    name : str
        For the model card.
    photographs : int
        At most so many photographs are used, chosen at random; 0 for all.
    validation : float
        Share of the photographs held out.
    steps, batch : int
        Optimiser steps, and pairs of slices a step.
    learning_rate, final_rate : float
        Peak of the schedule, and its end as a share of the peak.
    warmup : int
        Steps of linear rise to the peak; a cosine falls from there.
    weight_decay, clip : float
        Of AdamW; largest norm of the gradient.
    ema : float
        Decay of the moving average of the weights, per step; 0 exports the weights themselves.
    precision : str
        ``32-true`` or ``bf16-mixed``.
    posterised : float
        Share of the photographs that are posterised and supervised by the field itself.
    classes : tuple of int
        Least and greatest number of gray classes.
    texture : float
        Largest share of the photograph left in its classes.
    zoom, turn : float
        Natural logarithm of the largest scale; largest angle beside quarter turns, degrees.
    contrast : float
        Natural logarithm of the largest power of the gray scale.
    background, shelled, softened : float
        Shares of the slices that are cut to a body with zero background, get shells, are blurred.
    noise : float
        Largest Rician noise, share of the mean.
    coil : float
        Share of the fields that are receive loops'; the rest are Gaussian random fields.
    length : tuple of float
        Correlation length of the Gaussian fields, share of the slice's side, drawn log-uniformly.
    spread : tuple of float
        Standard deviation of the fields' natural logarithm over the foreground, drawn uniformly.
    flat : float
        Share of the posterised slices' partners that have no field at all.
    peak : float
        If above 0, each field is scaled to span 1 - peak to 1 + peak instead (the paper's 30 %: 0.3).
    loss : str
        ``log`` (absolute error of the logarithm, free of scale) or ``gain`` (the paper's |k - N|).
    seed : int
        Of everything random.
    """

    name: str = "default"
    photographs: int = 0
    validation: float = 0.02
    steps: int = 6000
    batch: int = 32
    learning_rate: float = 2e-3
    final_rate: float = 0.01
    warmup: int = 200
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.998
    precision: str = "bf16-mixed"
    posterised: float = 0.75
    classes: tuple[int, int] = (2, 7)
    texture: float = 0.25
    zoom: float = 0.7
    turn: float = 15.0
    contrast: float = 0.6
    background: float = 0.95
    shelled: float = 0.4
    softened: float = 0.5
    noise: float = 0.08
    coil: float = 0.3
    length: tuple[float, float] = (0.15, 0.9)
    spread: tuple[float, float] = (0.02, 0.45)
    flat: float = 0.25
    peak: float = 0.0
    loss: str = "log"
    seed: int = 0


def load_recipe(name: str, **changes: Any) -> Recipe:
    """Read a recipe of the package by its name, or any by its path, and change some of its values.

    Parameters
    ----------
    name : str
        ``default``, ``simko2019`` or the path of a TOML file.
    **changes
        Values that replace the file's.

    Raises
    ------
    ValueError
        The recipe is unknown, or has an unknown setting or one of a wrong kind.

    Examples
    --------
    >>> load_recipe("default", steps=10).steps
    10
    """
    inside = resources.files(__package__).joinpath("recipes", f"{name}.toml")
    source = inside if inside.is_file() else Path(name)
    if not source.is_file():
        known = ", ".join(sorted(p.name[:-5] for p in resources.files(__package__).joinpath("recipes").iterdir()))
        raise ValueError(f"no recipe {name!r}: give one of {known}, or the path of a TOML file")
    values = tomllib.loads(source.read_text()) | changes
    kinds = {f.name: type(f.default) for f in fields(Recipe)}
    for key, value in values.items():
        if key not in kinds:
            raise ValueError(f"{name}: no setting {key!r}; there are {', '.join(kinds)}")
        if kinds[key] is tuple and isinstance(value, list):
            values[key] = value = tuple(value)
        if kinds[key] is float and isinstance(value, int):
            values[key] = value = float(value)
        if not isinstance(value, kinds[key]):
            raise ValueError(f"{name}: {key} must be of type {kinds[key].__name__}, not {value!r}")
    return dataclasses.replace(Recipe(), **values)
