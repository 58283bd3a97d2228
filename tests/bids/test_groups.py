from __future__ import annotations

import json
from pathlib import Path

import pytest

from getnet_bids.bids.discovery import Source, find_images
from getnet_bids.bids.groups import group_images
from getnet_bids.bids.jobs import Job
from getnet_bids.bids.metadata import Metadata, receive_pair
from getnet_bids.bids.names import ALL, Name, expand
from tests.datasets import add

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
    "multi-parameter, contrast in acq": (
        [
            "anat/sub-1_acq-MTw_echo-1_flip-1_mt-on_MPM",
            "anat/sub-1_acq-PDw_echo-1_flip-1_mt-off_MPM",
            "anat/sub-1_acq-T1w_echo-1_flip-2_mt-off_MPM",
        ],
        1,
    ),
    "multi-echo bold": (["func/sub-1_task-x_echo-1_bold", "func/sub-1_task-x_echo-2_bold"], 0),
    "perfusion": (["perf/sub-1_asl", "perf/sub-1_m0scan"], 1),
    "perfusion, one m0scan of two runs": (["perf/sub-1_m0scan", "perf/sub-1_run-1_asl", "perf/sub-1_run-2_asl"], 0),
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


def test_sets_of_two_resolutions_have_two_fields():
    names = [f"anat/sub-1_acq-{acq}_flip-{i}_mt-off_MPM" for acq in ("PDw", "hiPDw", "T1w", "hiT1w") for i in (1, 2)]
    groups = group_images([source(name) for name in names])
    assert sorted(Job.of(group, Path("out")).outputs.field.name for group in groups) == [
        "sub-1_acq-hi_mod-MPM_mt-off_desc-preproc_biasfield.nii.gz",
        "sub-1_mod-MPM_mt-off_desc-preproc_biasfield.nii.gz",
    ]


def test_weightings_with_measured_fields_of_their_own_are_apart(tmp_path):
    names = [f"anat/sub-1_acq-{acq}_flip-1_mt-off_MPM" for acq in ("PDw", "T1w")]
    pairs = [f"fmap/sub-1_acq-{coil}{acq}_RB1COR" for coil in ("head", "body") for acq in ("PDw", "T1w")]
    add(tmp_path, *(f"sub-1/{name}.nii.gz" for name in names + pairs))
    sources = find_images(tmp_path, suffixes=["MPM"]).sources
    assert [len(group.members) for group in group_images(sources)] == [2]
    assert [len(group.members) for group in group_images(sources, measured=True)] == [1, 1]
    for source in sources:
        called = [pair.name.entities["acq"] for pair in receive_pair(source, Metadata(tmp_path))]
        assert called == [f"{coil}{source.name.entities['acq']}" for coil in ("head", "body")]


@pytest.mark.parametrize("run", ["1", "2"])
@pytest.mark.parametrize("said", ["name", "metadata"])
def test_the_measured_field_is_that_of_the_same_run(tmp_path, run, said):
    anat = f"sub-1/anat/sub-1_run-{run}_T1w.nii.gz"
    for number in "12":
        of = number if said == "name" else {"1": "2", "2": "1"}[number]
        for coil in ("head", "body"):
            stem = f"sub-1/fmap/sub-1_acq-{coil}_run-{of}_RB1COR"
            add(tmp_path, f"{stem}.nii.gz")
            if said == "metadata":
                about = {"IntendedFor": [f"bids::sub-1/anat/sub-1_run-{number}_T1w.nii.gz"]}
                (tmp_path / f"{stem}.json").write_text(json.dumps(about))
    pair = receive_pair(Source(tmp_path, anat, Name.parse(Path(anat).name)), Metadata(tmp_path))
    right = run if said == "name" else {"1": "2", "2": "1"}[run]
    assert [one.name.entities["run"] for one in pair] == [right, right]


@pytest.mark.parametrize("uri", ["bids::sub-1/perf/sub-1_acq-x_asl.nii.gz", "perf/sub-1_acq-x_asl.nii.gz"])
def test_an_m0scan_goes_with_the_series_that_it_is_intended_for(tmp_path, uri):
    names = ["perf/sub-1_acq-x_asl", "perf/sub-1_acq-y_asl", "perf/sub-1_acq-y_m0scan"]
    folder = tmp_path / "sub-1/perf"
    folder.mkdir(parents=True)
    (folder / "sub-1_acq-y_m0scan.json").write_text(json.dumps({"IntendedFor": uri}))
    sources = [Source(tmp_path, f"sub-1/{name}.nii.gz", Name.parse(f"{name[5:]}.nii.gz")) for name in names]
    assert [len(group.members) for group in group_images(sources, metadata=Metadata(tmp_path))] == [2, 1]
    first, _ = group_images(sources, metadata=Metadata(tmp_path))
    assert [member.relative[11:] for member in first.members] == [
        "sub-1_acq-x_asl.nii.gz",
        "sub-1_acq-y_m0scan.nii.gz",
    ]


def test_other_images_are_alone():
    groups = group_images([source(name) for name in ALONE])
    assert [group.members for group in groups] == [(source(name),) for name in ALONE]
    assert all(group.references == group.members for group in groups)
    assert [Job.of(group, Path("out")).is_plain for group in groups] == [True] * 4 + [False] * 7


def test_the_single_band_reference_of_the_same_run_is_taken_if_asked_for(tmp_path):
    names = ("task-x_sbref", "task-x_bold", "task-y_bold")
    add(tmp_path, *(f"sub-1/func/sub-1_{name}.nii.gz" for name in names))
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
    add(tmp_path, *right, *wrong)
    every = expand([ALL])
    assert [one.relative for one in find_images(tmp_path, suffixes=every).sources] == right
    listing = [*reversed(wrong), *right]
    assert [one.relative for one in find_images(tmp_path, suffixes=every, listing=listing).sources] == right
    assert [one.relative for one in find_images(tmp_path).sources] == right[:1]
    assert find_images(tmp_path, suffixes=["dwi"]).unrequested == {}
