from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from getnet_bids.bids.discovery import Source
from getnet_bids.bids.names import Name
from getnet_bids.bids.provenance import Recipe
from getnet_bids.comparison.graph import image_workflow
from getnet_bids.comparison.jobs import find_derivatives, make_job, recipe_of
from getnet_bids.settings import Settings
from getnet_bids.weights import default_weights
from tests.datasets import add

FMRIPREP = """
    sub-01/anat/sub-01_desc-brain_mask.nii.gz
    sub-01/anat/sub-01_desc-aseg_dseg.nii.gz
    sub-01/anat/sub-01_dseg.nii.gz
    sub-01/anat/sub-01_label-CSF_probseg.nii.gz
    sub-01/anat/sub-01_label-GM_probseg.nii.gz
    sub-01/anat/sub-01_label-WM_probseg.nii.gz
    sub-01/anat/sub-01_space-MNI152NLin2009cAsym_res-2_desc-brain_mask.nii.gz
    sub-01/anat/sub-01_space-MNI152NLin2009cAsym_res-2_dseg.nii.gz
    sub-01/anat/sub-01_hemi-L_desc-ribbon_mask.nii.gz
    sub-02/ses-a/anat/sub-02_ses-a_run-1_desc-brain_mask.nii.gz
    sub-02/ses-a/anat/sub-02_ses-a_run-1_dseg.nii.gz
    sub-02/ses-a/anat/sub-02_ses-a_run-2_dseg.nii.gz
    sub-02/anat/sub-02_desc-brain_mask.nii.gz
    sub-02/anat/sub-02_dseg.nii
"""
MASKS_ONLY = """
    sub-01/anat/sub-01_desc-brain_mask.nii.gz
    sub-01/anat/sub-01_label-GM_probseg.nii.gz
    sub-03/anat/sub-03_desc-brain_mask.nii.gz
"""
OURS = """
    sub-01/anat/sub-01_label-brain_desc-T2w_mask.nii.gz
    sub-01/anat/sub-01_desc-T1w_dseg.nii.gz
    sub-01/anat/sub-01_desc-T2w_dseg.nii.gz
    sub-01/anat/sub-01_dseg.tsv
"""


@pytest.fixture
def roots(tmp_path):
    listings = {"fmriprep": FMRIPREP, "masks": MASKS_ONLY, "ours": OURS}
    for name, listing in listings.items():
        add(tmp_path / name, *listing.split())
    return {name: tmp_path / name for name in listings}


def source(file):
    name = Name.parse(file)
    session = f"ses-{name.entities['ses']}/" if "ses" in name.entities else ""
    return Source(Path("/raw"), f"sub-{name.entities['sub']}/{session}anat/{file}", name)


def named(found):
    mask, dseg = (path and path.name for path in (found.mask, found.dseg))
    return mask, dseg, {tissue: path.name for tissue, path in found.probsegs.items()}


def test_of_fmriprep(roots):
    found = find_derivatives(source("sub-01_acq-x_T1w.nii.gz"), {"fmriprep": roots["fmriprep"]})
    probsegs = {tissue: f"sub-01_label-{tissue}_probseg.nii.gz" for tissue in ("CSF", "GM", "WM")}
    assert named(found) == ("sub-01_desc-brain_mask.nii.gz", "sub-01_dseg.nii.gz", probsegs)
    assert found.dataset == "fmriprep"
    assert found.has_tissues


@pytest.mark.parametrize(
    ("file", "mask", "dseg"),
    [
        ("sub-02_ses-a_run-1_T1w.nii.gz", "ses-a_run-1_desc-brain_mask.nii.gz", "ses-a_run-1_dseg.nii.gz"),
        ("sub-02_ses-a_run-2_T1w.nii.gz", "desc-brain_mask.nii.gz", "ses-a_run-2_dseg.nii.gz"),
        ("sub-02_ses-b_run-1_T1w.nii.gz", "desc-brain_mask.nii.gz", "dseg.nii"),
        ("sub-02_ses-a_T1w.nii.gz", "desc-brain_mask.nii.gz", "dseg.nii"),
    ],
)
def test_the_nearest_goes_first(roots, file, mask, dseg):
    found = find_derivatives(source(file), roots)
    assert named(found)[:2] == (f"sub-02_{mask}", f"sub-02_{dseg}")


