from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from getnet_bids.bids.discovery import Source
from getnet_bids.bids.names import Name
from getnet_bids.bids.outputs import Outputs
from getnet_bids.bids.provenance import InputFile, Recipe, is_done, provenance
from getnet_bids.bids.sidecars import write_sidecars

RECIPE = Recipe(Path("w.safetensors"), "sha256:1", {"refine": True})


@pytest.fixture
def made(tmp_path):
    """Return a raw file and the complete outputs made from it."""
    relative = "sub-01/anat/sub-01_T1w.nii.gz"
    source = Source(tmp_path / "raw", relative, Name.parse("sub-01_T1w.nii.gz"))
    outputs = Outputs.of(source, tmp_path / "out")
    source.path.parent.mkdir(parents=True)
    source.path.write_bytes(b"raw image")
    outputs.corrected.parent.mkdir(parents=True)
    for image in outputs.images:
        image.write_bytes(b"some voxels")
    file, _ = InputFile.read(source.path)
    write_sidecars(source, outputs, (False, "said"), provenance(RECIPE, file, outputs.images))
    return source, outputs


def test_complete_results_are_done(made):
    source, outputs = made
    assert is_done(source.path, outputs, RECIPE)
    assert is_done(source.path, Outputs(outputs.corrected, outputs.field, with_field=False), RECIPE)


def test_a_copy_with_another_time_is_the_same(made):
    source, outputs = made
    os.utime(source.path, ns=(1, 1))
    assert is_done(source.path, outputs, RECIPE)


@pytest.mark.parametrize("content", [b"raw image, longer", b"RAW IMAGE"])
def test_another_input_is_seen(made, content):
    source, outputs = made
    source.path.write_bytes(content)
    os.utime(source.path, ns=(1, 1))
    assert not is_done(source.path, outputs, RECIPE)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(RECIPE.weights, "sha256:2", RECIPE.options),
        Recipe(RECIPE.weights, RECIPE.weights_hash, {"refine": False}),
    ],
)
def test_another_recipe_is_seen(made, recipe):
    source, outputs = made
    assert not is_done(source.path, outputs, recipe)


def test_incomplete_results_are_seen(made):
    source, outputs = made
    for path in [*outputs.images, *outputs.sidecars]:
        content = path.read_bytes()
        path.unlink()
        assert not is_done(source.path, outputs, RECIPE)
        path.write_bytes(content[:-3])
        whole = path == outputs.sidecars[0]  # the field's sidecar need only be there
        assert is_done(source.path, outputs, RECIPE) is whole
        path.write_bytes(content)
    assert is_done(source.path, outputs, RECIPE)


def test_nonsense_in_a_sidecar_means_not_done(made):
    source, outputs = made
    for text in ("[]", "{", json.dumps({"GetNet": 3}), json.dumps({"GetNet": {}})):
        outputs.sidecars[-1].write_text(text)
        assert not is_done(source.path, outputs, RECIPE)


def test_the_order_of_options_does_not_matter():
    a, b = ({"x": 1, "y": None}, {"y": None, "x": 1})
    assert Recipe(Path("w"), "h", a).options_hash == Recipe(Path("w"), "h", b).options_hash
