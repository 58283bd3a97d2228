"""Simulated whole heads: signals, bias fields, noise."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pytest

from getnet_bids.training.evaluation import brainweb
from getnet_bids.training.evaluation.brainweb import FIELDS, UNIT, Head, gain_field, read_heads, shaded

SHAPE = (40, 60, 50)
BALL = sum(x**2 for x in np.ix_(*[np.linspace(-1.1, 1.1, n) for n in SHAPE])) < 1


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a model, axes z, y, x: gray in all of it, white in the upper half, CSF in the very front of that."""
    monkeypatch.setattr(brainweb, "SHAPE", (20, 24, 16))
    labels = np.full(brainweb.SHAPE, 2, np.uint8)
    labels[10:] = 3
    labels[10:, 21:] = 1
    path = tmp_path / "subject07_crisp_v.mnc.gz"
    path.write_bytes(gzip.compress(labels.tobytes()))
    return path


def test_heads_have_axes_x_y_z_and_real_partial_volume(model: Path) -> None:
    heads = read_heads(model, ["T1w", "T2w"])
    head = heads["T1w"]
    assert head.original.shape == (8, 12, 10)
    assert head.pure("GM")[:, :, :5].all()
    assert head.pure("WM")[:, :10, 5:].all()
    # The border of white matter and CSF goes through the middle of voxels.
    assert np.allclose(head.shares["CSF"][:, 10, 5:], 0.5)
    assert not head.pure("CSF")[:, 10].any()
    assert head.brain.all()
    white, csf = (h.original[0, 0, 9] / h.original[0, 11, 9] for h in heads.values())
    assert white > 2  # T1w: white matter is brighter than CSF, T2w: darker
    assert csf < 0.5


def test_signals_by_hand() -> None:
    csf = 1.00 * (1 - math.exp(-3300 / 2569)) * math.exp(-120 / 329)
    gray = 0.86 * (1 - math.exp(-3300 / 833)) * math.exp(-120 / 83)
    assert brainweb.signals("T2w")[1] == pytest.approx(1)
    assert brainweb.signals("T2w")[2] == pytest.approx(gray / csf)
    density = brainweb.signals("PDw")
    assert density[1] == 1 > density[2] > density[3] > 0.5
    assert density[0] == density[7] == 0
    with pytest.raises(ValueError, match="no contrast 'FLAIR'; there are T1w, T2w, PDw"):
        brainweb.signals("FLAIR")


@pytest.mark.parametrize("kind", FIELDS)
def test_fields_have_the_strength_that_their_name_says(kind: str) -> None:
    log_field = np.log(gain_field(kind, BALL, [0, 4])[BALL])
    assert log_field.mean() == pytest.approx(0, abs=1e-5)
    span = np.exp(np.subtract(*np.percentile(log_field, (99, 1))))
    wanted = {"smooth20": 0.1, "smooth40": 0.2, "smooth80": 0.4, "coil": 3.0, "steep": 5.0, "none": 0.0}[kind]
    assert (log_field.std() if wanted < 1 else span) == pytest.approx(wanted, rel=1e-3)


def test_fields_are_the_seeds_and_smooth() -> None:
    one, same, other = (gain_field("smooth40", BALL, [0, s]) for s in (4, 4, 5))
    assert np.array_equal(one, same)
    assert np.corrcoef(np.log(one[BALL]), np.log(other[BALL]))[0, 1] < 0.95
    assert np.corrcoef(np.log(one[BALL]), np.log(gain_field("smooth20", BALL, [0, 4])[BALL]))[0, 1] < 0.95
    # Of a Gaussian random field of correlation length 45 mm; over a few cm what varies most is cut off.
    steepness = np.sqrt(sum(np.gradient(np.log(one), axis=a).var() for a in range(3)) / 3)
    assert 0.2 / 60 < steepness < 0.2 / 10


@pytest.mark.parametrize("kind", ["smooth", "smoothly", "coils", ""])
def test_an_unknown_field(kind: str) -> None:
    with pytest.raises(ValueError, match=f"no field '{kind}'; there are smooth20"):
        gain_field(kind, BALL, [0])


def test_noise_is_rician() -> None:
    """The mean square of a Rician variable is that of the signal plus twice the channels' variance."""
    head = Head(np.repeat(np.float32([0, 0.8]), 200_000).reshape(2, 500, 400), {})
    image = shaded(head, np.full(head.original.shape, 1.5, np.float32), 0.03, [1])
    assert np.array_equal(image, np.rint(image))
    for signal, values in zip((0, 1.2), image / UNIT, strict=True):
        assert (values.astype(float) ** 2).mean() == pytest.approx(signal**2 + 2 * 0.03**2, rel=0.01)
    assert np.array_equal(image, shaded(head, np.float32([[[1.5]]]) * np.ones_like(image), 0.03, [1]))
    assert (image != shaded(head, 1.5 * np.ones_like(image), 0.03, [2])).mean() > 0.9
