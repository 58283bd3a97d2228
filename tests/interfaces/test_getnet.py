from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nipype import Node
from nipype.interfaces.ants import N4BiasFieldCorrection
from nipype.interfaces.base import isdefined

import getnet_bids
from getnet_bids import images
from getnet_bids.core import ALGORITHM
from getnet_bids.errors import GetNetError
from getnet_bids.interfaces import GetNetCorrection
from tests.datasets import data, describe

N4_SETTINGS = {
    "dimension": 3,
    "n_iterations": [50] * 5,
    "convergence_threshold": 1e-7,
    "shrink_factor": 4,
    "bspline_fitting_distance": 200.0,
    "bspline_order": 3,
    "rescale_intensities": True,
    "histogram_sharpening": (0.12, 0.02, 200),
}


def test_every_input_and_output_of_n4_is_there():
    ours, theirs = GetNetCorrection.input_spec(), N4BiasFieldCorrection.input_spec()
    assert set(theirs.copyable_trait_names()) <= set(ours.copyable_trait_names())
    for name in ("save_bias", "output_image", "num_threads", "dimension", "histogram_sharpening"):
        assert getattr(ours, name) == getattr(theirs, name)
    outputs = set(GetNetCorrection.output_spec().copyable_trait_names())
    verdict = {"verdict", "reasons", "field_sd_median", "field_sd_p95", "known_fields_found", "output_uncertainty"}
    ours = {"seconds", "device", "negative_values", *verdict}
    assert outputs == {*ours, *N4BiasFieldCorrection.output_spec().copyable_trait_names()}


def test_names_of_outputs_are_those_of_n4(folder, scan):
    n4 = N4BiasFieldCorrection(input_image=str(scan), save_bias=True)
    n4._parse_inputs()
    expected = n4._list_outputs()
    outputs = GetNetCorrection(input_image=str(scan), save_bias=True, refine=False).run().outputs
    assert outputs.output_image == expected["output_image"] == str(folder / "sub-01_T1w_corrected.nii.gz")
    assert outputs.bias_image == expected["bias_image"] == str(folder / "sub-01_T1w_bias.nii.gz")
    assert outputs.device == "cpu (1 threads)"


def test_names_that_the_user_gives(folder, scan):
    outputs = (
        GetNetCorrection(
            input_image=str(scan), output_image="a.nii", bias_image="b.nii.gz", refine=False, copy_header=True
        )
        .run()
        .outputs
    )
    assert outputs.output_image == str(folder / "a.nii")
    assert outputs.bias_image == str(folder / "b.nii.gz")
    assert sorted(p.name for p in folder.iterdir()) == ["a.nii", "b.nii.gz"]


def test_without_save_bias_there_is_none(folder, scan):
    outputs = GetNetCorrection(input_image=str(scan), refine=False).run().outputs
    assert not isdefined(outputs.bias_image)
    assert [p.name for p in folder.iterdir()] == ["sub-01_T1w_corrected.nii.gz"]


def same(path, other):
    """Return whether two files are the same; pytest would take minutes to show where they differ."""
    return filecmp.cmp(path, other, shallow=False)


def test_same_bytes_as_the_python_call_and_the_command(folder, scan, mask):
    node = Node(GetNetCorrection(input_image=str(scan), mask_image=str(mask), save_bias=True, num_threads=-1), "getnet")
    node.base_dir = str(folder)
    outputs = node.run().outputs
    result = getnet_bids.correct(scan, mask=mask, device="cpu")
    images.write(result.image, folder / "image.nii.gz")
    images.write(result.field, folder / "field.nii.gz")
    assert same(outputs.output_image, folder / "image.nii.gz")
    assert same(outputs.bias_image, folder / "field.nii.gz")
    getnet = shutil.which("getnet", path=str(Path(sys.executable).parent))
    if getnet is None:
        pytest.skip("the command getnet is not installed beside this Python")
    command = [getnet, str(scan), "cli.nii.gz", "--mask", str(mask), "--device", "cpu"]
    subprocess.run(command, check=True, cwd=folder)
    assert same(outputs.output_image, folder / "cli.nii.gz")


