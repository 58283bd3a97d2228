from __future__ import annotations

import numpy as np
import pytest

from getnet_bids.masks import skull_stripped


def ellipsoid(shape=(40, 44, 36), radius=0.8):
    grid = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    return (sum(g**2 for g in grid) < radius**2).astype(np.float32)


def head_on_a_neck():
    volume = ellipsoid()
    volume[12:28, 12:32, :18] = 1
    return volume


@pytest.mark.parametrize(
    ("volume", "stripped"),
    [
        (ellipsoid(), True),
        (ellipsoid(radius=1.0), True),  # cropped to the brain
        (np.stack([ellipsoid(), ellipsoid()], 3), True),
        (ellipsoid()[:, :, 18], True),
        (ellipsoid()[:, :, 18:19], True),
        (head_on_a_neck(), False),
        (ellipsoid() + np.random.default_rng(0).random((40, 44, 36)), False),  # noise around it
        (np.where(ellipsoid() > 0, ellipsoid(), np.nan), True),
        (90 * ellipsoid() + 10, True),  # rescaled to 10..100
        (np.where(ellipsoid() > 0, 100.0, 32767.0), True),
        (ellipsoid() - 1.5, True),
        (ellipsoid()[:, :, 12:24], False),  # a slab
        (np.ones((10, 10, 10)), False),
    ],
)
def test_measured(volume, stripped):
    found, how = skull_stripped(volume, {})
    assert found is stripped
    assert how.startswith("Measured: ")


def test_metadata_have_the_say():
    for said in (True, False):
        assert skull_stripped(ellipsoid(), {"SkullStripped": said})[0] is said
    assert skull_stripped(ellipsoid(), {"SkullStripped": "maybe"})[1].startswith("Measured")
