from __future__ import annotations

import pytest

from getnet_bids.bids.discovery import find_images, not_fetched
from tests.datasets import add

TREE = [
    "sub-01/anat/sub-01_T1w.nii.gz",
    "sub-01/anat/sub-01_T1w.json",
    "sub-01/anat/sub-01_T1map.nii.gz",
    "sub-01/anat/sub-01_mod-T1w_defacemask.nii.gz",
    "sub-01/anat/sub-01_MEGRE.nii.gz",
    "sub-01/anat/sub-01_inv-1_part-mag_MP2RAGE.nii.gz",
    "sub-01/func/sub-01_task-rest_bold.nii.gz",
    "sub-02/ses-a/anat/sub-02_ses-a_T1w.nii",
    "sub-02/ses-a/anat/sub-02_ses-a_part-mag_T2starw.nii.gz",
    "sub-02/ses-a/anat/sub-02_ses-a_part-phase_T2starw.nii.gz",
    "sub-02/ses-b/anat/sub-02_ses-b_FLAIR.nii.gz",
    "sub-03/anat/sub-03_T1w.nii",
    "sub-03/anat/sub-03_T1w.nii.gz",
    "sub-03/anat/sub-04_T2w.nii.gz",
    "sub-03/anat/sub-03_desc-preproc_T2w.nii.gz",
    "sub-03/anat/sub-03_run-1_acq-x_PDw.nii.gz",
    "derivatives/x/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
    "sub-05.html",
]


@pytest.fixture
def tree(tmp_path):
    add(tmp_path, *TREE)
    return tmp_path


def relatives(found):
    return [source.relative for source in found.sources]


def test_weighted_magnitude_images_are_found(tree):
    found = find_images(tree)
    assert relatives(found) == [
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_inv-1_part-mag_MP2RAGE.nii.gz",
        "sub-02/ses-a/anat/sub-02_ses-a_T1w.nii",
        "sub-02/ses-a/anat/sub-02_ses-a_part-mag_T2starw.nii.gz",
        "sub-02/ses-b/anat/sub-02_ses-b_FLAIR.nii.gz",
        "sub-03/anat/sub-03_T1w.nii",
    ]
    assert found.unrequested == {"MEGRE": 1}
    assert found.sources[0].uri == "bids:raw:sub-01/anat/sub-01_T1w.nii.gz"


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("sub-02/ses-a/anat/sub-02_ses-a_part-phase_T2starw.nii.gz", "not a magnitude"),
        ("sub-03/anat/sub-03_T1w.nii.gz", "another image has this name"),
        ("sub-03/anat/sub-04_T2w.nii.gz", "not that of its folder"),
        ("sub-03/anat/sub-03_desc-preproc_T2w.nii.gz", "not a raw image"),
        ("sub-03/anat/sub-03_run-1_acq-x_PDw.nii.gz", "order"),
    ],
)
def test_what_is_skipped_has_a_reason(tree, file, reason):
    assert reason in find_images(tree).skipped[file]


def test_filters(tree):
    assert relatives(find_images(tree, participants=["01"], suffixes=["T1w"])) == TREE[:1]
    assert relatives(find_images(tree, sessions=["b"])) == ["sub-02/ses-b/anat/sub-02_ses-b_FLAIR.nii.gz"]
    assert relatives(find_images(tree, suffixes=["MEGRE"])) == ["sub-01/anat/sub-01_MEGRE.nii.gz"]
    assert find_images(tree, participants=["nobody"]).sources == []


def test_links(tmp_path):
    (tmp_path / "target").touch()
    (tmp_path / "good").symlink_to("target")
    (tmp_path / "dangling").symlink_to("nowhere")
    assert [bool(not_fetched(tmp_path / name)) for name in ("target", "good", "dangling")] == [False, False, True]


def test_a_list_of_files_is_as_good_as_the_folders(tree):
    listing = [*reversed(TREE), "sub-01/ses-a/x/anat/sub-01_T1w.nii.gz", "anat/sub-01_T1w.nii.gz", "T1w.nii.gz"]
    for filters in ({}, {"participants": ["01", "03"]}, {"sessions": ["a"]}, {"suffixes": ["FLAIR", "MEGRE"]}):
        walked, listed = find_images(tree, **filters), find_images(tree, **filters, listing=listing)
        assert listed.sources == walked.sources
        assert listed.skipped == walked.skipped
        assert listed.unrequested == walked.unrequested


def test_chosen_images_alone_are_taken_and_spoken_of(tree):
    chosen = {
        TREE[0],
        "sub-02/ses-a/anat/sub-02_ses-a_part-phase_T2starw.nii.gz",
        TREE[2],
        "sub-09/anat/sub-09_T1w.nii",
    }
    found = find_images(tree, chosen=chosen)
    assert relatives(found) == [TREE[0]]
    assert list(found.skipped) == ["sub-02/ses-a/anat/sub-02_ses-a_part-phase_T2starw.nii.gz"]


def test_a_folder_that_cannot_be_read_does_not_hide_the_others(tree):
    (tree / "sub-00").symlink_to("sub-00")  # leads nowhere but to itself
    (tree / "sub-06" / "ses-x").mkdir(parents=True)
    (tree / "sub-06" / "ses-x" / "anat").symlink_to("anat")
    found = find_images(tree)
    assert len(found.sources) == 6
    assert {"sub-00", "sub-06/ses-x/anat"} == found.unreadable.keys()
    assert "cannot be read: Too many levels" in found.unreadable["sub-00"]