def test_same_bytes_as_the_app(folder, scan):
    anat = folder / "bids" / "sub-01" / "anat"
    anat.mkdir(parents=True)
    describe(folder / "bids")
    shutil.copy(scan, anat / "sub-01_T1w.nii.gz")
    command = [sys.executable, "-m", "getnet_bids.cli.app", "bids", "out", "participant", "--device", "cpu"]
    subprocess.run(command, check=True, cwd=folder)
    interface = GetNetCorrection(input_image=str(anat / "sub-01_T1w.nii.gz"), save_bias=True, num_threads=-1)
    outputs = interface.run(cwd=str(folder)).outputs
    made = folder / "out" / "sub-01" / "anat"
    assert same(outputs.output_image, made / "sub-01_desc-preproc_T1w.nii.gz")
    assert same(outputs.bias_image, made / "sub-01_mod-T1w_desc-preproc_biasfield.nii.gz")


def test_settings_of_n4_are_ignored_and_said_so_once(folder, scan, caplog):
    with_them = GetNetCorrection(input_image=str(scan), output_image="a.nii", **N4_SETTINGS)
    assert "dimension" not in with_them.ignored
    with_them.run()
    GetNetCorrection(input_image=str(scan), output_image="b.nii").run()
    lines = [r.getMessage() for r in caplog.records if "ignored" in r.getMessage()]
    assert len(lines) == 1
    assert all(name in lines[0] for name in N4_SETTINGS if name != "dimension")
    np.testing.assert_array_equal(data("a.nii"), data("b.nii"))


def test_only_what_changes_the_result_is_hashed(scan, mask):
    def digest(**inputs):
        return GetNetCorrection(input_image=str(scan), **inputs).inputs.get_hashval(hash_method="content")[1]

    plain = digest()
    for same in (
        {"use_gpu": True},
        {"device": "cuda:1"},
        {"batch_size": 8},
        {"num_threads": 4},
        {"copy_header": True},
        *({name: value} for name, value in N4_SETTINGS.items()),
    ):
        assert digest(**same) == plain, same
    hashed, _ = GetNetCorrection(input_image=str(scan)).inputs.get_hashval(hash_method="content")
    assert ("algorithm", ALGORITHM) in hashed  # so that a work folder of another version's results is not reused
    other = scan.with_name("other.safetensors")
    other.write_bytes(b"other weights")
    for changed in (
        {"refine": False},
        {"smoothness": 50.0},
        {"precision": "float32"},
        {"mask_image": str(mask)},
        {"weights": str(other)},
        {"save_bias": True},
        {"output_uncertainty": "%s_sd"},
    ):
        assert digest(**changed) != plain, changed


def test_a_gpu_node_only_on_request(scan):
    assert not Node(GetNetCorrection(input_image=str(scan)), "n").is_gpu_node()
    assert Node(GetNetCorrection(input_image=str(scan), use_gpu=True), "n").is_gpu_node()


@pytest.mark.parametrize("ndim", [2, 3, 4])
def test_two_to_four_dimensions_keep_the_header(folder, tmp_path, image, ndim):
    values = image.get_fdata().astype(np.float32)
    values = {2: values[:, :, 16], 3: values, 4: np.stack([values, 2 * values], 3)}[ndim]
    source = nib.Nifti1Image(values, image.affine, image.header)
    source.header.set_data_dtype(np.int16)
    source.to_filename(tmp_path / "image.nii.gz")
    given = nib.load(tmp_path / "image.nii.gz")
    outputs = (
        GetNetCorrection(input_image=str(tmp_path / "image.nii.gz"), save_bias=True, dimension=ndim, refine=False)
        .run()
        .outputs
    )
    corrected, field = nib.load(outputs.output_image), nib.load(outputs.bias_image)
    assert corrected.shape == given.shape
    assert field.shape == given.shape[:3]
    spread = field.get_fdata() if ndim < 4 else field.get_fdata()[..., None]
    np.testing.assert_allclose(corrected.get_fdata() * spread, given.get_fdata(), rtol=1e-5, atol=1e-3)
    for made in (corrected, field):
        np.testing.assert_array_equal(made.affine, given.affine)
        assert [int(made.header[c]) for c in ("qform_code", "sform_code")] == [1, 4]
        assert made.get_data_dtype() == np.float32


