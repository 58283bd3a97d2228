"""A recipe: every setting of a training, with its unit."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any, Literal


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
        Share of the photographs held out, chosen by their content.
    widths, depths : tuple of four ints
        Channels of the network at 64x64, 32x32, 16x16 and 8x8, and residual blocks at each.
    steps, batch : int
        Optimiser steps, and pairs of slices a step.
    chunk : int
        Pairs that are drawn together, from one seed; the batch is shared out among processes in whole chunks.
    optimiser : str
        ``adamw`` or ``nadam``.
    learning_rate, final_rate : float
        Peak of the schedule, and its end as a share of the peak.
    warmup : int
        Steps of linear rise to the peak; a cosine falls from there.
    weight_decay, clip : float
        Of the optimiser; largest norm of the gradient, 0 for any.
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
        Natural logarithm of the largest scale; largest angle beside quarter turns, degrees. Both 0 also leaves out
        quarter turns and mirroring.
    contrast : float
        Natural logarithm of the largest power of the gray scale; above 0, half of the photographs are inverted.
    background, shelled, softened : float
        Shares of the slices that are cut to a body with zero background, get shells, are blurred.
    noise : float
        Largest Rician noise, share of the mean.
    signal : float
        Pixels count from this value on, of a photograph from 0 to 1; 0 counts all.
    families : tuple of str
        Field families (`fields.FAMILIES`) drawn in equal parts; none for one family of `coil`, `length`, `spread`.
    coil : float
        Share of the fields that are receive loops'; the rest are Gaussian random fields.
    length : tuple of float
        Correlation length of the Gaussian fields, share of the slice's side, drawn log-uniformly.
    spread : tuple of float
        Standard deviation of the fields' natural logarithm over the foreground, drawn uniformly.
    flat : float
        Share of the pairs whose second slice has no field at all: k2 = 1.
    peak : float
        If above 0, a field spans 1 - p to 1 + p in place of `spread`, with p drawn uniformly up to this.
    loss : str
        ``log`` (absolute error of the logarithm, free of scale) or ``gain`` (the paper's ``|k - N|``).
    seed : int
        Of everything random.
    """

    name: str = "default"
    photographs: int = 0
    validation: float = 0.02
    widths: tuple[int, int, int, int] = (32, 64, 96, 160)
    depths: tuple[int, int, int, int] = (1, 2, 3, 3)
    steps: int = 6000
    batch: int = 32
    chunk: int = 16
    optimiser: str = "adamw"
    learning_rate: float = 2e-3
    final_rate: float = 0.01
    warmup: int = 200
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.998
    precision: Literal["32-true", "bf16-mixed"] = "bf16-mixed"
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
    signal: float = 0.04
    families: tuple[str, ...] = ()
    coil: float = 0.3
    length: tuple[float, float] = (0.15, 0.9)
    spread: tuple[float, float] = (0.02, 0.45)
    flat: float = 0.25
    peak: float = 0.0
    loss: str = "log"
    seed: int = 0

    def __post_init__(self) -> None:
        def demand(right: bool, name: str, wanted: str) -> None:
            if not right:
                raise ValueError(f"recipe {self.name!r}: {name} must be {wanted}, not {getattr(self, name)!r}")

        shares = ("validation", "posterised", "texture", "background", "shelled", "softened", "coil", "flat")
        for name in (*shares, "final_rate"):
            demand(0 <= getattr(self, name) <= 1, name, "a share from 0 to 1")
        for name in ("ema", "peak"):
            demand(0 <= getattr(self, name) < 1, name, "from 0 to below 1")
        for name in ("photographs", "warmup", "weight_decay", "clip", "zoom", "contrast", "noise", "signal", "seed"):
            demand(getattr(self, name) >= 0, name, "0 or more")
        for name in ("steps", "batch", "chunk"):
            demand(getattr(self, name) >= 1, name, "1 or more")
        demand(self.learning_rate > 0, "learning_rate", "above 0")
        for name in ("widths", "depths"):
            demand(len(getattr(self, name)) == 4 and min(getattr(self, name)) > 0, name, "four numbers above 0")
        for name in ("classes", "length", "spread"):
            demand(ordered(getattr(self, name)), name, "a least and a greatest value")
        demand(self.classes[0] >= 2, "classes", "2 or more")
        demand(self.length[0] >= 0.08, "length", "0.08 or more")
        demand(self.batch <= self.chunk or self.batch % self.chunk == 0, "batch", f"in chunks of {self.chunk}")
        demand(self.optimiser in ("adamw", "nadam"), "optimiser", "adamw or nadam")
        demand(self.precision in ("32-true", "bf16-mixed"), "precision", "32-true or bf16-mixed")
        demand(self.loss in ("log", "gain"), "loss", "log or gain")


