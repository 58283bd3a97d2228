"""Recipes: both of the package, changes, and what is refused."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from importlib import resources
from pathlib import Path

import pytest

from getnet_bids.training.recipe import Recipe, difference, load_recipe, to_toml


@pytest.mark.parametrize("name", ["default", "simko2019"])
def test_a_recipe_of_the_package_states_every_setting(name: str) -> None:
    text = resources.files("getnet_bids.training").joinpath("recipes", f"{name}.toml").read_text()
    assert set(tomllib.loads(text)) == {f.name for f in fields(Recipe)}
    assert load_recipe(name).name == name


def test_the_paper() -> None:
    recipe = load_recipe("simko2019")
    assert recipe.photographs == 108_000
    assert recipe.loss == "gain"
    assert (recipe.peak, recipe.flat, recipe.posterised) == (0.3, 1.0, 0.0)


def test_written_and_read_again(tmp_path: Path) -> None:
    recipe = load_recipe("default", ["steps=7", 'families=["head-7T","body-3T"]', "length=[0.2, 0.5]"])
    (tmp_path / "recipe.toml").write_text(to_toml(recipe))
    assert load_recipe(tmp_path / "recipe.toml") == recipe


def test_changes() -> None:
    recipe = load_recipe("default", ["steps=10", "learning_rate=1", "precision=32-true", "name=mine"])
    assert (recipe.steps, recipe.learning_rate, recipe.precision, recipe.name) == (10, 1.0, "32-true", "mine")
    assert difference(load_recipe("default", ["steps=10"]), load_recipe("default", ["steps=11"])) == "steps 10 -> 11"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["stepz=10"], "no setting 'stepz'; there are name, seed"),
        (["steps"], "give a setting and its new value as in steps=100"),
        (["steps=many"], "steps must be a whole number, not 'many'"),
        (["steps=1.5"], "steps must be a whole number"),
        (["steps=true"], "steps must be a whole number"),
        (["length=0.3"], "length must be a list"),
        (["length=[0.5, 0.2]"], "length must be a least and a greatest value"),
        (["length=[0.01, 0.2]"], "length must be 0.08 or more"),
        (["batch=384"], "batch must be in chunks of 256"),
        (["noise=-1"], "noise must be 0 or more"),
        (["loss=l2"], "loss must be log or gain"),
        (["validation=2"], "validation must be a share"),
        (["widths=[1, 2]"], "widths must be four numbers"),
        (["turn=nan"], "turn must be finite"),
        (["learning_rate=inf"], "learning_rate must be finite"),
        (["turn=-3"], "turn must be 0 or more"),
        (["signal=5"], "signal must be from 0 to below 1"),
        (["coil=0.9", "bowl=0.9"], "coil must be at most 1 together with bowl and wedge"),
        (["seed=9223372036854775808"], "seed must be below 2"),
    ],
)
def test_wrong_changes(changes: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        load_recipe("default", changes)


def test_unknown_recipe_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give one of default, simko2019, or the path"):
        load_recipe("simko")
    (tmp_path / "broken.toml").write_text("steps = = 3")
    with pytest.raises(ValueError, match="not a TOML file"):
        load_recipe(tmp_path / "broken.toml")
