"""The transforms of MONAI give what the plain call gives, to the bit, in whatever way MONAI runs them."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

import getnet_bids

pytest.importorskip("monai", reason="MONAI is not installed: pip install 'getnet_bids[monai]'")

import torch
from monai.data import CacheDataset, DataLoader, Dataset, MetaTensor, PersistentDataset
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, Orientationd, Spacingd

from getnet_bids.monai import GetNetCorrection, GetNetCorrectionD, GetNetCorrectiond

from .snippets import DOCS, blocks, lay_out


@pytest.fixture(scope="module")
def path(head, tmp_path_factory):
    path = tmp_path_factory.mktemp("monai") / "in.nii.gz"
    nib.Nifti1Image(head, np.diag([6.0, 6, 6, 1])).to_filename(path)
    return path


@pytest.fixture(scope="module")
def expected(path):
    return getnet_bids.correct(path, device="cpu").image.get_fdata(dtype=np.float32)


@pytest.fixture
def load():
    return Compose([LoadImaged(["image"]), EnsureChannelFirstd(["image"]), GetNetCorrectiond(["image"])])


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, MetaTensor])
def test_each_channel_is_that_of_the_plain_call(head, expected, kind):
    affine = {"affine": torch.diag(torch.tensor([6.0, 6, 6, 1]))} if kind is MetaTensor else {}
    image = kind(np.stack([head, 2 * head]), **affine)
    out = GetNetCorrection(voxel_size=6)(image)
    assert isinstance(out, MetaTensor if kind is MetaTensor else torch.Tensor)
    assert out.dtype == torch.float32
    np.testing.assert_array_equal(np.asarray(out[0]), expected)
    np.testing.assert_array_equal(np.asarray(out[1]), np.asarray(GetNetCorrection(voxel_size=6)(image[1:])[0]))


def test_metadata_stay_and_a_mask_is_used(path, head, load):
    loaded = Compose(load.transforms[:2])({"image": path})["image"]
    out = load({"image": path, "other": 1})
    assert out["other"] == 1
    assert out["image"].meta["filename_or_obj"] == str(path)
    torch.testing.assert_close(out["image"].affine, loaded.affine, rtol=0, atol=0)
    mask = np.zeros_like(head)
    mask[8:22, 8:22, 8:22] = 1
    told = GetNetCorrectiond(["image"], mask_key="mask")({"image": loaded, "mask": mask[None]})
    plain = getnet_bids.correct(head, voxel_size=6, mask=mask, device="cpu").image
    np.testing.assert_array_equal(np.asarray(told["image"][0]), plain)


def test_pending_operations_are_done_first(path):
    steps = [LoadImaged(["image"]), EnsureChannelFirstd(["image"]), Orientationd(["image"], axcodes="LPS", labels=None)]
    eager = Compose([*steps, GetNetCorrectiond(["image"])])({"image": path})["image"]
    lazy = Compose([*steps, GetNetCorrectiond(["image"])], lazy=True)({"image": path})["image"]
    assert not lazy.pending_operations
    assert len(eager.applied_operations) == len(lazy.applied_operations) == 1


def test_channels_have_to_be_there_and_first(path, head, tmp_path):
    loaded = LoadImaged(["image"])({"image": path})["image"]
    nib.Nifti1Image(np.stack([head] * 2, 3), np.diag([6.0, 6, 6, 1])).to_filename(tmp_path / "series.nii.gz")
    series = LoadImaged(["image"])({"image": tmp_path / "series.nii.gz"})["image"]
    assert series.shape == (*head.shape, 2)
    assert GetNetCorrection()(EnsureChannelFirstd(["image"])({"image": series})["image"]).shape == (2, *head.shape)
    for image in (
        loaded,
        series,
        torch.as_tensor(head[0]),
        torch.as_tensor(head)[None, None],
        torch.as_tensor(head[0, 0]),
    ):
        with pytest.raises(getnet_bids.GetNetError, match="put EnsureChannelFirst before") as caught:
            GetNetCorrection(voxel_size=6)(image)
        assert str(tuple(image.shape)) in str(caught.value)
    with pytest.raises(getnet_bids.GetNetError, match="the mask must have shape"):
        GetNetCorrection(voxel_size=6)(torch.as_tensor(head)[None], torch.as_tensor(head))
    with pytest.raises(KeyError, match="mask_key 'brain' is not in the data"):
        GetNetCorrectiond(["image"], mask_key="brain")({"image": loaded[None]})


def test_half_precision_and_gradients(head):
    image = torch.as_tensor(head)[None].bfloat16()
    plain = getnet_bids.correct(image[0], voxel_size=6, device="cpu").image
    for given in (image, image.float().requires_grad_()):
        out = GetNetCorrection(voxel_size=6)(given)
        np.testing.assert_array_equal(np.asarray(out[0]), plain)


def test_it_is_passed_by_when_a_pipeline_is_inverted(path):
    resampled = Spacingd(["image"], (7, 7, 7))
    pipeline = Compose([LoadImaged(["image"]), EnsureChannelFirstd(["image"]), GetNetCorrectionD(["image"]), resampled])
    there = pipeline({"image": path})
    assert there["image"].shape != (1, *nib.load(path).shape)
    back = pipeline.inverse(there)["image"]
    assert back.shape == (1, *nib.load(path).shape)
    np.testing.assert_allclose(back.affine, nib.load(path).affine)


def test_doubts_are_logged(head, caplog):
    noisy = head + np.abs(np.random.default_rng(0).normal(0, 300, head.shape)).astype(np.float32)
    why = getnet_bids.correct(noisy, voxel_size=6, device="cpu").reasons
    assert why
    GetNetCorrection(voxel_size=6)(noisy[None])
    assert [record.message for record in caplog.records] == [f"channel 0: doubtful: {reason}" for reason in why]


@pytest.mark.parametrize(("kind", "workers"), [(Dataset, 2), (CacheDataset, 0), (CacheDataset, 2)])
def test_in_datasets(path, expected, load, kind, workers):
    dataset = kind([{"image": path}] * 2, load)
    for batch in DataLoader(dataset, batch_size=1, num_workers=workers):
        np.testing.assert_array_equal(np.asarray(batch["image"][0, 0]), expected)


@pytest.mark.parametrize("kind", [CacheDataset, PersistentDataset])
def test_a_cache_keeps_the_result(path, expected, load, kind, tmp_path, monkeypatch):
    options = {"cache_dir": tmp_path / "cache"} if kind is PersistentDataset else {}
    dataset = kind([{"image": path}], load, **options)
    first = np.asarray(dataset[0]["image"][0])

    def computed_again(*_, **__):
        raise AssertionError("computed again")

    monkeypatch.setattr(GetNetCorrectiond, "__call__", computed_again)
    np.testing.assert_array_equal(first, expected)
    np.testing.assert_array_equal(np.asarray(dataset[0]["image"][0]), expected)


def test_the_example_of_the_docs(head, tmp_path, monkeypatch):
    lay_out(tmp_path, head)
    monkeypatch.chdir(tmp_path)
    (example,) = (
        block.text for block in blocks(DOCS / "transforms.rst", "python") if "getnet_bids.monai" in block.text
    )
    names: dict = {}
    exec(example, names)
    plain = getnet_bids.correct("T1w.nii.gz", device="cpu").image.get_fdata(dtype=np.float32)
    corrected = names["corrected"]
    np.testing.assert_array_equal(np.asarray(corrected)[0], plain)
