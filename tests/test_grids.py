from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from getnet_bids.errors import GetNetError
from getnet_bids.grids import on_grid, receive_field


def image_of(function, shape, affine):
    """Evaluate a function of the place, mm, on a grid."""
    index = np.stack([*np.indices(shape), np.ones(shape)]).reshape(4, -1)
    x, y, z = (affine @ index)[:3]
    return nib.Nifti1Image(function(x, y, z).reshape(shape).astype(np.float32), affine)


def gain(x, y, z):
    return np.exp(0.004 * x - 0.003 * y + 0.002 * z)


FINE = np.array([[2.0, 0, 0, -30], [0, 2, 0, -40], [0, 0, 2, -20], [0, 0, 0, 1]])
COARSE = np.array([[0, -5.0, 0, 30], [0, 0, 5, -40], [-5, 0, 0, 22], [0, 0, 0, 1]])


def test_a_field_is_found_again_on_another_grid():
    field, wanted = image_of(gain, (30, 40, 20), FINE), image_of(gain, (8, 12, 16), COARSE)
    got = on_grid(field, wanted)
    inside = np.s_[1:-1, 1:-1, 1:-1]
    np.testing.assert_allclose(got[inside], np.asarray(wanted.dataobj)[inside], rtol=1e-4)
    assert got.min() >= np.asarray(field.dataobj).min() * (1 - 1e-5)
    np.testing.assert_array_equal(on_grid(field, field), np.asarray(field.dataobj))


def test_a_field_elsewhere_is_refused():
    far = FINE.copy()
    far[0, 3] += 45
    with pytest.raises(GetNetError, match=r"only 2\d% of it lies within"):
        on_grid(image_of(gain, (30, 40, 20), FINE), image_of(gain, (30, 40, 20), far), "a.nii")
    zero = nib.Nifti1Image(np.zeros((30, 40, 20), np.float32), FINE)
    with pytest.raises(GetNetError, match="not above 0"):
        on_grid(zero, image_of(gain, (8, 12, 16), COARSE))


def test_the_receive_field_is_the_ratio_of_the_coils():
    rng = np.random.default_rng(4)

    def scan(sensitivity, seed):
        def signal(x, y, z):
            inside = x**2 + y**2 + z**2 < 50**2
            return np.hypot(500 * sensitivity(x, y, z) * inside + rng.normal(0, 8, x.shape), rng.normal(0, 8, x.shape))

        return image_of(
            signal, (30, 30, 30), np.array([[4.0, 0, 0, -58], [0, 4, 0, -58], [0, 0, 4, -58], [0, 0, 0, 1]])
        )

    def body(x, y, z):
        return np.exp(0.002 * y)

    def head(x, y, z):
        return body(x, y, z) * gain(x, y, z)

    scanned = scan(head, 0)
    measured = receive_field(scanned, scan(body, 1), scanned)
    truth = np.asarray(image_of(gain, scanned.shape, scanned.affine).dataobj)
    inside = np.asarray(image_of(lambda x, y, z: x**2 + y**2 + z**2 < 50**2, scanned.shape, scanned.affine).dataobj) > 0
    error = np.log(measured[inside] / truth[inside])
    assert error.std() < 0.02
    assert np.log(truth[inside]).std() > 0.1
    assert measured[inside].min() * 0.99 <= measured.min()
    assert measured.max() <= measured[inside].max() * 1.01
