"""Lengths that do not fit the object are told; the field of an image whose lengths are wrong is as it was."""

from __future__ import annotations

import re

import nibabel as nib
import numpy as np
import pytest

import getnet_bids
from getnet_bids.core.signs import sides
from getnet_bids.headers import length_reasons


@pytest.mark.parametrize(
    ("extent", "smoothness", "said"),
    [
        (190.0, None, None),
        (190.0, 100.0, None),
        (190.0, 200.0, None),  # as N4's default distance
        (20.0, 10.0, None),  # a mouse
        (9.0, 70.0, "next to no field is left"),
        (190.0, 2.0, "may follow anatomy"),
        (190_000.0, 70.0, "may follow anatomy"),
        (190_000.0, None, "190000|1.9e\\+05"),
        (0.19, None, "by its header the object is 0.19 mm long"),
    ],
)
def test_reasons(extent, smoothness, said):
    reasons = length_reasons(extent, smoothness)
    if said is None:
        assert reasons == []
    else:
        assert any(re.search(said, reason) for reason in reasons)


def test_sides_a_slice():
    foreground = np.zeros((10, 12), bool)
    foreground[1:9, 2:4] = True
    assert sides(foreground, (0.5, 3.0)) == [4.0, 6.0]


def correct(image, **options):
    return getnet_bids.correct(image, device="cpu", options=getnet_bids.Options(**options))


def test_a_header_in_metres_and_small_voxels_are_told(image):
    voxels = image.get_fdata(dtype=np.float32)
    usual = correct(image)
    small = nib.Nifti1Image(voxels, np.diag([0.1, 0.1, 0.1, 1]))
    metres = nib.Nifti1Image(voxels, np.diag([6.0, 6, 6, 1]))
    metres.header.set_xyzt_units("meter")
    assert not any("smoothness" in reason for reason in (*usual.reasons, *correct(small).reasons))
    odd = correct(small, smoothness=70.0)
    assert odd.verdict == "doubtful"
    assert "next to no field is left: leave the smoothness out" in odd.reasons[-1]
    result = correct(metres)
    assert result.verdict == "doubtful"
    assert "voxel sizes in metres, which are mm" in result.reasons[-1]
    rough = correct(image, smoothness=1.0)
    assert "may follow anatomy" in rough.reasons[-1]
    assert 0.1 < np.asanyarray(rough.field.dataobj).min() < np.asanyarray(rough.field.dataobj).max() < 10
    ratio = np.log(np.asanyarray(result.field.dataobj) / usual.field.dataobj)
    assert ratio[usual.foreground].std() < 1e-3
