from __future__ import annotations

from pathlib import Path

import pytest

from getnet_bids.bids.discovery import Source
from getnet_bids.bids.names import Name
from getnet_bids.comparison.jobs import find_derivatives
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


def test_our_own_segmentation_of_a_contrast(roots):
    found = find_derivatives(source("sub-01_T2w.nii.gz"), {"ours": roots["ours"]})
    assert found.dseg.name == "sub-01_desc-T2w_dseg.nii.gz"


def test_nothing_there(roots):
    assert find_derivatives(source("sub-99_T1w.nii.gz"), roots) is None
    assert find_derivatives(source("sub-01_T1w.nii.gz"), {}) is None
