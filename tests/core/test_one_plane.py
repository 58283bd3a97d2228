"""Stacks whose slices are all across one axis: the network does not see how the field changes from slice to slice."""

import numpy as np
import pytest

from getnet_bids.core import refinement
from getnet_bids.core.correction import correct_volume
from getnet_bids.core.options import Options
from tests.phantoms.realistic import VOXEL, field, head

SLICES, THICK = 8, 2


def stack(log_gain_along):
    """Return a stack of eight slices of 4 mm of a head, with a further field along it, the field, and the brain."""
    clean, brain = head(0.25)
    gain = field(0.25)
    first = int(np.average(np.arange(brain.shape[2]), weights=brain.sum((0, 1)))) - SLICES * THICK // 2

    def slices(values):
        part = values[:, :, first : first + SLICES * THICK].astype(float)
        return part.reshape(*part.shape[:2], SLICES, THICK).mean(3)

    further = np.exp(log_gain_along * np.linspace(-1, 1, SLICES))
    gain = np.exp(slices(np.log(gain))) * further
    return (slices(clean) * further).astype(np.float32), gain, slices(brain) > 0.5


def levels(log, brain):
    """Return the mean of each slice."""
    return np.array([log[:, :, i][brain[:, :, i]].mean() for i in range(SLICES)])


@pytest.mark.parametrize("along", [0.0, 0.1, -0.1])
def test_the_tissues_tell_how_the_field_changes_from_slice_to_slice(network, along):
    image, gain, brain = stack(along)
    voxel = (*VOXEL[:2], VOXEL[2] * THICK)
    alone, refined = (correct_volume(image, voxel, network, options=Options(refine=refine)) for refine in (False, True))
    found, without, true = (
        levels(np.log(one), brain) - np.log(one)[brain].mean() for one in (refined.field, alone.field, gain)
    )
    assert (found - true).std() < 0.012
    if along:
        assert (without - true).std() > 0.04
    assert refined.verdict == "corrected"


def test_the_uncertainty_of_the_network_alone_includes_what_it_does_not_see(network, monkeypatch):
    image, _, _ = stack(0.1)
    voxel, options = (*VOXEL[:2], VOXEL[2] * THICK), Options(refine=False)
    known = correct_volume(image, voxel, network, options=options).field_sd_median
    monkeypatch.setattr(refinement, "FIELD_SD", 0.0)
    assert known > 1.1 * correct_volume(image, voxel, network, options=options).field_sd_median


def test_slices_of_different_brightness_are_doubtful(network):
    image, _, _ = stack(0.6)
    done = correct_volume(image, (*VOXEL[:2], VOXEL[2] * THICK), network, options=Options(refine=False))
    assert done.verdict == "doubtful"
    assert "slices differ in brightness by" in " ".join(done.reasons)
