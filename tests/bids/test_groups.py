from __future__ import annotations

from pathlib import Path

import pytest

from getnet_bids.bids.discovery import Source, find_images
from getnet_bids.bids.groups import group_images
from getnet_bids.bids.jobs import Job
from getnet_bids.bids.names import ALL, Name, expand

SETS = {
    "inversions": (["anat/sub-1_inv-1_part-mag_MP2RAGE", "anat/sub-1_inv-2_part-mag_MP2RAGE"], 1),
    "echoes": (["anat/sub-1_echo-1_MEGRE", "anat/sub-1_echo-2_MEGRE", "anat/sub-1_echo-10_MEGRE"], 0),
    "flip angles": (["anat/sub-1_flip-2_VFA", "anat/sub-1_flip-1_VFA"], 1),
    "magnetisation transfer": (["anat/sub-1_mt-on_MTR", "anat/sub-1_mt-off_MTR"], 1),
    "multi-parameter": (
        [
            "anat/sub-1_echo-1_flip-1_mt-on_MPM",
            "anat/sub-1_echo-2_flip-1_mt-off_MPM",
            "anat/sub-1_echo-1_flip-2_mt-off_MPM",
            "anat/sub-1_echo-1_flip-1_mt-off_MPM",
        ],
        3,
    ),
    "multi-echo bold": (["func/sub-1_task-x_echo-1_bold", "func/sub-1_task-x_echo-2_bold"], 0),
    "perfusion": (["perf/sub-1_asl", "perf/sub-1_m0scan"], 1),
}
ALONE = [
    "anat/sub-1_T1w",
    "anat/sub-1_flip-1_T1w",
    "anat/sub-1_run-1_echo-1_MEGRE",
    "anat/sub-1_run-2_echo-1_MEGRE",
    "dwi/sub-1_dir-AP_dwi",
    "dwi/sub-1_dir-PA_dwi",
    "fmap/sub-1_dir-AP_epi",
    "func/sub-1_task-x_bold",
    "func/sub-1_task-x_sbref",
    "perf/sub-1_run-1_asl",
    "perf/sub-1_run-2_m0scan",
]


def source(relative: str) -> Source:
    path = f"sub-1/{relative}.nii.gz"
    return Source(Path("raw"), path, Name.parse(Path(path).name))


@pytest.mark.parametrize(("names", "reference"), SETS.values(), ids=SETS)
def test_a_set_shares_the_field_of_its_best_image(names, reference):
    (group,) = group_images([source(name) for name in names])
    assert [member.relative for member in group.members] == [f"sub-1/{name}.nii.gz" for name in names]
    assert group.references == (source(names[reference]),)
    job = Job.of(group, Path("out"))
    assert len({target.outputs.field for target in job.targets}) == 1
    assert len({target.outputs.corrected for target in job.targets}) == len(names)
    assert not job.is_plain


def test_a_shared_field_is_named_after_what_the_members_share():
    names = ["anat/sub-1_run-1_inv-1_MP2RAGE", "anat/sub-1_run-1_inv-2_MP2RAGE"]
    job = Job.of(group_images([source(name) for name in names])[0], Path("out"))
    assert job.outputs.field.name == "sub-1_run-1_mod-MP2RAGE_desc-preproc_biasfield.nii.gz"


def test_other_images_are_alone():
    groups = group_images([source(name) for name in ALONE])
    assert [group.members for group in groups] == [(source(name),) for name in ALONE]
    assert all(group.references == group.members for group in groups)
    assert [Job.of(group, Path("out")).is_plain for group in groups] == [True] * 4 + [False] * 7


def test_the_single_band_reference_of_the_same_run_is_taken_if_asked_for(tmp_path):
    for name in ("func/sub-1_task-x_sbref", "func/sub-1_task-x_bold", "func/sub-1_task-y_bold"):
        path = tmp_path / "sub-1" / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for suffixes in (["bold"], ["bold", "sbref"]):
        first, second = group_images(find_images(tmp_path, suffixes=suffixes).sources, sbref=True)
        assert [reference.name.suffix for reference in first.references] == ["sbref"]
        assert [member.name.suffix for member in first.members] == suffixes
        assert [str(reference.name) for reference in second.references] == ["sub-1_task-y_bold.nii.gz"]


def test_images_are_found_in_the_folders_where_they_belong(tmp_path):
    right = [
        "sub-1/anat/sub-1_T1w.nii.gz",
        "sub-1/dwi/sub-1_dwi.nii.gz",
        "sub-1/dwi/sub-1_sbref.nii.gz",
        "sub-1/fmap/sub-1_dir-AP_epi.nii.gz",
        "sub-1/fmap/sub-1_m0scan.nii.gz",
        "sub-1/func/sub-1_task-x_bold.nii.gz",
        "sub-1/func/sub-1_task-x_sbref.nii.gz",
        "sub-1/perf/sub-1_asl.nii.gz",
        "sub-1/perf/sub-1_m0scan.nii.gz",
    ]
    wrong = [
        "sub-1/anat/sub-1_task-x_bold.nii.gz",
        "sub-1/anat/sub-1_UNIT1.nii.gz",
        "sub-1/dwi/sub-1_T1w.nii.gz",
        "sub-1/fmap/sub-1_acq-head_RB1COR.nii.gz",
        "sub-1/func/sub-1_task-x_part-phase_bold.nii.gz",
        "sub-1/func/sub-1_task-x_cbv.nii.gz",
    ]
    for relative in (*right, *wrong):
        (tmp_path / relative).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / relative).touch()
    every = expand([ALL])
    assert [one.relative for one in find_images(tmp_path, suffixes=every).sources] == right
    listing = [*reversed(wrong), *right]
    assert [one.relative for one in find_images(tmp_path, suffixes=every, listing=listing).sources] == right
    assert [one.relative for one in find_images(tmp_path).sources] == right[:1]
    assert find_images(tmp_path, suffixes=["dwi"]).unrequested == {}