def ordered(pair: tuple[float, ...]) -> bool:
    """Whether these are a least and a greatest value, neither below 0."""
    return len(pair) == 2 and 0 <= pair[0] <= pair[1]


def load_recipe(name: str | Path, changes: Iterable[str] = ()) -> Recipe:
    """Read a recipe of the package by its name, or any by its path, and change some of its values.

    Parameters
    ----------
    name : str or Path
        ``default``, ``simko2019`` or the path of a TOML file.
    changes : iterable of str
        Each ``setting=value``, the value as in TOML; text needs no quotes.

    Raises
    ------
    ValueError
        The recipe is unknown, or has an unknown setting or one of a wrong kind or value.

    Examples
    --------
    >>> load_recipe("default", ["steps=10", "length=[0.2, 0.5]"]).length
    (0.2, 0.5)
    """
    folder = resources.files(__package__).joinpath("recipes")
    inside = folder.joinpath(f"{name}.toml")
    source = inside if inside.is_file() else Path(name)
    if not source.is_file():
        known = ", ".join(sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".toml")))
        raise ValueError(f"no recipe {str(name)!r}: give one of {known}, or the path of a TOML file")
    try:
        values = tomllib.loads(source.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{name}: not a TOML file ({error})") from None
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise ValueError(f"{change!r}: give a setting and its new value as in steps=100")
        values[key.strip()] = toml_value(text.strip())
    return recipe_of(values, str(name))


def recipe_of(values: dict[str, Any], source: str) -> Recipe:
    """Make a recipe of settings by name; those that are missing have their defaults."""
    defaults = {f.name: f.default for f in fields(Recipe)}
    for key, value in values.items():
        if key not in defaults:
            raise ValueError(f"{source}: there is no setting {key!r}; there are {', '.join(defaults)}")
        values[key] = fitted(value, defaults[key], f"{source}: {key}")
    return dataclasses.replace(Recipe(), **values)


def fitted(value: Any, like: Any, name: str) -> Any:
    """Give a value the type of another: whole numbers may stand for others, and lists for tuples."""
    if isinstance(like, tuple) and isinstance(value, list | tuple):
        example = like[0] if like else ""
        return tuple(fitted(v, example, name) for v in value)
    if isinstance(like, float) and type(value) is int:
        return float(value)
    if type(value) is not type(like):
        kind = {tuple: "a list", float: "a number", int: "a whole number", str: "text"}[type(like)]
        raise ValueError(f"{name} must be {kind}, not {value!r}")
    return value


def toml_value(text: str) -> Any:
    """Read a value as TOML would, and what it cannot read as text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def to_toml(recipe: Recipe) -> str:
    """Write a recipe with all its values, such that `load_recipe` gives it back."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in asdict(recipe).items())


def difference(one: Recipe, other: Recipe) -> str:
    """Name the settings in which two recipes differ, with both values; empty if they do not."""
    pairs = ((f.name, getattr(one, f.name), getattr(other, f.name)) for f in fields(Recipe))
    return ", ".join(f"{name} {a!r} -> {b!r}" for name, a, b in pairs if a != b)
