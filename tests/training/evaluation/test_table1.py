"""The paper's table: slices of BrainWeb's models, the measures, and the command."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from getnet_bids.core.network import GetNet, GetNetConfig, pack_weights
from getnet_bids.training.evaluation import brainweb
from getnet_bids.training.evaluation.brainweb import SHAPE, read_labels, slices_of_model, t1w_signal
from getnet_bids.training.evaluation.cli import main
from getnet_bids.training.evaluation.table1 import (
    Shaded,
    as_rows,
    given_fields,
    measure,
    one_look_fields,
    shaded_slices,
    write_slices,
)
from tests.datasets import read_table


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model of concentric ellipsoids: white, gray, CSF, bone, fat."""
    folder = tmp_path_factory.mktemp("models")
    z, y, x = np.ogrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j, -1 : 1 : SHAPE[2] * 1j]
    radius = np.sqrt(z**2 + y**2 + x**2)
    labels = np.zeros(SHAPE, np.uint8)
    for outer, label in ((0.9, 4), (0.8, 7), (0.7, 1), (0.6, 2), (0.5, 3)):
        labels[radius < outer] = label
    (folder / "subject04_crisp_v.mnc.gz").write_bytes(gzip.compress(b"CDF header" + labels.tobytes(), 1))
    return folder


@pytest.fixture(scope="module")
def slices(models: Path) -> list[Shaded]:
    return shaded_slices(sorted(models.glob("*")), 12, 0.3, seed=0)


def test_signals_are_brainwebs() -> None:
    """The closed form, integrated by hand for white matter: 0.77 sin(30) (1 - E1) / (1 - cos(30) E1) exp(-10/61)."""
    e1 = np.exp(-18 / 500)
    expected = 0.77 * 0.5 * (1 - e1) / (1 - np.sqrt(3) / 2 * e1) * np.exp(-10 / 61)
    assert t1w_signal(500, 61, 0.77) == pytest.approx(expected)
    csf, gray, white = brainweb.signals("T1w")[1:4]
    assert csf < gray < white


def test_slices_of_a_model(models: Path) -> None:
    (path,) = models.glob("*")
    assert np.bincount(read_labels(path).ravel()).argmax() == 0
    slices = list(slices_of_model(path))
    assert {s.name.split()[1] for s in slices} == {"axial", "coronal", "sagittal"}
    middle = next(s for s in slices if s.name == "subject04 axial 90")
    assert middle.original.shape == (256, 256)
    assert middle.original[128, 128] == pytest.approx(1, abs=1e-6)
    assert middle.original[0, 0] == 0
    regions = middle.regions
    assert regions["WM"][128, 128]
    assert not (regions["WM"] & regions["GM"]).any()
    assert (regions["GM"] <= regions["entire image"]).all()
    assert middle.original[regions["CSF"]].mean() < middle.original[regions["GM"]].mean()


@pytest.mark.slow
def test_fields_span_30_percent_and_are_the_seeds(slices: list[Shaded], models: Path) -> None:
    again = shaded_slices(sorted(models.glob("*")), 12, 0.3, seed=0)
    assert len(slices) == 12
    for s, t in zip(slices, again, strict=True):
        assert np.array_equal(s.image, t.image)
        assert s.gain.min() == pytest.approx(0.7, abs=0.02)
        assert s.gain.max() == pytest.approx(1.3, abs=0.02)
        assert np.array_equal(s.image, s.head.original * s.gain)


def test_measures(slices: list[Shaded]) -> None:
    perfect = measure("truth", slices, lambda: (5 * s.gain for s in slices))
    none = measure("Gain", slices, None)
    assert np.max(perfect.errors["best scale", "GM"]) < 1e-6
    # As it is, one factor remains: the field's geometric mean, which no method can know.
    s = slices[0]
    where = s.head.regions["entire image"]
    factor = np.exp(np.log(s.gain[where]).mean())
    assert perfect.errors["as is", "entire image"][0] == pytest.approx(abs(factor - 1), abs=1e-5)
    error = np.abs(s.image - s.head.original)[where].sum() / s.head.original[where].sum()
    assert none.errors["as is", "entire image"][0] == pytest.approx(error, rel=1e-4)
    assert np.mean(none.errors["best scale", "WM"]) > 0.01


