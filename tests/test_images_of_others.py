"""Arrays and images of other packages give the same field as nibabel's, and results are of their kind."""

from __future__ import annotations

import importlib

import nibabel as nib
import numpy as np
import pytest

import getnet_bids
from getnet_bids.containers import as_nibabel
from getnet_bids.errors import GetNetError

OPTIONS = getnet_bids.Options(refine=False)
SIZES = (6.0, 6.0, 6.0)


def correct(image, **arguments):
    return getnet_bids.correct(image, device="cpu", options=OPTIONS, **arguments)


@pytest.fixture
def voxels(image):
    return image.get_fdata(dtype=np.float32)


@pytest.fixture
def field(image):
    return np.asanyarray(correct(image).field.dataobj)


@pytest.mark.parametrize(
    "kind", [np.float32, np.float64, np.float16, np.int16, np.uint16, np.int64, ">f4", np.longdouble]
)
def test_arrays(image, kind):
    data = np.rint(image.get_fdata()).astype(kind)
    plain = correct(nib.Nifti1Image(data.astype(np.float32), image.affine))
    result = correct(data, voxel_size=SIZES)
    assert type(result.image) is type(result.field) is np.ndarray
    assert result.image.dtype == result.field.dtype == np.float32
    np.testing.assert_array_equal(result.field, plain.field.dataobj)
    np.testing.assert_array_equal(result.image, plain.image.dataobj)


def test_a_size_for_all_axes_lists_masked_arrays_and_tensors(voxels, field):
    import torch

    needing_gradients = torch.from_numpy(voxels).requires_grad_()
    for given in (voxels.tolist(), np.ma.masked_less_equal(voxels, 0), torch.from_numpy(voxels), needing_gradients):
        np.testing.assert_array_equal(correct(given, voxel_size=6).field, field)
    rounded = torch.from_numpy(voxels).bfloat16()
    np.testing.assert_array_equal(
        correct(rounded, voxel_size=6).field, correct(rounded.float().numpy(), voxel_size=6).field
    )


def test_slices_and_series(voxels):
    assert correct(voxels[:, :, 16], voxel_size=(6, 6)).field.shape == voxels.shape[:2]
    series = correct(np.stack([voxels, 2 * voxels], 3), voxel_size=SIZES)
    assert (series.image.ndim, series.field.ndim) == (4, 3)


def test_masks_of_every_kind(tmp_path, image, voxels):
    inside = np.zeros(voxels.shape, bool)
    inside[5:25, 5:25, 5:25] = True
    in_space = nib.Nifti1Image(inside.astype(np.uint8), image.affine)
    in_space.to_filename(tmp_path / "mask.nii")
    wanted = np.asanyarray(correct(image, mask=in_space).field.dataobj)
    for mask in (inside, inside.astype(float), tmp_path / "mask.nii"):
        np.testing.assert_array_equal(correct(image, mask=mask).field.dataobj, wanted)
        np.testing.assert_array_equal(correct(voxels, voxel_size=SIZES, mask=mask).field, wanted)
    with pytest.raises(GetNetError, match="shape"):
        correct(voxels, voxel_size=SIZES, mask=inside[1:])


@pytest.mark.parametrize(
    ("image", "size", "said"),
    [
        (np.ones((5, 5, 5)), None, "give voxel_size, 3 numbers in mm"),
        (np.ones((5, 5, 5)), (1, 1), "voxel_size must be 3 numbers above 0"),
        (np.ones((5, 5, 5)), (1, 1, 0), "voxel_size must be 3 numbers above 0"),
        (np.ones((5, 5, 5)), "large", "voxel_size must be 3 numbers above 0 in mm, not 'large'"),
        (np.ones((5, 5, 5, 2)), (1, 1, 1, 2), "3 numbers above 0 in mm, for the axes of space"),
        (np.float64(3), 1, "two, three or four dimensions"),
        (np.ones((5, 0, 5)), 1, "dimensions with voxels"),
        (np.ones((5, 5, 5), complex), 1, "complex"),
        (np.array(["a"]), 1, "is not an image"),
        (np.ones(5), 1, "two, three or four dimensions"),
        (
            nib.Cifti2Image(np.ones((1, 2)), [nib.cifti2.ScalarAxis(["a"]), nib.cifti2.ScalarAxis(["b", "c"])]),
            None,
            "Cifti2",
        ),
        (object(), None, "a builtins.object is not a supported image; give a path"),
        (nib.Nifti1Image(np.ones((5, 5, 5), np.float32), np.eye(4)), (1, 1, 1), "voxel_size is for arrays"),
    ],
)
def test_what_is_refused_is_told_in_one_line(image, size, said):
    with pytest.raises(GetNetError, match=said) as caught:
        correct(image, voxel_size=size)
    assert "\n" not in str(caught.value)


