"""The weights in the package, their card and the recipe say the same."""

import hashlib
import json
import re
import tomllib

from safetensors import safe_open

from getnet_bids.training.gathering.listed import listed
from getnet_bids.training.recipe import load_recipe
from getnet_bids.weights import default_weights

CARD = default_weights().with_suffix(".md").read_text()


def test_the_card_is_of_these_weights():
    assert hashlib.sha256(default_weights().read_bytes()).hexdigest() in CARD


def test_the_recipe_is_the_one_that_made_them():
    settings = tomllib.loads(re.search(r"```toml\n(.*?)```", CARD, re.DOTALL)[1])
    recipe = load_recipe("default")
    made = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    assert {key: getattr(recipe, key) for key in made} == made
    assert f"{recipe.steps:,} of {recipe.steps:,}" in CARD


def test_the_network_in_the_file_is_the_recipe_s():
    recipe = load_recipe("default")
    with safe_open(default_weights(), framework="pt") as file:
        config = json.loads(file.metadata()["config"])
    assert (config["widths"], config["depths"]) == (list(recipe.widths), list(recipe.depths))


def test_the_card_names_every_collection_of_the_list():
    photographs = listed()
    assert f"{len(photographs):,} photographs" in CARD
    for collection in {photograph.collection for photograph in photographs}:
        assert f"| {collection} |" in CARD