def test_weights_of_voxels_bound_the_fit(folder, scan, mask, tmp_path, image):
    weight = np.zeros(image.shape, np.float32)
    weight[5:25, 5:29, 5:27] = 0.9
    weight[:5] = 0.2
    nib.Nifti1Image(weight, image.affine).to_filename(tmp_path / "weight.nii.gz")
    GetNetCorrection(input_image=str(scan), weight_image=str(tmp_path / "weight.nii.gz"), output_image="a.nii").run()
    GetNetCorrection(input_image=str(scan), mask_image=str(mask), output_image="b.nii").run()
    GetNetCorrection(input_image=str(scan), output_image="c.nii").run()
    np.testing.assert_array_equal(data("a.nii"), data("b.nii"))
    assert np.abs(data("a.nii") - data("c.nii")).max() > 0


def test_the_uncertainty_is_made_when_a_cached_node_is_asked_for_it(folder, scan):
    made = []
    for inputs in ({}, {"output_uncertainty": "a_%s"}, {"output_uncertainty": "b_%s"}):
        node = Node(GetNetCorrection(input_image=str(scan), refine=False, **inputs), "getnet", base_dir=str(folder))
        made.append(node.run().outputs.output_uncertainty)
    assert not isdefined(made[0])
    assert [Path(path).name for path in made[1:]] == ["a_sub-01_T1w.nii.gz", "b_sub-01_T1w.nii.gz"]


def test_weights_without_any_signal_are_named(folder, scan, tmp_path, image):
    weight = np.zeros(image.shape, np.float32)
    weight[0, 0, :] = 1
    nib.Nifti1Image(weight, image.affine).to_filename(tmp_path / "weight.nii.gz")
    with pytest.raises(GetNetError, match=r"weight\.nii\.gz: is low nearly everywhere where the image has signal"):
        GetNetCorrection(input_image=str(scan), weight_image=str(tmp_path / "weight.nii.gz")).run()


def test_errors_name_the_file_and_leave_nothing(folder, scan, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.nii"):
        GetNetCorrection(input_image=str(tmp_path / "absent.nii")).run()
    nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4)).to_filename(tmp_path / "other.nii")
    for name in ("mask_image", "weight_image"):
        with pytest.raises(GetNetError, match=r"other\.nii"):
            GetNetCorrection(input_image=str(scan), save_bias=True, **{name: str(tmp_path / "other.nii")}).run()
    for name in ("output_image", "bias_image"):
        with pytest.raises(ValueError, match="must end in"):
            GetNetCorrection(input_image=str(scan), **{name: "a.img"}).run()
    nib.Nifti1Image(np.zeros((20, 20, 20), np.float32), np.eye(4)).to_filename(tmp_path / "empty.nii")
    with pytest.raises(GetNetError, match=r"empty\.nii: .*signal"):
        GetNetCorrection(input_image=str(tmp_path / "empty.nii")).run()
    assert list(folder.iterdir()) == []


def test_torch_and_ants_are_not_imported_before_a_node_runs():
    code = (
        "import sys; from getnet_bids.interfaces import *; from nipype import Node; Node(GetNetCorrection(), 'n');"
        "print(sorted({'torch', 'ants', 'nilearn', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_verdict_and_uncertainty_are_outputs(folder, scan):
    correction = GetNetCorrection(input_image=str(scan), output_uncertainty="%s_sd")
    assert correction._list_outputs()["output_uncertainty"] == str(folder / "sub-01_T1w_sd.nii.gz")
    outputs = correction.run().outputs
    result = getnet_bids.correct(scan, device="cpu", options=getnet_bids.Options(uncertainty=True))
    assert outputs.output_uncertainty == str(folder / "sub-01_T1w_sd.nii.gz")
    np.testing.assert_allclose(data(outputs.output_uncertainty), result.uncertainty.dataobj, rtol=1e-5)
    assert (outputs.verdict, tuple(outputs.reasons)) == (result.verdict, result.reasons)
    assert outputs.field_sd_median == pytest.approx(result.field_sd_median)
    assert outputs.known_fields_found == pytest.approx(result.known_fields_found)
    assert not isdefined(GetNetCorrection(input_image=str(scan)).run().outputs.output_uncertainty)
