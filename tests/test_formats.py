"""Corrected images in the numbers of their source, against the float32 ones."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from getnet_bids import images
from getnet_bids.cli.app import main as app
from getnet_bids.cli.one import main as getnet
from getnet_bids.errors import GetNetError
from getnet_bids.formats import Storage
from getnet_bids.interfaces import GetNetCorrection
from getnet_bids.series import divide

SAME = Storage("same")
QUICK = ("--device", "cpu", "--no-refine", "--precision", "float32")


def write_scan(path, values, dtype, slope=None, inter=None, kind=nib.Nifti1Image):
    """Write values as numbers of a type, of which slope and intercept make them again."""
    whole = np.dtype(dtype).kind in "iu"
    stored = np.rint((values - (inter or 0)) / (slope or 1)) if whole else values
    image = kind(stored.astype(dtype), np.diag([6.0, 6, 6, 1]))
    if slope is not None:
        image.header.set_slope_inter(slope, inter)
    image.to_filename(path)
    return path


@pytest.mark.parametrize(
    ("dtype", "slope", "inter"),
    [
        (np.int16, None, None),
        (np.uint16, 0.05, -100),
        (np.int32, -0.5, 10),
        (np.float32, None, None),
        (float, None, None),
    ],
)
def test_type_and_scale_are_the_source_s_and_values_off_by_half_a_step(tmp_path, head, dtype, slope, inter):
    scan = write_scan(tmp_path / "scan.nii.gz", head, dtype, slope, inter)
    assert getnet([str(scan), str(tmp_path / "float.nii.gz"), *QUICK]) == 0
    assert getnet([str(scan), str(tmp_path / "same.nii.gz"), "--output-dtype", "same", *QUICK]) == 0
    made, exact = nib.load(tmp_path / "same.nii.gz"), nib.load(tmp_path / "float.nii.gz").get_fdata()
    source = nib.load(scan)
    assert made.get_data_dtype() == source.get_data_dtype() == np.dtype(dtype)
    assert (made.dataobj.slope, made.dataobj.inter) == (source.dataobj.slope, source.dataobj.inter)
    step = abs(source.dataobj.slope) if np.dtype(dtype).kind in "iu" else 0
    assert np.abs(made.get_fdata() - exact).max() <= step / 2 + 1e-3
    np.testing.assert_array_equal(made.affine, source.affine)


def test_what_would_be_clipped_is_refused_and_nothing_is_written(tmp_path, head, capsys):
    bright = nib.Nifti1Image(np.full((2, 2, 2), 255.6, np.float32), np.eye(4))
    source = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4))
    for wrong in (255.6, -0.6, np.nan, np.inf):
        bright.dataobj[0, 0, 0] = wrong
        with pytest.raises(GetNetError, match=r"scan: its corrected values .* uint8 in its file from 0 to 255"):
            SAME.numbers(source, "scan").image(bright)
    values = np.minimum(255 * head / head.max(), 200)
    values[4:9, 15:19, 14:18] = 255  # as bright as it gets, where the field is low
    scan = write_scan(tmp_path / "scan.nii.gz", values, np.uint8)
    field = tmp_path / "field.nii.gz"
    command = [str(scan), str(tmp_path / "out.nii.gz"), "--field", str(field), "--output-dtype", "same", *QUICK]
    assert getnet(command) == 65
    assert "store it in float32" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["scan.nii.gz"]


def test_mgh_holds_what_it_can(tmp_path, head):
    source = images.read(write_scan(tmp_path / "scan.mgz", head.astype(np.int16), np.int16, kind=nib.MGHImage))
    corrected = images.like(source, head)
    images.write(SAME.numbers(source, "scan").image(corrected), tmp_path / "out.mgz")
    assert nib.load(tmp_path / "out.mgz").get_data_dtype() == np.dtype(">i2")
    for dtype, slope in ((np.uint32, None), (np.int16, 0.1)):
        source = images.read(write_scan(tmp_path / "scan.nii", head, dtype, slope, 0.0))
        stored = SAME.numbers(source, "scan").image(images.like(source, head))
        with pytest.raises(GetNetError, match=r"no\.mgz: MGH .*write NIfTI, or float32"):
            images.write(stored, tmp_path / "no.mgz")
    assert not (tmp_path / "no.mgz").exists()


def test_a_series_is_stored_volume_by_volume_as_an_image_is(tmp_path, head):
    values = np.stack([head, 2 * head], 3)
    scan = write_scan(tmp_path / "scan.nii.gz", values, np.int16, 0.25, 3.0)
    source = images.read(scan)
    field = nib.Nifti1Image(np.linspace(0.8, 1.2, head.size, dtype=np.float32).reshape(head.shape), source.affine)
    divide(scan, field, tmp_path / "by_volume.nii.gz", storage=Storage("same", 3))
    whole = images.like(source, np.asanyarray(source.dataobj) / field.get_fdata(dtype=np.float32)[..., None])
    images.write(SAME.numbers(source, scan).image(whole), tmp_path / "whole.nii.gz")
    one, other = (nib.load(tmp_path / f"{name}.nii.gz") for name in ("by_volume", "whole"))
    np.testing.assert_array_equal(one.dataobj.get_unscaled(), other.dataobj.get_unscaled())
    assert (one.dataobj.slope, one.dataobj.inter) == (0.25, 3.0)


@pytest.mark.parametrize("level", [1, 3, 9])
def test_levels_of_gzip_hold_the_same(tmp_path, head, level):
    image = nib.Nifti1Image(head, np.eye(4))
    for name in ("a.nii.gz", "b.nii.gz"):
        images.write(image, tmp_path / name, level)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()  # neither time nor name
    np.testing.assert_array_equal(nib.load(tmp_path / "a.nii.gz").get_fdata(dtype=np.float32), head)


def test_the_app_and_the_interface_store_the_same_file(make_dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = make_dataset("sub-01/anat/sub-01_T1w.nii.gz")
    options = ("--output-dtype", "same", "--compress", "9")
    assert app([str(raw), "out", "participant", *QUICK, *options]) == 0
    made = tmp_path / "out/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz"
    assert nib.load(made).get_data_dtype() == np.dtype(np.int16)
    before = made.stat().st_mtime_ns
    assert app([str(raw), "out", "participant", *QUICK, "--output-dtype", "same"]) == 0
    assert made.stat().st_mtime_ns == before  # the level changes no result, the type does
    scan = str(raw / "sub-01/anat/sub-01_T1w.nii.gz")
    node = GetNetCorrection(
        input_image=scan, refine=False, precision="float32", output_dtype="same", compress=9, num_threads=-1
    )
    assert "--output-dtype same --compress 9" in node.cmdline
    assert made.read_bytes() == (tmp_path / node.run().outputs.output_image).read_bytes()
    assert app([str(raw), "out", "participant", *QUICK]) == 0
    assert nib.load(made).get_data_dtype() == np.dtype(np.float32)


@pytest.mark.parametrize("options", [("--output-dtype", "same"), ("--compress", "9")])
def test_a_comparison_stores_float32(make_dataset, tmp_path, capsys, options):
    raw = make_dataset("sub-01/anat/sub-01_T1w.nii.gz")
    assert app([str(raw), str(tmp_path / "out"), "participant", "--compare", "n4", *options]) == 64
    assert "contradict" in capsys.readouterr().err
