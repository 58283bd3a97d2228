"""The mean of a series, and volumes that spoil it."""

import nibabel as nib
import numpy as np
import pytest

import getnet_bids
from getnet_bids.core.averages import mean_volume
from getnet_bids.errors import GetNetError
from getnet_bids.series import mean_image
from tests.phantoms.flat import head


@pytest.fixture(scope="module")
def volume():
    return head(0.02, 0.2)


def series(volume, *others):
    return np.stack([volume, volume, *others, volume], 3).astype(np.float32)


@pytest.mark.parametrize("kind", ["noise", "too large", "an offset"])
def test_a_broken_volume_is_named(tmp_path, volume, kind):
    rng = np.random.default_rng(0)
    broken = {
        "noise": 50 * rng.rayleigh(size=volume.shape),
        "too large": volume * 1e38,
        "an offset": 1000 + rng.normal(size=volume.shape),
    }[kind]
    nib.save(nib.Nifti1Image(series(volume, broken), np.diag([3.0, 3, 3, 1])), tmp_path / "bold.nii")
    with pytest.raises(GetNetError, match="volume 3") as caught:
        getnet_bids.correct(tmp_path / "bold.nii", device="cpu")
    assert "bold.nii" in str(caught.value)
    with pytest.raises(GetNetError, match=r"bold\.nii: volume 3"):
        mean_image(tmp_path / "bold.nii")
    with pytest.raises(GetNetError, match="volume 3"):
        mean_image(tmp_path / "bold.nii", [0, 1, 2, 3])
    assert mean_image(tmp_path / "bold.nii", [0, 1, 3]).shape == volume.shape


def test_bright_volumes_of_another_contrast_are_ordinary(volume):
    """As in perfusion and diffusion series."""
    rng = np.random.default_rng(0)
    differences = [np.abs(0.01 * volume + 0.01 * rng.normal(size=volume.shape)) for _ in range(3)]
    given = series(volume, *differences)
    np.testing.assert_allclose(mean_volume(given), given.mean(3), rtol=1e-5)
    other = np.stack([30 * np.where(volume > 0.1, 1.2 - volume, 0.01), *differences], 3).astype(np.float32)
    np.testing.assert_allclose(mean_volume(other), other.mean(3), rtol=1e-5)


def test_a_bright_voxel_is_no_broken_volume(volume):
    spiked = volume.copy()
    spiked[0, 0, 0] = spiked[8, 9, 7] = 1e9
    assert np.isfinite(mean_volume(series(volume, spiked))).all()
