from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from getnet_bids.bids.discovery import Source
from getnet_bids.bids.names import Name
from getnet_bids.bids.outputs import Outputs, sidecar
from getnet_bids.bids.provenance import InputFile, Recipe, provenance
from getnet_bids.comparison.jobs import Derivatives, recipe_of
from getnet_bids.comparison.methods import METHODS
from getnet_bids.comparison.outputs import FILES, Comparison, is_compared
from getnet_bids.comparison.sidecars import correction_sidecars, write_sidecars
from tests.datasets import add

N4 = METHODS["n4"]

RAW = [
    "sub-01/anat/sub-01_T1w.nii.gz",
    "sub-01/anat/sub-01_T2w.nii",
    "sub-01/anat/sub-01_run-1_T1w.nii.gz",
    "sub-01/anat/sub-01_run-2_T1w.nii.gz",
    "sub-01/anat/sub-01_acq-a_T1w.nii.gz",
    "sub-01/anat/sub-01_acq-a+b_T1w.nii.gz",
    "sub-01/anat/sub-01_inv-1_MP2RAGE.nii.gz",
    "sub-01/anat/sub-01_inv-2_MP2RAGE.nii.gz",
    "sub-01/anat/sub-01_flip-1_mt-on_MTS.nii.gz",
    "sub-01/anat/sub-01_flip-2_mt-on_MTS.nii.gz",
    "sub-01/anat/sub-01_echo-1_MEGRE.nii.gz",
    "sub-01/ses-a/anat/sub-01_ses-a_FLAIR.nii.gz",
    "sub-01/ses-b/anat/sub-01_ses-b_FLAIR.nii.gz",
    "sub-02/anat/sub-02_T1w.nii.gz",
]


@pytest.fixture
def sources(tmp_path):
    """Return the sources of an empty dataset."""
    raw = tmp_path / "raw"
    add(raw, *RAW)
    return [Source(raw, relative, Name.parse(relative.rpartition("/")[2])) for relative in RAW]


def paths(one):
    images = [*one.other.images, *one.getnet.images, *map(one.probseg, ("CSF", "GM", "WM")), one.dseg, one.mask]
    images += one.shaded.images if one.simulated else []
    tables = [one.dseg_table, one.metrics, *([one.table1] if one.simulated else [])]
    return [*images, *map(sidecar, images), *tables, one.figure]


@pytest.mark.parametrize("simulated", [False, True])
def test_no_two_images_share_a_file(sources, tmp_path, simulated):
    every = [path for source in sources for path in paths(Comparison.of(source, tmp_path, N4, simulated=simulated))]
    assert len(every) == len(set(every))


def test_no_image_of_a_simulation_has_the_name_of_a_real_one(sources, tmp_path):
    real, simulated = (Comparison.of(sources[-1], tmp_path, N4, simulated=kind) for kind in (False, True))
    assert set(paths(real)) & set(paths(simulated)) == {real.metrics, real.figure}
    assert real.getnet == Outputs.of(sources[-1], tmp_path)


def test_the_contrast_is_named_only_where_it_must_be(sources):
    contrasts = {str(source.name): Comparison.of(source, source.root, N4).contrast for source in sources}
    assert contrasts == {
        **dict.fromkeys(contrasts),
        "sub-01_T1w.nii.gz": "T1w",
        "sub-01_T2w.nii": "T2w",
        "sub-01_inv-1_MP2RAGE.nii.gz": "MP2RAGEinv1",
        "sub-01_inv-2_MP2RAGE.nii.gz": "MP2RAGEinv2",
        "sub-01_flip-1_mt-on_MTS.nii.gz": "MTSflip1mton",
        "sub-01_flip-2_mt-on_MTS.nii.gz": "MTSflip2mton",
    }


def test_each_image_has_a_simulated_field_of_its_own_that_depends_on_nothing_else(sources, tmp_path):
    recipe = Recipe(tmp_path / "w", "sha256:0", {})

    def seeds(chosen, seed):
        options = {"simulate_gain": 30.0, "random_seed": seed}
        return [recipe_of(recipe, source, options, None).options["gain_seed"] for source in chosen]

    first = seeds(sources, 0)
    assert len(set(first)) == len(sources)
    assert seeds(sources[3:5], 0) == first[3:5]
    assert not set(seeds(sources, 1)) & set(first)
    assert all(0 <= seed < 2**32 for seed in first)


@pytest.fixture
def finished(tmp_path):
    """Return a comparison that is complete, its recipe, and a segmentation that was used."""
    raw, out, other = (tmp_path / name for name in ("raw", "out", "other"))
    relative = "sub-01/anat/sub-01_T1w.nii.gz"
    for path in (raw / relative, other / "dseg.nii.gz"):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"image")
    source = Source(raw, relative, Name.parse("sub-01_T1w.nii.gz"))
    given = Derivatives("other", dseg=other / "dseg.nii.gz")
    comparison = Comparison.of(source, out, N4)
    recipe = recipe_of(Recipe(tmp_path / "w", "sha256:0", {"refine": True}), source, {"compare": "n4"}, given)
    files = [*comparison.other.images, comparison.dseg, comparison.metrics, comparison.figure]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(path.name.encode())
    file, _ = InputFile.read(source.path)
    sizes = {str(path.relative_to(out)): path.stat().st_size for path in files}
    made = provenance(recipe, file, comparison.other.images, {FILES: sizes})
    write_sidecars(correction_sidecars(comparison, False, {}, made))
    return SimpleNamespace(comparison=comparison, recipe=recipe, given=given, source=source)


def test_a_complete_comparison_is_done(finished):
    assert is_compared(finished.comparison, finished.recipe)


@pytest.mark.parametrize("lost", ["dseg", "metrics", "figure"])
def test_a_lost_or_cut_file_is_noticed(finished, lost):
    path = getattr(finished.comparison, lost)
    path.write_bytes(path.read_bytes()[:-1])
    assert not is_compared(finished.comparison, finished.recipe)
    path.unlink()
    assert not is_compared(finished.comparison, finished.recipe)


def test_another_input_segmentation_or_option_is_noticed(finished):
    one = finished
    assert not is_compared(one.comparison, replace(one.recipe, weights_hash="sha256:1"))
    assert not is_compared(one.comparison, replace(one.recipe, options={**one.recipe.options, "template": "x"}))
    one.given.dseg.write_bytes(b"another image")
    assert recipe_of(one.recipe, one.source, {}, one.given).options_hash != one.recipe.options_hash
    one.source.path.write_bytes(b"IMAGE")
    assert not is_compared(one.comparison, one.recipe)


def test_a_mark_that_lists_nothing_is_none(finished):
    path = sidecar(finished.comparison.other.corrected)
    path.write_text(path.read_text().replace(f'"{FILES}"', '"Other"'))
    assert not is_compared(finished.comparison, finished.recipe)
