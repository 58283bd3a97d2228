"""The pages on nipype and fMRIPrep: what they print is run, each script in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import getnet_bids
from tests.datasets import add, as_scan, describe

from .snippets import DOCS, Block, blocks, lay_out

pytestmark = pytest.mark.slow

NIPYPE, FMRIPREP = blocks(DOCS / "nipype.rst", "python"), blocks(DOCS / "fmriprep.rst", "console")
NEEDS = ("niworkflows", "pydra")
"""What not everybody who uses nipype has; an example is run where it is installed: ``pip install '.[peers]' pydra``."""
LEAVES = {
    "init_n4_only_wf": "work/**/*_corrected.nii.gz",
    "init_enhance_and_skullstrip_bold_wf": None,  # makes a workflow, which needs FSL and AFNI to run
    "pydra.mark.task": "data/corrected.nii.gz",
    "WatchedMultiProcPlugin": "work/**/*_T1w_corrected.nii.gz",
    "MeanVolume": "corrected.nii.gz",
    "init_comparison_wf": "work/**/metrics.tsv",
}
"""A word of each example, and what it leaves."""
NOT_RUN = {"fmriprep": "not installed", "cd": "goes with the next", "mri_synthstrip": "FreeSurfer's"}
"""Programs on the page that are not here."""


def environment() -> dict[str, str]:
    """Return an environment with the commands on the PATH."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def word_of(block: Block) -> str:
    (word,) = (word for word in LEAVES if word in block.text)
    return word


def test_each_example_of_the_page_is_known():
    assert sorted(map(word_of, NIPYPE)) == sorted(LEAVES)


@pytest.mark.parametrize("block", NIPYPE, ids=word_of)
def test_an_example_on_nipype(block, tmp_path, head):
    for name in NEEDS:
        if re.search(rf"^(from|import) {name}\b", block.text, re.MULTILINE) and not importlib.util.find_spec(name):
            pytest.skip(f"{name} is not installed")
    lay_out(tmp_path, head)
    (tmp_path / "bids").rename(tmp_path / "data")
    series = np.stack([head, 0.5 * head, 0.4 * head], axis=3).astype(np.float32)
    nib.Nifti1Image(series, np.diag([6.0, 6, 6, 1])).to_filename(tmp_path / "dwi.nii.gz")
    (tmp_path / "dwi.bval").write_text("0 1000 1000\n")
    script = tmp_path / "script.py"
    script.write_text(block.text.replace('"/data/', f'"{tmp_path}/data/'))
    done = subprocess.run(
        [sys.executable, script.name], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    left = LEAVES[word_of(block)]
    assert left is None or list(tmp_path.glob(left))


@pytest.mark.skipif(importlib.util.find_spec("pydra") is None, reason="pydra is not installed")
def test_pydras_result_is_that_of_the_plain_call(tmp_path, head):
    (block,) = (block for block in NIPYPE if "pydra" in block.text)
    lay_out(tmp_path, head)
    (tmp_path / "bids").rename(tmp_path / "data")
    script = tmp_path / "script.py"
    script.write_text(block.text.replace('"/data/', f'"{tmp_path}/data/'))
    subprocess.run([sys.executable, script.name], cwd=tmp_path, check=True)
    plain = getnet_bids.correct(tmp_path / "T1w.nii.gz").image.get_fdata()
    np.testing.assert_allclose(nib.load(tmp_path / "data/corrected.nii.gz").get_fdata(), plain, rtol=1e-5)


@pytest.fixture(scope="module")
def handed(tmp_path_factory, head):
    """Run what the page on fMRIPrep prints, from top to bottom, with ``/data`` in a folder of ours; return that."""
    folder = tmp_path_factory.mktemp("fmriprep")
    runs = [f"sub-01/anat/sub-01_run-{i}_T1w.nii.gz" for i in (1, 2)]
    add(describe(folder / "data"), *runs, "sub-01/anat/sub-01_T2w.nii.gz", image=as_scan(head))
    codes = []
    for command in (command for block in FMRIPREP for command in block.commands):
        if command.split()[0] not in NOT_RUN:
            line = command.replace("/data", str(folder / "data"))
            done = subprocess.run(line, shell=True, cwd=folder, env=environment(), capture_output=True, text=True)
            codes.append(done.returncode)
    assert codes == [1, 0, 0]  # two images: none is handed over; the choice is written; it is handed over
    return folder / "data/derivatives/getnet-fmriprep"


def test_the_commands_for_fmriprep_hand_one_image_over(handed):
    (given,) = (
        word.partition("=")[2]
        for block in FMRIPREP
        for command in block.commands
        if command.startswith("fmriprep ")
        for word in command.split()
        if word.startswith("getnet=")
    )
    assert given == "/data/derivatives/" + handed.name
    (image,) = handed.rglob("*.nii.gz")
    assert image.name == "sub-01_run-1_desc-preproc_T1w.nii.gz"
    about = json.loads((handed / "dataset_description.json").read_text())
    assert about["DatasetType"] == "derivative"


def test_smriprep_collects_what_the_page_says(handed):
    collect = pytest.importorskip("smriprep.utils.bids").collect_derivatives
    (image,) = handed.rglob("*.nii.gz")
    mask = image.with_name(image.name.replace("desc-preproc_T1w", "desc-brain_mask"))
    assert collect(str(handed), "01", []) == {"t1w_preproc": str(image), "transforms": {}}
    mask.write_bytes(image.read_bytes())
    try:
        assert collect(str(handed), "01", [])["t1w_mask"] == str(mask)
    finally:
        mask.unlink()


def test_nibabies_collects_what_the_page_says(handed):
    collect = pytest.importorskip("nibabies.utils.derivatives").collect_anatomical_derivatives
    (image,) = handed.rglob("*.nii.gz")
    assert collect(handed, "01", [], None) == {"t1w_preproc": str(image), "transforms": {}}
    page = (DOCS / "fmriprep.rst").read_text()
    assert "``sub-<label>_space-T1w_desc-brain_mask.nii.gz``" in page
    mask = image.with_name(image.name.replace("desc-preproc_T1w", "space-T1w_desc-brain_mask"))
    mask.write_bytes(image.read_bytes())
    try:
        assert collect(handed, "01", [], None)["t1w_mask"] == str(mask)
    finally:
        mask.unlink()
