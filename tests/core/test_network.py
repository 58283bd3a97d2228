import numpy as np
import pytest
import torch

from getnet_bids.core.network import GetNet, load_weights, normalise, save_weights
from getnet_bids.weights import default_weights


@pytest.fixture(scope="module")
def network():
    return load_weights(default_weights())


def test_fits_a_cpu(network):
    assert sum(p.numel() for p in network.parameters()) < 3e6
    assert default_weights().stat().st_size < 10e6


@pytest.mark.parametrize("kind", ["zeros", "huge", "tiny", "nan", "negative", "one pixel", "noise", "max float"])
def test_positive_and_finite_for_any_finite_input(network, kind):
    x = torch.zeros(1, 1, 256, 256)
    if kind in ("huge", "tiny", "noise"):
        x = torch.rand(x.shape) * {"huge": 1e30, "tiny": 1e-38, "noise": 1.0}[kind]
    elif kind == "max float":
        x[..., ::2] = torch.finfo(torch.float32).max
    elif kind == "negative":
        x -= 5
    elif kind == "one pixel":
        x[0, 0, 100, 100] = 7
    elif kind == "nan":
        x = torch.rand(x.shape)
        x[0, 0, :50] = torch.nan
    gain = network(x)
    assert gain.shape == (1, 16, 16)
    assert torch.isfinite(gain).all()
    assert (gain > 0).all()


def test_scale_of_the_image_does_not_matter(network):
    x = torch.rand(2, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(network(x * 4096), network(x), rtol=1e-5)


def test_other_slices_of_the_batch_do_not_matter(network):
    x = torch.rand(3, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(network(x)[1:2], network(x[1:2]), rtol=1e-4)


def test_background_does_not_enter_the_scale():
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 0, :2] = torch.tensor([1.0, 3.0])
    assert normalise(x)[0, 0, 0, :2].tolist() == [0.5, 1.5]
    assert float(normalise(x)[0, :, 1:].abs().max()) == 0


def test_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r"\(N, 1, 256, 256\), not \(1, 256, 256\)"):
        GetNet()(torch.zeros(1, 256, 256))


def test_weights_come_back_from_a_file(tmp_path):
    network = GetNet()
    save_weights(network, tmp_path / "w.safetensors")
    again = load_weights(tmp_path / "w.safetensors")
    for name, value in network.state_dict().items():
        np.testing.assert_allclose(again.state_dict()[name], value, rtol=1e-3, atol=1e-7)


def test_a_file_that_holds_no_weights_is_refused(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"no weights")
    with pytest.raises(ValueError, match="not the weights of a GetNet"):
        load_weights(tmp_path / "w.safetensors")


def test_normalise_is_what_it_says_and_leaves_the_slices_alone():
    rng = np.random.default_rng(0)
    slices = rng.normal(1, 2, (3, 1, 16, 16)) * np.array([1e-30, 1.0, 1e30])[:, None, None, None]
    slices[0, 0, 3, 3], slices[1, 0, 4, 4], slices[2, 0, 5, 5] = np.nan, np.inf, -np.inf
    slices[1, 0, 0, 0] = 500  # over 20 means
    given = torch.from_numpy(slices.astype(np.float32))
    before = given.clone()
    found = normalise(given).double().numpy()
    assert torch.equal(given.nan_to_num(7), before.nan_to_num(7))
    usable = np.where(np.isfinite(slices) & (slices > 0), slices, 0)
    means = np.array([s[s > 0].mean() for s in usable])[:, None, None, None]
    expected = np.minimum(usable / means, 20)
    np.testing.assert_allclose(found[:, :1], expected, rtol=1e-5)
    np.testing.assert_allclose(found[:, 1:], np.log1p(expected / 0.05) / 3, rtol=1e-5)
