"""Recipes: all settings of a training, with their units."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Recipe:
    """Settings of a training; the TOML files in ``recipes`` give the source of each value.

    Parameters
    ----------
    name : str
        Name for the model card.
    photographs : int
        Largest number of photographs, which are chosen at random; 0 for all.
    validation : float
        Fraction of the photographs held out, chosen by their content.
    widths, depths : tuple of four ints
        Number of the network's channels at 64x64, 32x32, 16x16 and 8x8, and of residual blocks at each.
    steps, batch : int
        Number of optimiser steps, and of pairs of slices per step.
    chunk : int
        Number of pairs that are drawn together from one seed; processes share a batch in whole chunks.
    ahead : int
        Number of steps whose pairs are drawn together: above 1 for small batches, for which drawing would take a GPU
        longer than the step.
    optimiser : str
        ``adamw`` or ``nadam``.
    learning_rate, final_rate : float
        Peak of the schedule, and its end as a fraction of the peak.
    warmup : int
        Number of steps of the linear rise to the peak, after which the rate falls like a cosine.
    weight_decay, clip : float
        Weight decay of the optimiser; largest norm of the gradient, 0 for no limit.
    ema : float
        Decay of the moving average of the weights, per step; 0 exports the weights themselves.
    precision : str
        ``32-true`` or ``bf16-mixed``.
    posterised : float
        Fraction of the photographs that are posterised and supervised by the field itself.
    classes : tuple of int
        Smallest and largest number of gray classes.
    smoothed : float
        Half of the photographs are blurred before they are posterised, by at most this standard deviation, pixels.
    levels : tuple of float
        Standard deviation of the classes' levels, natural logarithm, drawn for each slice.
    texture : float
        Largest fraction of the photograph that is kept in its classes.
    zoom, turn : float
        Natural logarithm of the largest scale; largest angle in addition to quarter turns, degrees. If both are 0,
        there are no quarter turns and no mirroring either.
    contrast : float
        Natural logarithm of the largest power of the gray scale; above 0, half of the photographs are inverted.
    background : float
        Fraction of the slices that are bodies with a random outline and zero background.
    waves : float
        Twice the largest standard deviation of the smooth noise that displaces outlines and rims, pixels.
    rims, cores, ribbons : float
        Fractions of the slices with one to three rims below the outline, with nested classes that follow the outline at
        a distance, and with a ribbon along a level set of a smoothed photograph.
    rim : tuple of float
        Thickness of a rim, pixels, drawn log-uniformly.
    variation, grain : float
        Largest standard deviation of the logarithm of smooth changes within classes, and of texture across them.
    blur : float
        Largest standard deviation of the partial volume effect, pixels.
    thick : float
        Fraction of the slices that are blurred more along one axis.
    cut : tuple of float
        Smallest and largest distance by which the foreground mask is deeper than the outline, or a rim's end, pixels.
    lines, ghost : float
        Largest difference of even and odd lines, and largest strength of a ghost; for three slices in ten each.
    clipped : float
        Fraction of the slices whose brightest values are clipped.
    noise : float
        Largest Rician noise, as a fraction of the mean.
    noisy_background : float
        Fraction of the slices that keep the noise of the background.
    signal : float
        Smallest value of pixels that count, in a photograph from 0 to 1; 0 counts all.
    families : tuple of str
        Field families (`fields.FAMILIES`) drawn in equal parts; if empty, one family given by `coil`, `length`,
        `spread`.
    coil, bowl, wedge : float
        Fractions of the fields that are those of receive loops, bright or dark around a centre, and rising along a
        direction; the rest are Gaussian random fields.
    length : tuple of float
        Correlation length of the Gaussian fields, as a fraction of the slice's side, drawn log-uniformly.
    spread : tuple of float
        Limits of the standard deviation of the fields' natural logarithm over the foreground: the lower one plus the
        range times the square of a uniform number, so that weak fields are frequent.
    flat : float
        Fraction of the pairs whose second slice has no field: k2 = 1.
    known : float
        Fraction of the fields that are multiplied by one of the known fields that getnet_bids asks the network about.
    peak : float
        If above 0, a field spans 1 - p to 1 + p instead of having a `spread`, with p drawn uniformly up to this.
    loss : str
        ``log`` (absolute error of the logarithm, independent of scale) or ``gain`` (the paper's ``|k - N|``).
    seed : int
        Seed of everything random.
    start : str
        SHA-256 of the weights from which the training starts (``getnet-train --start-from``); empty for random ones.
    """

    name: str
    seed: int
    start: str
    photographs: int
    validation: float
    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    steps: int
    batch: int
    chunk: int
    ahead: int
    optimiser: str
    learning_rate: float
    final_rate: float
    warmup: int
    weight_decay: float
    clip: float
    ema: float
    precision: Literal["32-true", "bf16-mixed"]
    loss: str
    posterised: float
    classes: tuple[int, int]
    smoothed: float
    levels: tuple[float, float]
    texture: float
    zoom: float
    turn: float
    contrast: float
    background: float
    waves: float
    rims: float
    rim: tuple[float, float]
    cores: float
    ribbons: float
    variation: float
    grain: float
    blur: float
    thick: float
    cut: tuple[float, float]
    lines: float
    ghost: float
    clipped: float
    noise: float
    noisy_background: float
    signal: float
    families: tuple[str, ...]
    coil: float
    bowl: float
    wedge: float
    length: tuple[float, float]
    spread: tuple[float, float]
    flat: float
    known: float
    peak: float

    @property
    def chunks(self) -> int:
        """Number of chunks in which the pairs of a step are drawn."""
        return max(1, self.batch // self.chunk)

    def __post_init__(self) -> None:
        def demand(right: bool, name: str, wanted: str) -> None:
            if not right:
                raise ValueError(f"recipe {self.name!r}: {name} must be {wanted}, not {getattr(self, name)!r}")

        for each in fields(self):
            value = getattr(self, each.name)
            numbers = value if isinstance(value, tuple) else (value,)
            finite = all(math.isfinite(x) for x in numbers if isinstance(x, float))
            demand(finite, each.name, "finite")
        shares = (
            "validation", "posterised", "texture", "background", "rims", "cores", "ribbons", "thick", "clipped",
            "noisy_background", "coil", "bowl", "wedge", "flat", "known", "final_rate",
        )  # fmt: skip
        for name in shares:
            demand(0 <= getattr(self, name) <= 1, name, "a share from 0 to 1")
        for name in ("ema", "peak", "lines", "signal"):
            demand(0 <= getattr(self, name) < 1, name, "from 0 to below 1")
        amounts = (
            "photographs", "warmup", "weight_decay", "clip", "zoom", "contrast", "smoothed", "waves", "variation",
            "grain", "blur", "ghost", "noise", "turn", "seed",
        )  # fmt: skip
        for name in amounts:
            demand(getattr(self, name) >= 0, name, "0 or more")
        for name in ("steps", "batch", "chunk", "ahead"):
            demand(getattr(self, name) >= 1, name, "1 or more")
        demand(self.learning_rate > 0, "learning_rate", "above 0")
        demand(self.seed < 2**63, "seed", "below 2^63")
        demand(self.coil + self.bowl + self.wedge <= 1, "coil", "at most 1 together with bowl and wedge")
        for name in ("widths", "depths"):
            demand(len(getattr(self, name)) == 4 and min(getattr(self, name)) > 0, name, "four numbers above 0")
        for name in ("classes", "length", "spread", "levels", "rim"):
            demand(ordered(getattr(self, name)), name, "a least and a greatest value")
        demand(len(self.cut) == 2 and self.cut[0] <= self.cut[1], "cut", "a least and a greatest value")
        demand(self.rim[0] > 0, "rim", "above 0")
        demand(self.classes[0] >= 2, "classes", "2 or more")
        demand(self.length[0] >= 0.08, "length", "0.08 or more")
        demand(self.batch <= self.chunk or self.batch % self.chunk == 0, "batch", f"in chunks of {self.chunk}")
        demand(self.optimiser in ("adamw", "nadam"), "optimiser", "adamw or nadam")
        demand(self.precision in ("32-true", "bf16-mixed"), "precision", "32-true or bf16-mixed")
        demand(self.loss in ("log", "gain"), "loss", "log or gain")


def ordered(pair: tuple[float, ...]) -> bool:
    """Return whether these are a smallest and a largest value, not below 0."""
    return len(pair) == 2 and 0 <= pair[0] <= pair[1]


def load_recipe(name: str | Path, changes: Iterable[str] = ()) -> Recipe:
    """Read a recipe of the package by its name, or any recipe by its path, and change some of its values.

    Parameters
    ----------
    name : str or Path
        ``default``, ``simko2019`` or the path of a TOML file.
    changes : iterable of str
        Changes ``setting=value``, with the value as in TOML; text needs no quotes.

    Raises
    ------
    ValueError
        The recipe is unknown, or has an unknown setting, or a setting with a wrong type or value.

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
    """Make a recipe from settings by name, of which none may be missing."""
    kinds = get_type_hints(Recipe)
    for key in values:
        if key not in kinds:
            raise ValueError(f"{source}: there is no setting {key!r}; there are {', '.join(kinds)}")
    missing = [key for key in kinds if key not in values]
    if missing:
        raise ValueError(f"{source}: {', '.join(missing)} missing; a recipe states every setting, as default.toml does")
    return Recipe(**{key: converted(value, kinds[key], f"{source}: {key}") for key, value in values.items()})


def converted(value: Any, kind: Any, name: str) -> Any:
    """Convert a value to a setting's type: whole numbers may replace other numbers, and lists tuples."""
    if get_origin(kind) is tuple and isinstance(value, list | tuple):
        return tuple(converted(v, get_args(kind)[0], name) for v in value)
    kind = get_origin(kind) or kind
    if kind is float and type(value) is int:
        return float(value)
    if kind is Literal:
        kind = str
    if type(value) is not kind:
        kinds = {tuple: "a list", float: "a number", int: "a whole number", str: "text"}
        raise ValueError(f"{name} must be {kinds[kind]}, not {value!r}")
    return value


def toml_value(text: str) -> Any:
    """Read a value as TOML, or as text if it is not valid TOML."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def to_toml(recipe: Recipe) -> str:
    """Format a recipe with all its values, so that `load_recipe` can read it."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in asdict(recipe).items())


def difference(one: Recipe, other: Recipe) -> str:
    """List the settings in which two recipes differ, with both values; empty if they are the same."""
    pairs = ((f.name, getattr(one, f.name), getattr(other, f.name)) for f in fields(Recipe))
    return ", ".join(f"{name} {a!r} -> {b!r}" for name, a, b in pairs if a != b)
