from __future__ import annotations

from pathlib import Path

import pytest

from getnet_bids.errors import GetNetError
from getnet_bids.labels import table_of, tissues_by_label
from tests.datasets import add

BIDS = range(12)


def table(tmp_path, text):
    path = tmp_path / "dseg.tsv"
    path.write_text(text)
    return path


def test_bidss_own_labels_without_a_table():
    # 4 bone, 5 soft tissue, 6 non-brain, 7 lesion, 8 cortical and 9 subcortical GM, 10 brainstem, 11 cerebellum
    assert tissues_by_label(BIDS, None) == {1: "GM", 2: "WM", 3: "CSF", 8: "GM", 9: "GM"}


@pytest.mark.parametrize("typical", [41, 42, 1035, 12101])
def test_freesurfers_labels_by_those_that_only_it_has(typical):
    meaning = tissues_by_label([0, 2, 3, 4, typical], None)
    assert {label: meaning[label] for label in (2, 3, 4)} == {2: "WM", 3: "GM", 4: "CSF"}


def test_white_matter_of_wmparc():
    white = [3000, 3035, 4000, 4035, 5001, 5002, 13101, 14175]
    assert tissues_by_label([1035, 2000, 11101, 12175, *white], None) == {
        **dict.fromkeys((1035, 2000, 11101, 12175), "GM"),
        **dict.fromkeys(white, "WM"),
    }


@pytest.mark.parametrize(
    "text",
    [
        "index\tname\n1\tCerebrospinal Fluid\n2\tGray Matter\n3\tWhite Matter\n",
        "index\tname\n1.0\tCSF\n2.0\tGM\n3.0\tWM\n",
        "index\tname\n1\tcerebro-spinal fluid\n2\tgraymatter\n3\tWhite_Matter\n",
        "index\tname\n1\tcsf\n2\tGreyMatter\n3\twm\n7\tLesion\nn/a\tBone\n",
        "index\tname\tabbreviation\n1\tventricles\tCSF\n2\tcortex\tCGM\n3\tfibres\tWM\n",
        "index\tname\tmapping\n1\tventricles\t3\n2\tcortex\t8\n3\tfibres\t2\n4\tcerebellum\t11\n5\tother\tn/a\n",
    ],
)
def test_tables_in_all_forms_of_bids(tmp_path, text):
    assert tissues_by_label(BIDS, table(tmp_path, text)) == {1: "CSF", 2: "GM", 3: "WM"}


def test_a_table_of_freesurfers_names(tmp_path):
    # Of fMRIPrep's desc-aseg_dseg.tsv, in which only label 24 bears the name of a tissue.
    text = "index\tname\n2\tLeft-Cerebral-White-Matter\n3\tLeft-Cerebral-Cortex\n24\tCSF\n"
    assert tissues_by_label([2, 3, 24], table(tmp_path, text)) == {2: "WM", 3: "GM", 24: "CSF"}


@pytest.mark.parametrize("text", ["label\tname\n1\tWhite matter\n", "index\tname\n1\tfrontal lobe\n", "", "index\n1\n"])
def test_a_table_that_names_no_tissue_is_refused(tmp_path, text):
    with pytest.raises(GetNetError, match=r"dseg\.tsv: names no CSF, GM or WM; it needs a column index"):
        tissues_by_label(BIDS, table(tmp_path, text))


@pytest.mark.parametrize(
    ("dseg", "tables", "expected"),
    [
        ("sub-01/anat/sub-01_dseg.nii.gz", ["dseg.tsv"], "dseg.tsv"),
        ("sub-01/anat/sub-01_dseg.nii.gz", ["dseg.tsv", "sub-01/sub-01_dseg.tsv"], "sub-01/sub-01_dseg.tsv"),
        ("sub-01/ses-a/anat/sub-01_ses-a_dseg.nii", ["dseg.tsv", "sub-01_dseg.tsv"], "sub-01_dseg.tsv"),
        ("sub-01/anat/sub-01_desc-x_dseg.nii.gz", ["sub-01/anat/sub-01_dseg.tsv"], "sub-01/anat/sub-01_dseg.tsv"),
        (
            "sub-01/anat/sub-01_dseg.nii.gz",
            ["seg-x_dseg.tsv", "probseg.tsv", "sub-02_dseg.tsv", "participants.tsv"],
            None,
        ),
        ("sub-01/anat/sub-01_desc-aseg_dseg.nii.gz", ["dseg.tsv", "desc-aseg_dseg.tsv"], "desc-aseg_dseg.tsv"),
        ("sub-01/anat/sub-01_desc-aseg_dseg.nii.gz", ["dseg.tsv", "sub-01/anat/sub-01_dseg.tsv"], None),
        ("anat/dseg.nii.gz", ["dseg.tsv"], None),
        ("mri/aseg [1].mgz", ["mri/aseg [1].tsv", "mri/aseg.tsv"], "mri/aseg [1].tsv"),
    ],
)
def test_the_nearest_table_of_a_dataset(tmp_path, dseg, tables, expected):
    add(tmp_path / "data", dseg, *tables)
    (tmp_path / "dseg.tsv").touch()  # outside the dataset
    found = table_of(tmp_path / "data" / dseg)
    assert found == (expected and tmp_path / "data" / expected)


def test_a_name_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("seg.tsv").touch()
    assert table_of(Path("seg.nii.gz")) == Path("seg.tsv")
