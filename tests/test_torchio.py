"""The transform of TorchIO gives what the plain call gives, to the bit, and is recorded."""

from __future__ import annotations

import numpy as np
import pytest

import getnet_bids

tio = pytest.importorskip("torchio", reason="TorchIO is not installed: pip install 'getnet_bids[torchio]'")

import torch  # noqa: E402

from getnet_bids.torchio import GetNetCorrection  # noqa: E402
from getnet_bids.weights import default_weights  # noqa: E402

from .snippets import DOCS, blocks, lay_out  # noqa: E402


@pytest.fixture(scope="module")
def subject(head):
    affine = np.diag([6.0, 6, 6, 1])
    labels = torch.as_tensor((head > 300)[None].astype(np.int16))
    two = torch.as_tensor(np.stack([head, head[::-1].copy()]))
    return tio.Subject(t1=tio.ScalarImage(tensor=two, affine=affine), brain=tio.LabelMap(tensor=labels, affine=affine))


@pytest.fixture(scope="module")
def corrected(subject):
    return GetNetCorrection()(subject)


def test_each_channel_is_that_of_the_plain_call(subject, corrected):
    for before, after in zip(subject.t1.data.numpy(), corrected.t1.data.numpy(), strict=True):
        np.testing.assert_array_equal(after, getnet_bids.correct(before, voxel_size=6, device="cpu").image)
    assert torch.equal(corrected.brain.data, subject.brain.data)
    np.testing.assert_array_equal(corrected.t1.affine, subject.t1.affine)


def test_the_history_does_it_again(subject, corrected):
    (step,) = corrected.history
    assert isinstance(step, GetNetCorrection)
    assert torch.equal(step(subject).t1.data, corrected.t1.data)


def test_a_mask_is_used(subject):
    out = GetNetCorrection(mask="brain")(subject).t1.data.numpy()[0]
    mask = subject.brain.data[0].numpy()
    plain = getnet_bids.correct(subject.t1.data.numpy()[0], voxel_size=6, mask=mask, device="cpu").image
    np.testing.assert_array_equal(out, plain)


def test_wrong_options_and_masks_are_refused_at_once(subject):
    for wrong in ({"smoothness": -3}, {"precision": "half"}):
        with pytest.raises(getnet_bids.GetNetError, match=next(iter(wrong))):
            GetNetCorrection(**wrong)
    with pytest.raises(getnet_bids.GetNetError, match="the subject has no mask 'other'; it has t1, brain"):
        GetNetCorrection(mask="other")(subject)


def test_a_composed_history_does_it_again_after_other_transforms(subject):
    weights = default_weights()  # a path
    steps = [tio.RandomBiasField(), tio.OneOf([GetNetCorrection(weights=weights, refine=False)]), tio.ZNormalization()]
    out = tio.Compose(steps)(subject)
    again = out.get_composed_history()(subject)
    assert torch.equal(again.t1.data, out.t1.data)
    assert str(weights) in repr(out.history)


def test_half_precision_and_doubts(subject, caplog):
    noise = 300 * torch.randn(subject.t1.data.shape, generator=torch.Generator().manual_seed(0)).abs()
    noisy = tio.Subject(t1=tio.ScalarImage(tensor=(subject.t1.data + noise).bfloat16(), affine=subject.t1.affine))
    out = GetNetCorrection()(noisy)
    plain = getnet_bids.correct(noisy.t1.data[1], voxel_size=6, device="cpu")
    np.testing.assert_array_equal(out.t1.data[1], plain.image)
    assert plain.reasons
    wanted = [f"t1, channel 1: doubtful: {reason}" for reason in plain.reasons]
    assert [record.message for record in caplog.records if "channel 1" in record.message] == wanted


@pytest.mark.parametrize("workers", [0, 2])
def test_in_a_queue(subject, corrected, workers):
    sampler = tio.UniformSampler(subject.spatial_shape)
    queue = tio.Queue(tio.SubjectsDataset([subject], GetNetCorrection()), 2, 1, sampler, num_workers=workers)
    for batch in tio.SubjectsLoader(queue):
        assert torch.equal(batch["t1"][tio.DATA][0], corrected.t1.data)


def test_in_a_loader_with_workers(subject, corrected):
    loader = tio.SubjectsLoader(tio.SubjectsDataset([subject] * 2, GetNetCorrection()), num_workers=2)
    for batch in loader:
        assert torch.equal(batch["t1"][tio.DATA][0], corrected.t1.data)


def test_the_example_of_the_docs(head, tmp_path, monkeypatch):
    lay_out(tmp_path, head)
    monkeypatch.chdir(tmp_path)
    (example,) = (
        block.text for block in blocks(DOCS / "transforms.rst", "python") if "getnet_bids.torchio" in block.text
    )
    names: dict = {}
    exec(example, names)
    plain = getnet_bids.correct("T1w.nii.gz", device="cpu").image.get_fdata(dtype=np.float32)
    corrected = names["corrected"].t1.data
    np.testing.assert_array_equal(np.asarray(corrected)[0], plain)
