from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from getnet_bids import correct, images
from getnet_bids.cli import one
from getnet_bids.errors import GetNetError
from getnet_bids.interfaces import ApplyField, GetNetCorrection, MeanVolume, N4Correction
from getnet_bids.workflows import init_getnet_wf
from tests.conftest import AFFINE

WEIGHTS = (1.0, 0.2, 0.96, 0.1)
BVALS = (0, 1000, 5, 2000)


@pytest.fixture
def dwi(head, tmp_path, monkeypatch):
    """Write a series whose weighted volumes have another shading, and its b-values; the folder is the current one."""
    rng = np.random.default_rng(2)
    volumes = [head * w * rng.uniform(0.9, 1.1, head.shape) for w in WEIGHTS]
    volumes[3] = volumes[3] * 20 * np.linspace(0.5, 1.5, head.shape[0])[:, None, None]
    image = nib.Nifti1Image(np.stack(volumes, 3).astype(np.float32), AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(tmp_path / "dwi.nii.gz")
    (tmp_path / "dwi.bval").write_text(" ".join(map(str, BVALS)))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "dwi.nii.gz"


def data(path):
    return nib.load(path).get_fdata(dtype=np.float32)


def test_the_nodes_do_what_the_correction_does(dwi, tmp_path):
    bvals = str(dwi.with_name("dwi.bval"))
    mean = MeanVolume(input_image=str(dwi), bvals=bvals).run().outputs
    assert mean.volumes == [0, 2]
    np.testing.assert_allclose(data(mean.output_image), data(dwi)[..., [0, 2]].mean(3), rtol=1e-5)
    at_once = GetNetCorrection(input_image=str(dwi), bvals=bvals, save_bias=True).run().outputs
    field = GetNetCorrection(input_image=mean.output_image, save_bias=True).run().outputs.bias_image
    np.testing.assert_array_equal(data(field), data(at_once.bias_image))
    applied = ApplyField(input_image=str(dwi), bias_image=field, output_image="applied.nii.gz").run().outputs
    np.testing.assert_array_equal(data(applied.output_image), data(at_once.output_image))
    np.testing.assert_allclose(data(applied.output_image) * data(field)[..., None], data(dwi), rtol=1e-5)


@pytest.mark.parametrize("name", ["series.mgz", "series.nii.gz"])
def test_a_field_is_applied_in_every_format(dwi, tmp_path, name):
    images.write(images.read(dwi), tmp_path / name)
    field = nib.Nifti1Image(np.full(data(dwi).shape[:3], 2, np.float32), AFFINE)
    field.to_filename(tmp_path / "field.nii")
    for given in ({}, {"output_image": "made.mgz"}):
        made = ApplyField(input_image=str(tmp_path / name), bias_image="field.nii", **given).run().outputs.output_image
        np.testing.assert_array_equal(data(made), data(dwi) / 2)


@pytest.mark.parametrize(
    "outputs",
    [
        {"output_image": "dwi.nii.gz"},
        {"output_image": "a.nii", "bias_image": "dwi.nii.gz"},
        {"output_image": "a.nii", "bias_image": "a.nii"},
        {"output_image": "a.nii", "output_uncertainty": "link.nii.gz"},
        {"output_image": "a.nii", "bias_image": "dwi.bval"},
        {"output_image": "a.nii", "bias_image": "mask.nii"},
    ],
)
def test_no_input_is_overwritten(dwi, tmp_path, outputs):
    (tmp_path / "link.nii.gz").symlink_to("dwi.nii.gz")
    nib.Nifti1Image(np.ones(nib.load(dwi).shape[:3], np.uint8), AFFINE).to_filename("mask.nii")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    inputs = {"input_image": str(dwi), "mask_image": str(tmp_path / "mask.nii")}
    with pytest.raises(GetNetError, match=r"overwrite|must end in"):
        GetNetCorrection(**inputs, bvals=str(dwi.with_name("dwi.bval")), refine=False, **outputs).run()
    if "output_uncertainty" not in outputs:
        with pytest.raises(GetNetError, match=r"overwrite|must end in"):
            N4Correction(**inputs, **outputs).run()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_field_is_not_overwritten_when_it_is_applied(dwi, tmp_path):
    nib.Nifti1Image(np.ones(nib.load(dwi).shape[:3], np.float32), AFFINE).to_filename("field.nii.gz")
    for name in ("field.nii.gz", "dwi.nii.gz"):
        with pytest.raises(GetNetError, match="overwrite"):
            ApplyField(input_image=str(dwi), bias_image=str(tmp_path / "field.nii.gz"), output_image=name).run()


def test_command_line_python_and_nipype_give_the_same(dwi, capsys):
    bvals = str(dwi.with_name("dwi.bval"))
    assert one.main([str(dwi), "out.nii.gz", "--bvals", bvals, "--field", "field.nii.gz", "--device", "cpu", "-v"]) == 0
    assert "field from the mean of the 2 volumes with b up to 50" in capsys.readouterr().err
    result = correct(dwi, bvals=bvals, device="cpu")
    np.testing.assert_array_equal(data("out.nii.gz"), result.image.get_fdata(dtype=np.float32))
    np.testing.assert_array_equal(data("field.nii.gz"), result.field.get_fdata(dtype=np.float32))
    listed = correct(nib.load(dwi), bvals=BVALS, device="cpu")
    np.testing.assert_array_equal(listed.field.get_fdata(), result.field.get_fdata())
    whole = correct(dwi, device="cpu")
    assert abs(whole.field.get_fdata() / result.field.get_fdata() - 1).max() > 0.02
    node = GetNetCorrection(input_image=str(dwi), bvals=bvals, save_bias=True)
    assert f"--bvals {bvals}" in node.cmdline
    assert (dwi.parent / "out.nii.gz").read_bytes() == Path(node.run().outputs.output_image).read_bytes()


def test_b_values_that_do_not_fit_are_refused(dwi, capsys):
    dwi.with_name("short.bval").write_text("0 1000")
    assert one.main([str(dwi), "out.nii.gz", "--bvals", "short.bval"]) == 65
    assert "it has 4 volumes and 2 b-values" in capsys.readouterr().err
    assert one.main([str(dwi), "out.nii.gz", "--bvals", "none.bval"]) == 66
    nib.Nifti1Image(data(dwi)[..., 0], AFFINE).to_filename("volume.nii")
    assert one.main(["volume.nii", "out.nii.gz", "--bvals", "short.bval"]) == 65
    assert "it has one volume and 2 b-values" in capsys.readouterr().err
    dwi.with_name("dwi.bval").write_text("700 1000 700 1000")
    assert one.main([str(dwi), "out.nii.gz", "--bvals", "dwi.bval", "--device", "cpu"]) == 0
    assert "lowest shell" in capsys.readouterr().err


def test_the_workflow_takes_a_series(dwi, tmp_path):
    workflow = init_getnet_wf()
    workflow.base_dir = str(tmp_path / "work")
    workflow.inputs.inputnode.in_file = str(dwi)
    workflow.inputs.inputnode.in_bvals = str(dwi.with_name("dwi.bval"))
    graph = workflow.run()
    (node,) = [node for node in graph.nodes() if node.name == "getnet"]
    field, corrected = data(node.result.outputs.bias_image), data(node.result.outputs.output_image)
    np.testing.assert_allclose(corrected * field[..., None], data(dwi), rtol=1e-5)
    np.testing.assert_array_equal(field, correct(dwi, bvals=BVALS, device="cpu").field.get_fdata(dtype=np.float32))