def test_network_fields_are_smooth_and_follow_the_cells(slices: list[Shaded]) -> None:
    class Ramp(torch.nn.Module):
        """A field that doubles from left to right."""

        def __init__(self) -> None:
            super().__init__()
            self.one = torch.nn.Parameter(torch.ones(1))

        def log_gain(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            ramp = (torch.linspace(0, np.log(2), 16)).expand(len(images), 16, 16)
            return ramp, ramp

    (field, *_) = one_look_fields(slices, Ramp())
    assert field.shape == (256, 256)
    rate = np.diff(np.log(field[100]))[24:-24]
    assert np.allclose(rate, np.log(2) / 15 / 16, rtol=0.01)


def test_noise_and_the_slices_for_another_tool(models: Path, tmp_path: Path) -> None:
    noisy = shaded_slices(sorted(models.glob("*")), 3, 0.6, seed=0, noise=0.03)
    outside = ~noisy[0].head.regions["entire image"]
    assert np.median(noisy[0].image[outside]) == pytest.approx(0.03 * 1.177, rel=0.1)  # of the Rayleigh distribution
    write_slices(tmp_path / "slices.npy", noisy)
    written = np.load(tmp_path / "slices.npy")
    assert written.shape == (3, 256, 256)
    assert (written[0][outside] == 0).mean() > 0.95
    np.save(tmp_path / "fields.npy", np.stack([s.gain for s in noisy]))
    fields = given_fields(tmp_path / "fields.npy", noisy)
    assert np.array_equal(fields[2], noisy[2].gain)
    with pytest.raises(ValueError, match="a field for each slice"):
        given_fields(tmp_path / "fields.npy", noisy[:2])


def test_rows(slices: list[Shaded]) -> None:
    rows = as_rows([measure("Gain", slices, None)])
    assert rows[0][:4] == ["method", "scale", "entire image", "entire image SD"]
    assert [r[:2] for r in rows[1:]] == [["Gain", "as is"], ["Gain", "best scale"]]
    assert rows[1][-2:] == ["12", "n/a"]


@pytest.mark.slow
def test_the_command(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "w.safetensors").write_bytes(pack_weights(GetNet(GetNetConfig((4, 4, 4, 4), (1, 1, 1, 1)))))
    monkeypatch.setitem(sys.modules, "ants", None)  # N4 is not needed unless it is asked for
    base = ["brainweb", "--models", str(models), "--weights", str(tmp_path / "w.safetensors"), "--device", "cpu"]
    out = tmp_path / "out"
    assert main([*base, "--slices", "9", "--product-slices", "1", "--out", str(out)]) == 0
    table = read_table(out / "table1.tsv")
    assert [(r["method"], r["scale"]) for r in table] == [
        (m, s) for s in ("as is", "best scale") for m in ("Gain", "GetNet, one look", "GetNet", "getnet_bids")
    ]
    assert table[1]["slices"] == "9"
    assert float(table[1]["s / 12,000 slices"]) > 0
    pytest.importorskip("matplotlib")
    assert (out / "figure2.png").stat().st_size > 10_000
    assert "best scale" in capsys.readouterr().out


def test_what_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["brainweb", "--models", str(tmp_path)]) == 1
    assert "no subjectNN_crisp_v.mnc.gz in it" in capsys.readouterr().err
    bad = tmp_path / "subject04_crisp_v.mnc.gz"
    for content in (b"x", gzip.compress(b"short"), gzip.compress(bytes([99]) * np.prod(SHAPE), 1)):
        bad.write_bytes(content)
        with pytest.raises(ValueError, match=r"cannot be read|not a BrainWeb anatomical model"):
            read_labels(bad)