def test_linked_folders_are_followed_and_files_in_their_place_are_not(tree, tmp_path):
    (tree / "sub-07").symlink_to(tree / "sub-02")
    (tree / "sub-08").mkdir()
    (tree / "sub-08" / "anat").touch()
    found = find_images(tree, participants=["07", "08"])
    assert found.sources == []
    assert "its sub- is not that of its folder" in set(found.skipped.values())


ODD = {
    "sub-01/anat/sub-01_t1w.nii.gz": "its suffix is t1w, not T1w",
    "sub-01/anat/sub-01_T1W.nii.gz": "its suffix is T1W, not T1w",
    "sub-01/anat/sub-01_MPRAGE.nii": "its suffix is MPRAGE, not T1w",
    "sub-01/anat/sub-01_T1w_defaced.nii.gz": "its suffix is 'defaced'",
    "sub-02/anat/sub-02_T1w.NII.GZ": "its extension must be .nii.gz, in lower case",
    "sub-03/anat/sub-03_T1w.img": "its extension is .img",
    "sub-03/anat/sub-03_T1w.hdr": "its extension is .hdr",
    "sub-04/anat/sub-04_T2w.mgz": "its extension is .mgz",
    "sub-05/sub-05_T1w.nii.gz": "not in a folder anat",
    "sub-06/ses-a/sub-06_ses-a_T1w.nii.gz": "not in a folder anat",
    "sub-07/Anat/sub-07_T1w.nii.gz": "the folder must be called anat",
    "sub-0 8/anat/sub-08_T1w.nii.gz": "its sub- is not that of its folder",
    "SUB-08/anat/sub-08_T1w.nii.gz": "not a subject's folder",
    "sub_09/anat/sub_09_T1w.nii.gz": "not a subject's folder",
    "subject1/anat/subject1_T1w.nii.gz": "not a subject's folder",
    "Sub01/anat/Sub01_T1w.nii.gz": "not a subject's folder",
    "sub-10/Session-2/anat/sub-10_T1w.nii.gz": "not a session's folder",
    "sub-10/ses_b/anat/sub-10_ses-b_T1w.nii.gz": "not a session's folder",
    "sub-11_T1w.nii.gz": "not in a folder anat",
}
"""Images that nobody would find, and what is said of each: of the file, or of the folder that hides it."""


@pytest.mark.parametrize(("relative", "reason"), ODD.items())
def test_images_in_odd_places_or_of_odd_names_are_named(tmp_path, relative, reason):
    add(tmp_path, relative)
    found = find_images(tmp_path)
    assert found.sources == []
    path, said = next(iter(found.skipped.items()))
    assert relative.startswith(path)
    assert reason in said


def test_what_is_no_image_or_not_asked_for_is_not_spoken_of(tmp_path):
    ordinary = [
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_T1w.img",  # beside the same in NIfTI
        "sub-01/anat/sub-01_T1map.nii.gz",
        "sub-01/anat/sub-01_t2w.nii.gz",  # when T1w alone are asked for
        "sub-01/anat/sub-01_dseg.nii.gz",
        "sub-01/sub-01_scans.tsv",
        "sub-01/sub-01_sessions.json",
        "sub-01.html",
        "participants.tsv",
    ]
    add(tmp_path, *ordinary)
    found = find_images(tmp_path, suffixes=["T1w"])
    assert relatives(found) == ordinary[:1]
    assert found.skipped == {}


def test_mp2rage_is_taken_and_its_ratio_only_when_named(tmp_path):
    add(tmp_path, *(f"sub-01/anat/sub-01_{name}.nii.gz" for name in ("inv-1_MP2RAGE", "inv-2_MP2RAGE", "UNIT1")))
    found = find_images(tmp_path)
    assert [source.name.suffix for source in found.sources] == ["MP2RAGE", "MP2RAGE"]
    assert found.unrequested == {"UNIT1": 1}
    assert len(find_images(tmp_path, suffixes=["UNIT1"]).sources) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"../../.git/annex/objects/Xk/0w/MD5E-s11--5eb6.nii.gz/MD5E-s11--5eb6.nii.gz",
        b"..\\..\\.git\\annex\\objects\\Xk\\0w\\MD5E-s11--5eb6.nii.gz\\MD5E-s11--5eb6.nii.gz",
        b"../../.git/modules/raw/annex/objects/Xk/0w/MD5E-s11--5eb6.nii.gz/MD5E-s11--5eb6.nii.gz\n",
        b"/annex/objects/MD5E-s11--5eb6.nii.gz\n",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    ],
)
def test_pointers_are_told_from_images(tmp_path, content):
    path = tmp_path / "sub-01_T1w.nii.gz"
    path.write_bytes(content)
    assert not_fetched(path)
    path.write_bytes(b"any other text")
    assert not not_fetched(path)


def test_a_perfusion_series_whose_m0scan_is_not_taken_is_listed(tmp_path):
    add(tmp_path, "sub-1/perf/sub-1_asl.nii.gz", "sub-1/perf/sub-1_m0scan.nii.gz", "sub-2/perf/sub-2_asl.nii.gz")
    assert find_images(tmp_path, suffixes=["asl"]).asl_without_m0scan == ["sub-1_asl.nii.gz"]
    assert find_images(tmp_path, suffixes=["asl", "m0scan"]).asl_without_m0scan == []