OBLIQUE = nib.affines.from_matvec(
    np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]) @ np.diag([6.0, 6, 6]), [-40, 30, 12]
)


@pytest.mark.parametrize("package", ["SimpleITK", "ants"])
@pytest.mark.parametrize("shape", ["slice", "volume", "series"])
def test_images_of_other_packages(tmp_path, voxels, package, shape):
    module = pytest.importorskip(package)
    data = {"slice": voxels[:, :, 16], "volume": voxels, "series": np.stack([voxels, 2 * voxels], 3)}[shape]
    path = str(tmp_path / "scan.nii.gz")
    nib.Nifti1Image(data, np.diag([6.0, 6, 6, 1]) if shape == "slice" else OBLIQUE).to_filename(path)
    theirs = module.ReadImage(path) if package == "SimpleITK" else module.image_read(path)
    taken, _ = as_nibabel(theirs)
    assert taken.shape == data.shape
    if shape != "slice":
        np.testing.assert_allclose(taken.affine, OBLIQUE, atol=1e-4)
    result, plain = correct(theirs), correct(path)
    for name in ("image", "field"):
        made = getattr(result, name)
        assert isinstance(made, type(theirs))
        written = str(tmp_path / f"{name}.nii.gz")
        module.WriteImage(made, written) if package == "SimpleITK" else module.image_write(made, written)
        back, wanted = nib.load(written), getattr(plain, name)
        np.testing.assert_allclose(back.get_fdata(), np.asanyarray(wanted.dataobj), rtol=1e-5)
        if shape != "slice":
            np.testing.assert_allclose(back.affine, wanted.affine, atol=1e-4)


@pytest.mark.parametrize("package", ["SimpleITK", "ants"])
def test_masks_of_other_packages_and_colours(voxels, package):
    module = pytest.importorskip(package)
    inside = np.zeros(voxels.shape, np.float32)
    inside[5:25, 5:25, 5:25] = 1
    if package == "ants":
        scan, mask = (module.from_numpy(array, spacing=SIZES) for array in (voxels, inside))
        colours = module.from_numpy(np.ones((8, 8, 8, 3), np.float32), has_components=True)
    else:
        scan, mask = (module.GetImageFromArray(array.T) for array in (voxels, inside))
        scan.SetSpacing(SIZES)
        mask.SetSpacing(SIZES)
        colours = module.GetImageFromArray(np.ones((8, 8, 8, 3), np.float32), isVector=True)
    found = correct(scan, mask=mask).foreground
    assert found.any()
    assert not found[inside == 0].any()
    with pytest.raises(GetNetError, match="colours"):
        correct(colours)


def test_a_simpleitk_image_keeps_its_metadata_also_as_a_subclass(tmp_path, image):
    sitk = pytest.importorskip("SimpleITK")

    class Scan(sitk.Image):
        pass

    path = str(tmp_path / "scan.nii.gz")
    image.to_filename(path)
    scan = Scan(sitk.ReadImage(path))
    scan.SetMetaData("0008|103e", "MPRAGE")
    result = correct(scan)
    for made in (result.image, result.field):
        assert made.GetMetaDataKeys() == scan.GetMetaDataKeys()
        sitk.WriteImage(made, path)
        header = nib.load(path).header
        assert header["descrip"] == image.header["descrip"]
        assert header.get_data_dtype() == np.float32
        assert header["cal_max"] == 0  # brightness to show the scan at


@pytest.mark.parametrize("package", ["monai", "torchio"])
def test_images_with_channels_are_sent_to_their_adapter(voxels, package):
    module = pytest.importorskip(package)
    if package == "monai":
        theirs = importlib.import_module("monai.data").MetaTensor(voxels[None])
    else:
        theirs = module.ScalarImage(tensor=voxels[None])
    for size in (None, SIZES):
        with pytest.raises(GetNetError, match=rf"channels; give it to getnet_bids\.{package}\.GetNetCorrection"):
            correct(theirs, voxel_size=size)
