import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from getnet_bids.core.device import has_float64
from getnet_bids.core.network import GetNet, load_weights, normalise, pack_weights, run_network
from getnet_bids.weights import default_weights


def test_fits_a_cpu(network):
    assert sum(p.numel() for p in network.parameters()) < 4e6
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
    (tmp_path / "w.safetensors").write_bytes(pack_weights(network))
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


class NoFloat64(TorchDispatchMode):
    """Refuse to make numbers in float64, as Apple's GPUs do."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for one in out if isinstance(out, tuple | list) else [out]:
            if isinstance(one, torch.Tensor) and one.dtype == torch.float64:
                raise TypeError("no float64 here")
        return out


def test_the_network_runs_where_there_is_no_float64(monkeypatch):
    slices = torch.rand(3, 1, 256, 256, generator=torch.Generator().manual_seed(0)) * 1e34
    slices[1] *= 1e-20
    network = load_weights(default_weights())
    expected = run_network(network, slices, "float32", 2)
    plain = network.log_gain

    def there(part):
        with NoFloat64():
            return plain(part)

    monkeypatch.setattr(network, "log_gain", there)
    with pytest.raises(TypeError, match="no float64 here"):
        run_network(network, slices, "float32", 2)
    monkeypatch.setattr("getnet_bids.core.network.has_float64", lambda device: False)
    for ours, theirs in zip(run_network(network, slices, "float32", 2), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_an_apple_gpu_has_no_float64():
    assert not has_float64(torch.device("mps"))
    assert has_float64(torch.device("cpu"))
    assert has_float64(torch.device("cuda", 1))