def test_tissues_go_before_a_mask_alone(roots):
    turned = {name: roots[name] for name in ("masks", "fmriprep")}
    assert find_derivatives(source("sub-01_T1w.nii.gz"), turned).dataset == "fmriprep"
    only = find_derivatives(source("sub-03_T1w.nii.gz"), turned)
    assert (only.dataset, only.has_tissues) == ("masks", False)
    alone = find_derivatives(source("sub-01_T1w.nii.gz"), {"masks": roots["masks"]})
    assert alone.probsegs == {}  # one tissue of three is none


def test_freesurfers_segmentation_of_fmriprep_comes_last(tmp_path):
    names = ["sub-01_desc-aseg_dseg.nii.gz", "sub-01_desc-aparcaseg_dseg.nii.gz"]
    add(tmp_path, *(f"sub-01/anat/{name}" for name in names), "desc-aseg_dseg.tsv", "desc-aparcaseg_dseg.tsv")
    found = find_derivatives(source("sub-01_T1w.nii.gz"), {"fmriprep": tmp_path})
    assert found.dseg.name in names
    add(tmp_path, "sub-01/anat/sub-01_dseg.nii.gz")
    for file in ("sub-01_T1w.nii.gz", "sub-01_run-1_T1w.nii.gz"):
        found = find_derivatives(source(file), {"fmriprep": tmp_path})
        assert found.dseg.name == "sub-01_dseg.nii.gz"
    add(tmp_path, "sub-01/anat/sub-01_run-1_desc-aseg_dseg.nii.gz")
    assert find_derivatives(source(file), {"fmriprep": tmp_path}).dseg.name == "sub-01_dseg.nii.gz"


def test_a_changed_table_of_labels_changes_the_recipe(tmp_path):
    add(tmp_path, "sub-01/anat/sub-01_dseg.nii.gz")
    (tmp_path / "dseg.tsv").write_text("index\tname\n1\tGM\n")
    image = source("sub-01_T1w.nii.gz")

    def made():
        return recipe_of(Recipe(Path("w"), "sha256:0", {}), image, {}, find_derivatives(image, {"own": tmp_path}))

    before = made()
    assert made() == before
    (tmp_path / "dseg.tsv").write_text("index\tname\n1\tGM\n2\tWM\n")
    assert made() != before


def test_a_table_of_labels_is_an_input_of_the_workflow(tmp_path):
    add(tmp_path, "own/sub-01/anat/sub-01_dseg.nii.gz", "own/dseg.tsv", "raw/sub-01/anat/sub-01_T1w.nii.gz")
    image = replace(source("sub-01_T1w.nii.gz"), root=tmp_path / "raw")
    settings = Settings(
        bids_dir=tmp_path / "raw",
        output_dir=tmp_path / "out",
        analysis_level="participant",
        compare="n4",
        derivatives=(f"own={tmp_path / 'own'}",),
    )
    job = make_job(image, Recipe(default_weights(), "sha256:0", {}), settings)
    workflow = image_workflow("one", job, settings)
    assert workflow.inputs.inputnode.dseg_table == str(tmp_path / "own/dseg.tsv")
    graph = workflow._create_flat_graph()
    links = [link for _, node, data in graph.edges(data=True) if node.name == "tissues" for link in data["connect"]]
    assert "dseg_table" in {port for _, port in links}


def test_our_own_segmentation_of_a_contrast(roots):
    found = find_derivatives(source("sub-01_T2w.nii.gz"), {"ours": roots["ours"]})
    assert found.dseg.name == "sub-01_desc-T2w_dseg.nii.gz"


def test_nothing_there(roots):
    assert find_derivatives(source("sub-99_T1w.nii.gz"), roots) is None
    assert find_derivatives(source("sub-01_T1w.nii.gz"), {}) is None
