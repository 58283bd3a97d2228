"""A batch is corrected as each of its items is alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import getnet_bids
from getnet_bids import correct_batch


def test_each_item_and_channel_is_that_of_the_plain_call(head):
    shapes = np.stack([head, np.flip(head, 0)])
    batch = torch.from_numpy(np.stack([shapes, shapes * 0.5]))
    result = correct_batch(batch, voxel_size=6)
    assert result.image.shape == result.field.shape == batch.shape
    for item, corrected, field in zip(shapes, result.image[0], result.field[0], strict=True):
        alone = getnet_bids.correct(item, voxel_size=6, device="cpu")
        np.testing.assert_array_equal(corrected, alone.image)
        np.testing.assert_array_equal(field, alone.field)
    assert result.verdicts[0][0] == alone.verdict
    assert result.reasons[0][0] == alone.reasons == ()
    assert result.uncertainty is None
    torch.testing.assert_close(result.image * result.field, batch)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int16, torch.float64])
def test_types_masks_slices_and_gradients(head, dtype):
    volume = torch.from_numpy(head)[None, None, :, :, 12:20]
    mask = torch.zeros_like(volume)
    mask[..., 5:25, 5:29, :] = 1
    given = volume.to(dtype)
    options = getnet_bids.Options(refine=False)
    result = correct_batch(given, (6, 6, 6), mask=mask, options=options)
    alone = getnet_bids.correct(
        given[0, 0].float().numpy(), voxel_size=6, mask=mask[0, 0].numpy(), device="cpu", options=options
    )
    assert result.image.dtype == torch.float32
    np.testing.assert_array_equal(result.image[0, 0], alone.image)
    flat = correct_batch(volume[..., 4].clone().requires_grad_(), 6, options=options)
    assert flat.image.shape == (1, 1, *head.shape[:2])
    assert not flat.image.requires_grad


def test_a_doubtful_item_has_its_reasons_and_an_uncertainty(head):
    batch = torch.from_numpy(np.stack([head, np.minimum(head, 0.6 * head.max())]))[:, None]
    result = correct_batch(batch, 6, options=getnet_bids.Options(uncertainty=True))
    assert result.verdicts == [["corrected"], ["doubtful"]]
    assert result.reasons[0][0] == ()
    assert "clipped" in result.reasons[1][0][0]
    alone = getnet_bids.correct(head, voxel_size=6, device="cpu", options=getnet_bids.Options(uncertainty=True))
    np.testing.assert_array_equal(result.uncertainty[0, 0], alone.uncertainty)


@pytest.mark.parametrize(
    ("shape", "mask", "said"),
    [
        ((20, 20, 20), None, r"shape \(B, C, X, Y\)"),
        ((1, 1, 20, 20, 20), (1, 20, 20, 20), "mask of the batch must have shape"),
        ((2, 1, 20, 20, 20), None, "item 0, channel 0 of the batch: .*signal"),
    ],
)
def test_what_is_refused(shape, mask, said):
    given = None if mask is None else torch.ones(mask)
    with pytest.raises(getnet_bids.GetNetError, match=said):
        correct_batch(torch.zeros(shape), 1.0, mask=given)


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="there is an Apple GPU")
def test_a_device_as_torch_names_it_is_known():
    with pytest.raises(getnet_bids.GetNetError, match="device mps is not available"):
        getnet_bids.correct(np.ones((8, 8, 8)), voxel_size=1, device=torch.device("mps", 0))


def test_arrays_complex_numbers_and_sizes_that_are_none_are_refused(head):
    batch = torch.from_numpy(head)[None, None]
    for given, size, mask, said in (
        (head[None, None], 6, None, "torch tensors, not ndarray; see torch.from_numpy"),
        (batch, 6, head[None, None] > 0, "torch tensors, not ndarray"),
        (batch.to(torch.complex64), 6, None, "magnitudes, not torch.complex64"),
        (batch, "large", None, "voxel_size must be 3 numbers"),
        (batch, (6, 6), None, "voxel_size must be 3"),
    ):
        with pytest.raises(getnet_bids.GetNetError, match=said):
            correct_batch(given, size, mask=mask)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_on_a_gpu_it_stays_there(head):
    result = correct_batch(torch.from_numpy(head)[None, None].cuda(), 6)
    assert result.image.is_cuda
    alone = getnet_bids.correct(head, voxel_size=6, device="cuda").image
    np.testing.assert_allclose(result.image[0, 0].cpu(), alone, rtol=1e-5)
