"""A field that is given, through the affines onto another grid; and `getnet --apply`."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from getnet_bids.cli.one import main
from getnet_bids.errors import GetNetError
from getnet_bids.grids import field_for


def gain(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Evaluate a field that is known everywhere, in mm: its logarithm is linear, which interpolation keeps."""
    grid = np.indices(shape).reshape(3, -1)
    x, y, z = affine[:3, :3] @ grid + affine[:3, 3:]
    return np.exp(0.01 * x - 0.006 * y + 0.004 * z).reshape(shape).astype(np.float32)


COARSE, FIELD_SHAPE = np.diag([4.0, 4.0, 4.0, 1.0]), (20, 22, 18)
TURNED = np.array([[0, 0, -3.0, 60], [2.5, 0.2, 0, 10], [0, 2.5, 0.1, 8], [0, 0, 0, 1]])
"""Another grid within it: axes in another order, one backwards, oblique."""
SHAPE = (24, 20, 16)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    nib.Nifti1Image(gain(COARSE, FIELD_SHAPE), COARSE).to_filename(tmp_path / "field.nii.gz")
    image = 100 * gain(TURNED, SHAPE) * rng.uniform(0.9, 1.1, SHAPE)
    nib.Nifti1Image(image.astype(np.float32), TURNED).to_filename(tmp_path / "in.nii.gz")
    return tmp_path


def moved(folder, millimetres):
    """Move the field along x."""
    affine = COARSE.copy()
    affine[0, 3] += millimetres
    nib.Nifti1Image(gain(COARSE, FIELD_SHAPE), affine).to_filename(folder / "field.nii.gz")


def test_the_field_is_that_of_the_place_in_the_scanner(folder):
    found, share = field_for(folder / "field.nii.gz", nib.load(folder / "in.nii.gz"), "in.nii.gz")
    np.testing.assert_allclose(np.asarray(found.dataobj), gain(TURNED, SHAPE), rtol=1e-4)
    assert share == 1
    np.testing.assert_allclose(found.affine, TURNED)


def test_on_its_own_grid_it_is_unchanged(folder):
    image = nib.Nifti1Image(np.ones((*FIELD_SHAPE, 2), np.float32), COARSE)
    found, _ = field_for(folder / "field.nii.gz", image, "x")
    np.testing.assert_array_equal(np.asarray(found.dataobj), gain(COARSE, FIELD_SHAPE))


def test_a_field_beside_the_image_is_refused_and_one_that_reaches_part_of_it_is_told(folder, capsys):
    command = [str(folder / "in.nii.gz"), str(folder / "out.nii.gz"), "--apply", str(folder / "field.nii.gz")]
    moved(folder, 500)
    assert main(command) == 65
    assert "reaches 0% of the object" in capsys.readouterr().err
    assert not (folder / "out.nii.gz").exists()
    moved(folder, 20)
    assert main(command) == 0
    assert "its nearest value counts" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "reason"), [(0.0, "not above 0 everywhere"), (-1.0, "not above 0"), (np.nan, "not above 0")]
)
def test_what_is_no_field_is_refused(folder, value, reason):
    values = gain(COARSE, FIELD_SHAPE)
    values[3, 4, 5] = value
    nib.Nifti1Image(values, COARSE).to_filename(folder / "field.nii.gz")
    with pytest.raises(GetNetError, match=reason):
        field_for(folder / "field.nii.gz", nib.load(folder / "in.nii.gz"), "in.nii.gz")


def test_an_image_in_the_place_of_the_field_is_refused(folder, capsys):
    command = [str(folder / "field.nii.gz"), str(folder / "out.nii.gz"), "--apply", str(folder / "in.nii.gz")]
    assert main(command) == 65
    assert "in.nii.gz: neighbouring voxels differ by" in capsys.readouterr().err
    assert not (folder / "out.nii.gz").exists()


def test_a_series_as_field_is_refused(folder):
    nib.Nifti1Image(np.ones((4, 4, 4, 3), np.float32), COARSE).to_filename(folder / "field.nii.gz")
    with pytest.raises(GetNetError, match="has 3 volumes"):
        field_for(folder / "field.nii.gz", nib.load(folder / "in.nii.gz"), "in.nii.gz")


@pytest.mark.parametrize("kind", ["in.nii.gz", "series.nii.gz", "in.mgz"])
def test_an_image_is_divided_by_it(folder, kind):
    image = nib.load(folder / "in.nii.gz")
    voxels = np.asarray(image.dataobj)
    if kind.startswith("series"):
        voxels = np.stack([voxels, 2 * voxels], 3)
    (nib.MGHImage if kind.endswith("mgz") else nib.Nifti1Image)(voxels, TURNED).to_filename(folder / kind)
    out, field = folder / f"out-{kind}", folder / "used.nii.gz"
    assert main([str(folder / kind), str(out), "--apply", str(folder / "field.nii.gz"), "--field", str(field)]) == 0
    used = np.asarray(nib.load(field).dataobj).reshape(*SHAPE, *[1] * (voxels.ndim - 3))
    np.testing.assert_allclose(np.asarray(nib.load(out).dataobj) * used, voxels, rtol=1e-5)


def test_options_of_the_estimate_are_refused_with_it(folder, capsys):
    command = [str(folder / "in.nii.gz"), str(folder / "out.nii.gz"), "--apply", str(folder / "field.nii.gz")]
    assert main([*command, "--smoothness", "50"]) == 64
    assert "--smoothness does nothing with --apply" in capsys.readouterr().err
    assert main([*command[:-1], str(folder / "none.nii")]) == 66
