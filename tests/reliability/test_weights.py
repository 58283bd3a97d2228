"""Weights that are missing, damaged, of another version, or no weights: one line, and nothing that they hold is run."""

from __future__ import annotations

import json
import os
import pickle

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import getnet_bids
from getnet_bids.cli import app, one
from getnet_bids.core.network import GetNet, GetNetConfig, load_weights, pack_weights
from getnet_bids.weights import default_weights
from tests.phantoms.ellipsoid import scan

from .images import nifti

SMALL = GetNetConfig((4, 4, 4, 4), (1, 1, 1, 1))


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Return a small network's weights."""
    path = tmp_path_factory.mktemp("weights") / "good.safetensors"
    torch.manual_seed(0)
    path.write_bytes(pack_weights(GetNet(SMALL), {"recipe": "test"}))
    return path


def parts(path):
    """Return a file's tensors and metadata."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata())  # noqa: SIM118


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def cut(path, good):
    path.write_bytes(good.read_bytes()[:-100])


def bit(path, good):
    data = bytearray(good.read_bytes())
    data[-20] ^= 4
    path.write_bytes(data)


def another_format(path, good):
    tensors, about = parts(good)
    save_file(tensors, path, {**about, "format": "2"})


def another_network(path, good):
    tensors, about = parts(good)
    tensors["head.weight"] = tensors["head.weight"][:1]
    save_file(tensors, path, {"config": about["config"]})


def another_models(path, good):
    save_file({"layer.weight": torch.zeros(3)}, path, {"format": "pt"})


def not_finite(path, good):
    tensors, about = parts(good)
    tensors["head.bias"] = torch.full_like(tensors["head.bias"], torch.nan)
    save_file(tensors, path, {"config": about["config"]})


def configured(**config):
    def write(path, good):
        tensors, _ = parts(good)
        save_file(tensors, path, {"config": json.dumps(config)})

    return write


def nested(path, good):
    tensors, _ = parts(good)
    save_file(tensors, path, {"config": "[" * 100_000})


def pickled(path, good):
    path.write_bytes(pickle.dumps({"config": Trap(path.with_name("marker"))}))


def torch_pickled(path, good):
    torch.save({"config": Trap(path.with_name("marker"))}, path)


WRONG = {
    "empty": (lambda path, good: path.write_bytes(b""), "not the weights"),
    "cut short": (cut, "not the weights"),
    "one bit turned over": (bit, "damaged: its hash is not that of what it holds"),
    "another format": (another_format, "format is 2, not 1: written by another version"),
    "another network's shapes": (another_network, "not the weights"),
    "another model": (another_models, "not the weights"),
    "values that are not finite": (not_finite, "not finite"),
    "no configuration's values": (configured(widths="large"), "not the weights"),
    "a configuration of 10^12 channels": (configured(widths=[10**12] * 4, depths=[1] * 4), "from 1 to 1024"),
    "a configuration of a million layers": (configured(widths=[4] * 4, depths=[10**6] * 4), "from 1 to 1024"),
    "a configuration of many gigabytes": (configured(widths=[1024] * 4, depths=[9] * 4), "not the weights"),
    "an unknown configuration": (configured(wide=3), "not the weights"),
    "a bound of nothing": (configured(bound=-1.0), "bound must be above 0"),
    "a deep configuration": (nested, "not the weights"),
    "a pickle": (pickled, "not the weights"),
    "a pickle of torch": (torch_pickled, "not the weights"),
}


@pytest.mark.parametrize("what", WRONG)
def test_refused_with_one_line(tmp_path, capsys, good, what):
    make, reason = WRONG[what]
    path = tmp_path / "w.safetensors"
    make(path, good)
    nifti(scan((32, 30, 1))).to_filename(tmp_path / "in.nii")
    before = sorted(tmp_path.iterdir())
    assert one.main([str(tmp_path / "in.nii"), str(tmp_path / "out.nii"), "--weights", str(path)]) == 65
    said = capsys.readouterr().err
    assert said.startswith(f"getnet: {path}: not the weights of a GetNet (")
    assert reason in said
    assert said.count("\n") == 1
    assert len(said) < 500 + len(str(path))
    assert sorted(tmp_path.iterdir()) == before  # no output, and no trap has sprung


@pytest.mark.parametrize("what", ["one bit turned over", "a pickle"])
def test_the_app_refuses_them_too(make_dataset, tmp_path, capsys, good, what):
    raw, path = make_dataset("sub-01/anat/sub-01_T1w.nii.gz"), tmp_path / "w.safetensors"
    WRONG[what][0](path, good)
    assert app.main([str(raw), str(tmp_path / "out"), "participant", "--weights", str(path)]) == 65
    assert f"{path}: not the weights of a GetNet" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*desc-preproc*"))
    assert not (tmp_path / "marker").exists()


def test_the_trap_works(tmp_path):
    """Or it would be no proof that nothing springs it."""
    pickle.loads(pickle.dumps(Trap(tmp_path / "marker")))
    assert (tmp_path / "marker").exists()


def test_weights_of_before_there_were_hashes_are_read(tmp_path, good):
    tensors, about = parts(good)
    save_file(tensors, tmp_path / "w.safetensors", {"config": about["config"]})
    old, new = load_weights(tmp_path / "w.safetensors").state_dict(), load_weights(good).state_dict()
    assert all(torch.equal(old[name], value) for name, value in new.items())


def test_the_packages_own_are_whole_and_of_this_version():
    tensors, about = parts(default_weights())
    assert about["format"] == "1"
    assert len(about["sha256"]) == 64
    assert sum(tensor.numel() for tensor in tensors.values()) > 2e6
    load_weights(default_weights())


def test_a_package_without_its_weights_says_so(tmp_path, capsys, monkeypatch, make_dataset):
    """As where a packager has left the big file out."""
    monkeypatch.setattr("getnet_bids.weights.__file__", str(tmp_path / "__init__.py"))
    nifti(scan((32, 30, 1))).to_filename(tmp_path / "in.nii")
    raw = make_dataset("sub-01/anat/sub-01_T1w.nii.gz")
    for main, arguments in ((one.main, ["in.nii", "out.nii"]), (app.main, [raw, "out", "participant"])):
        assert main([str(tmp_path / given) if given != "participant" else given for given in arguments]) == 66
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "weights are missing; install getnet_bids again" in said


def test_other_weights_give_another_field(tmp_path, good):
    image = nifti(scan((32, 30, 1)))
    fields = [getnet_bids.correct(image, weights=weights, device="cpu").field.dataobj for weights in (None, good)]
    assert np.abs(fields[0] - fields[1]).max() > 1e-3
