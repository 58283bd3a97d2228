"""What the App leaves is read by PyBIDS with its metadata, by bids2table and by sMRIPrep."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from bids.layout import BIDSLayout, BIDSLayoutIndexer, Config

from getnet_bids.cli.app import main
from tests.datasets import add, as_scan, describe

ONE, TWO = "sub-01/anat/sub-01_T1w.nii.gz", "sub-02/ses-a/anat/sub-02_ses-a_T1w.nii.gz"
SERIES = ("sub-01/dwi/sub-01_dwi.nii.gz", "sub-01/func/sub-01_task-rest_bold.nii.gz")
COMPARED = ("--compare", "n4", "--use-plugin", "linear.yml", "--device", "cpu", "-m", "T1w")
KINDS = {
    "plain": (),
    "compared": (*COMPARED, "--segmentation", "derivatives", "--derivatives", "labels"),
    "series": ("--device", "cpu", "-m", "T1w", "dwi", "bold"),
    "simulated": (*COMPARED, "--segmentation", "none", "--simulate-gain", "30"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory, head, antspyx):
    """Make a folder of a raw dataset, and of the results of each kind of run with those of the group level."""
    folder = tmp_path_factory.mktemp("readers")
    image = as_scan(head)
    labels = nib.Nifti1Image(np.digitize(head, (300, 700)).astype(np.uint8), image.affine)
    add(describe(folder / "raw"), ONE, TWO, image=image)
    series = nib.Nifti1Image(np.stack([head, head / 2, head / 3], 3).astype(np.int16), image.affine)
    add(folder / "raw", *SERIES, image=series)
    (folder / "raw" / SERIES[0].replace("nii.gz", "bval")).write_text("0 1000 1000\n")
    (folder / "raw" / SERIES[0].replace("nii.gz", "bvec")).write_text("0 1 0\n0 0 1\n0 0 0\n")
    (folder / "raw" / "task-rest_bold.json").write_text('{"TaskName": "rest", "RepetitionTime": 2.0}')
    names = (relative.replace("T1w", "dseg") for relative in (ONE, TWO))
    add(describe(folder / "labels", DatasetType="derivative"), *names, image=labels)
    (folder / "linear.yml").write_text("plugin: Linear\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for kind, options in KINDS.items():
            assert main(["raw", kind, "participant", *options]) == 0
            assert main(["raw", kind, "group"]) == 0
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_pybids_opens_it_alone(made, kind):
    layout = BIDSLayout(
        made / kind, validate=False, config=["bids", "derivatives"], indexer=BIDSLayoutIndexer(index_metadata=True)
    )
    assert layout.get_subjects() == ["01", "02"]
    assert layout.get(desc="inu", suffix="metrics", extension="tsv")[0].get_metadata()["contrast"]["Description"]


@pytest.mark.parametrize("kind", KINDS)
def test_pybids_opens_it_as_derivatives_of_the_raw_data(made, kind):
    layout = BIDSLayout(made / "raw", derivatives=made / kind, indexer=BIDSLayoutIndexer(index_metadata=True))
    found = layout.get(scope="getnet_bids", suffix="T1w", extension="nii.gz", subject="01")
    descs = {"plain": {"preproc"}, "series": {"preproc"}, "compared": {"preproc", "N4"}}
    assert {file.entities["desc"] for file in found} == descs.get(kind, {"simulated", "simulatedGetNet", "simulatedN4"})
    assert all(file.get_metadata()["SkullStripped"] is False for file in found)


def test_pybids_finds_series_with_what_belongs_to_them(made):
    layout = BIDSLayout(made / "raw", derivatives=made / "series", indexer=BIDSLayoutIndexer(index_metadata=True))
    query = {"scope": "getnet_bids", "desc": "preproc", "extension": "nii.gz", "subject": "01"}
    (diffusion,), (bold,) = (layout.get(suffix=suffix, **query) for suffix in ("dwi", "bold"))
    assert layout.get_bval(diffusion.path) == str(made / "series/sub-01/dwi/sub-01_desc-preproc_dwi.bval")
    assert bold.get_metadata()["RepetitionTime"] == 2.0


@pytest.mark.parametrize("kind", KINDS)
def test_no_entry_of_a_sidecar_is_named_like_an_entity(made, kind):
    entities = {name for config in ("bids", "derivatives") for name in Config.load(config).entities}
    for path in (made / kind).rglob("*.json"):
        assert not entities & json.loads(path.read_text()).keys(), path


@pytest.mark.parametrize("kind", KINDS)
def test_bids2table_opens_it(made, kind):
    bids2table = pytest.importorskip("bids2table")
    rows = bids2table.index_dataset(made / kind).to_pylist()
    images = {row["path"] for row in rows if row["ext"] == ".nii.gz" and row["suffix"] == "T1w"}
    assert images == {path.relative_to(made / kind).as_posix() for path in (made / kind).rglob("*_T1w.nii.gz")}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_smriprep_collects_from_it(made, kind):
    collect = pytest.importorskip("smriprep.utils.bids").collect_derivatives
    found = collect(made / kind, "01", [])
    if kind == "simulated":
        assert "t1w_preproc" not in found
    else:
        assert found["t1w_preproc"] == str(made / kind / "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz")
    assert ("t1w_dseg" in found) is (kind == "compared")
