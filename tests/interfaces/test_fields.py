from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from getnet_bids import correct
from getnet_bids.cli import one
from getnet_bids.interfaces import ApplyField, GetNetCorrection, MeanVolume
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
