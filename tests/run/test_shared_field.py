"""One field for the images of a session, through the whole program."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from getnet_bids.bids.discovery import Source
from getnet_bids.bids.groups import group_images, share_fields
from getnet_bids.bids.metadata import Metadata
from getnet_bids.bids.names import Name
from getnet_bids.cli.app import main
from tests.conftest import AFFINE
from tests.datasets import issues

ANAT = "sub-1/anat/sub-1_"
TOGETHER = (f"{ANAT}T1w", f"{ANAT}ce-gad_T1w", f"{ANAT}FLAIR")


@pytest.fixture(scope="module")
def raw(tmp_path_factory, head):
    """Make a session of three contrasts on one grid, and one on another."""
    root = tmp_path_factory.mktemp("shared") / "raw"
    rng = np.random.default_rng(6)
    (root / "sub-1/anat").mkdir(parents=True)
    for stem in (*TOGETHER, f"{ANAT}T2w"):
        voxels = head ** rng.uniform(0.6, 1.2) * rng.uniform(0.9, 1.1, head.shape)
        affine = AFFINE @ np.diag([1, 1, 1.1, 1]) if stem.endswith("T2w") else AFFINE
        nib.Nifti1Image(voxels.astype(np.float32), affine).to_filename(root / f"{stem}.nii.gz")
    about = {"Name": "Test", "BIDSVersion": "1.10.0", "DatasetType": "raw", "Authors": ["A", "B"]}
    (root / "dataset_description.json").write_text(json.dumps(about))
    return root


def app(raw, out, *options):
    return main([str(part) for part in (raw, out, "participant", "--device", "cpu", *options)])


def members(root: Path, *relatives: str) -> list[list[str]]:
    sources = [Source(root, relative, Name.parse(relative.rpartition("/")[2])) for relative in relatives]
    groups, _ = share_fields(group_images(sources), Metadata(root))
    return [[member.relative for member in group.members] for group in groups]


def voxels(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj, np.float64)


@pytest.fixture(scope="module")
def finished(raw):
    """Correct it with one field for what was measured together."""
    out = raw.parent / "out"
    assert app(raw, out, "--shared-field", "session") == 0
    return out


def test_an_image_that_has_a_field_of_its_own_is_named(raw, tmp_path, capfd):
    assert app(raw, tmp_path / "out", "--shared-field", "session", "--dry-run") == 0
    [line] = capfd.readouterr().err.splitlines()
    assert "on another grid, or by another coil" in line
    assert line.endswith(": sub-1_T2w.nii.gz")


def test_the_images_on_one_grid_have_one_field(raw, finished):
    out, folder = finished, finished / "sub-1/anat"
    fields = sorted(path.name for path in folder.glob("*biasfield.nii.gz"))
    assert len(fields) == 2  # of three images together, and of the T2w image
    made = json.loads((folder / "sub-1_desc-preproc_FLAIR.json").read_text())["GetNet"]
    assert made["Reference"]["Method"] == "joint estimate of 3 images"
    assert sorted(made["Reference"]["Sources"]) == sorted(f"bids:raw:{stem}.nii.gz" for stem in TOGETHER)
    quotients = [
        voxels(raw / f"{stem}.nii.gz")
        / voxels(out / f"{stem.rpartition('_')[0]}_desc-preproc_{stem.rpartition('_')[2]}.nii.gz")
        for stem in TOGETHER
    ]
    for quotient in quotients[1:]:
        np.testing.assert_allclose(quotient, quotients[0], rtol=1e-5)
    field = next(name for name in fields if "T2w" not in name)
    np.testing.assert_allclose(voxels(folder / field), quotients[0], rtol=1e-5)


def test_the_validator_has_nothing_to_say(finished):
    assert issues(finished) == []


def test_a_second_run_has_nothing_to_do_and_one_without_sharing_does_all_again(raw, finished, tmp_path, capfd):
    out = shutil.copytree(finished, tmp_path / "out")
    assert app(raw, out, "--shared-field", "session") == 0
    assert "4 skipped" in capfd.readouterr().err
    assert app(raw, out) == 0
    assert "3 done" in capfd.readouterr().err
    assert len(list((out / "sub-1/anat").glob("*biasfield.nii.gz"))) == 4


def test_only_what_was_measured_together_is_joined(raw, tmp_path, head):
    files = [f"{stem}.nii.gz" for stem in (*TOGETHER, f"{ANAT}T2w")]
    assert members(raw, *files) == [[*files[:3]], [files[3]]]
    assert members(raw, files[0], f"{ANAT}missing_T1w.nii.gz".replace("missing", "acq-missing")) == [
        [files[0]],
        [f"{ANAT}acq-missing_T1w.nii.gz"],
    ]
    other = tmp_path / "raw"
    (other / "sub-1/anat").mkdir(parents=True)
    for stem, coil in ((TOGETHER[0], "HeadCoil"), (TOGETHER[2], "Body")):
        nib.Nifti1Image(head.astype(np.float32), AFFINE).to_filename(other / f"{stem}.nii.gz")
        (other / f"{stem}.json").write_text(json.dumps({"ReceiveCoilName": coil}))
    assert members(other, files[0], files[2]) == [[files[0]], [files[2]]]


def test_it_does_not_go_with_a_comparison(raw, capsys):
    assert app(raw, raw.parent / "x", "--shared-field", "session", "--compare", "n4") == 64
    assert "contradict" in capsys.readouterr().err
