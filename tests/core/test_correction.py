import numpy as np
import pytest
import torch

from getnet_bids.core import field as field_module
from getnet_bids.core import foreground, geometry, preparation
from getnet_bids.core.basis import cosines
from getnet_bids.core.correction import correct_volume
from getnet_bids.core.field import gain_field
from getnet_bids.core.fusion import Basis
from getnet_bids.core.geometry import Box
from getnet_bids.core.metrics import field_error, relative_mae
from getnet_bids.core.options import Options
from tests.phantoms.flat import VOXEL, ellipsoid, field, head

BRAIN = ellipsoid(0.8) < 0


@pytest.fixture(scope="module")
def shaded():
    return head(strength=0.25)


@pytest.fixture(scope="module")
def result(network, shaded):
    return correct_volume(shaded, VOXEL, network)


def test_identity_and_geometric_mean(result, shaded):
    np.testing.assert_allclose(result.corrected * result.field, shaded, rtol=1e-5)
    assert result.corrected.dtype == result.field.dtype == np.float32
    assert np.isfinite(result.field).all()
    assert (result.field > 0).all()
    assert abs(np.log(result.field[result.foreground].astype(float)).mean()) < 1e-4


@pytest.mark.parametrize("refine", [True, False])
def test_the_field_comes_near_the_truth(network, shaded, refine):
    done = correct_volume(shaded, VOXEL, network, options=Options(refine=refine))
    assert field_error(done.field, field(0.25), BRAIN) < 0.15 * field_error(np.ones_like(shaded), field(0.25), BRAIN)
    assert relative_mae(done.corrected, head(0.0), BRAIN) < 0.6 * relative_mae(shaded, head(0.0), BRAIN)


def test_no_field_no_harm(network):
    done = correct_volume(head(), VOXEL, network)
    assert np.log(done.field[BRAIN]).std() < 0.03


def test_scale_does_not_matter(network, shaded, result):
    again = correct_volume(shaded * 1e4, VOXEL, network)
    np.testing.assert_allclose(again.field, result.field, rtol=2e-3)


def test_slabs_at_a_time_make_no_difference(network, shaded, result, monkeypatch):
    """A GPU does a volume at once."""
    for module in (preparation, field_module, foreground, geometry):
        monkeypatch.setattr(module, "at_once", lambda slabs, count: len(slabs))
    whole = correct_volume(shaded, VOXEL, network)
    np.testing.assert_array_equal(whole.foreground, result.foreground)
    np.testing.assert_allclose(whole.field, result.field, rtol=1e-5)


def test_order_and_direction_of_axes_do_not_matter(network, shaded, result):
    turned = correct_volume(shaded.transpose(2, 0, 1)[::-1], VOXEL, network)
    back = turned.field[::-1].transpose(1, 2, 0)
    assert field_error(back, result.field, result.foreground) < 0.01


@pytest.mark.parametrize("lay", [np.ascontiguousarray, np.asfortranarray, lambda x: np.repeat(x, 2, 1)[:, ::2]])
def test_memory_order_changes_no_bit_and_the_image_is_left_alone(network, shaded, result, lay):
    image = lay(shaded)
    image.flags.writeable = False
    done = correct_volume(image, VOXEL, network)
    np.testing.assert_array_equal(image, shaded)
    np.testing.assert_array_equal(done.field, result.field)
    np.testing.assert_array_equal(done.corrected, result.corrected)
    # As files are written: no copy then.
    assert done.field.flags.f_contiguous
    assert done.corrected.flags.f_contiguous


@pytest.mark.parametrize("slab", [1, 5000, 2**30])
def test_the_field_in_slabs_is_the_sum_of_cosines(monkeypatch, slab):
    monkeypatch.setattr(field_module, "SLAB", slab)
    shape, voxel = (30, 22, 26), (4.0, 6.0, 5.0)
    rng = np.random.default_rng(0)
    basis = Basis.over(Box((10.0, 10.0, 10.0), (100.0, 110.0, 90.0)), 70.0)
    theta = rng.normal(0, 0.1, basis.count)
    chosen = np.zeros(shape, bool)
    chosen[5:20, 4:15, 6:18] = rng.random((15, 11, 12)) > 0.5
    found = gain_field(basis, torch.from_numpy(theta), voxel, torch.from_numpy(chosen)).numpy()
    axes = [
        cosines((np.arange(n) + 0.5) * v, low, high, count)
        for n, v, low, high, count in zip(shape, voxel, basis.low, basis.high, basis.count, strict=True)
    ]
    log = np.einsum("xi,yj,zk,ijk->xyz", *axes, theta)
    expected = np.exp(np.clip(log, log[chosen].min(), log[chosen].max()) - log[chosen].mean())
    np.testing.assert_allclose(found, expected, rtol=2e-6)


def test_voxel_size_alone_changes_nothing(network, shaded, result):
    mouse = correct_volume(shaded, [v / 20 for v in VOXEL], network)
    assert field_error(mouse.field, result.field, result.foreground) < 0.005


def test_negative_zero_and_missing_voxels_are_kept(network, shaded):
    image = shaded.copy()
    image[0, 0, :10] = -5.0
    image[30, 30, 30] = np.nan
    image[31, 30, 30] = np.inf
    done = correct_volume(image, VOXEL, network)
    assert np.isfinite(done.field).all()
    assert (done.corrected[0, 0, :10] < 0).all()
    assert np.isnan(done.corrected[30, 30, 30])
    assert np.isposinf(done.corrected[31, 30, 30])


def test_a_series_shares_one_field(network, shaded, result):
    series = np.stack([shaded, 3 * shaded, shaded], axis=3)
    done = correct_volume(series, VOXEL, network)
    assert done.corrected.shape == series.shape
    np.testing.assert_allclose(done.field, result.field, rtol=2e-3)
    np.testing.assert_allclose(done.corrected[..., 1] * done.field, series[..., 1], rtol=1e-5)


def test_a_single_slice_works(network, shaded):
    done = correct_volume(shaded[:, :, 28], VOXEL[:2], network)
    assert done.field.shape == shaded.shape[:2]
    truth, where = field(0.25)[:, :, 28], BRAIN[:, :, 28]
    assert field_error(done.field, truth, where) < 0.6 * field_error(np.ones_like(truth), truth, where)


def test_a_slab_of_few_slices_works(network, shaded):
    slab = np.s_[:, :, 26:29]
    done = correct_volume(shaded[slab], VOXEL, network)
    assert field_error(done.field, field(0.25)[slab], BRAIN[slab]) < 0.6 * np.log(field(0.25)[slab][BRAIN[slab]]).std()


def test_a_constant_image_stays_as_it_is(network):
    done = correct_volume(np.full((24, 30, 20), 7.0), (1.0, 1.0, 1.0), network)
    assert done.foreground.all()
    assert field_error(done.field, np.ones_like(done.field)) < 0.05


def test_mask_chooses_where_the_field_is_fitted_and_normalised(network, shaded):
    done = correct_volume(shaded, VOXEL, network, mask=BRAIN)
    assert (done.foreground <= BRAIN).all()
    assert abs(np.log(done.field[done.foreground].astype(float)).mean()) < 1e-4
    assert field_error(done.field, field(0.25), BRAIN) < 0.1


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((20, 20, 20)), "fewer than 64 voxels have signal"),
        (np.full((20, 20, 20), np.nan), "fewer than 64 voxels have signal"),
        (np.zeros((20, 20, 20), complex), "real numbers"),
        (np.zeros(20), "2, 3 or 4 dimensions"),
        (np.ones((2, 2, 2)), "at least 64 voxels"),
    ],
)
def test_unusable_images_are_refused_with_the_reason(network, image, message):
    with pytest.raises(ValueError, match=message):
        correct_volume(image, (1.0,) * max(2, min(image.ndim, 3)), network)


def test_a_mask_of_another_shape_or_place_is_refused(network, shaded):
    with pytest.raises(ValueError, match="shape"):
        correct_volume(shaded, VOXEL, network, mask=BRAIN[1:])
    with pytest.raises(ValueError, match="leave the mask out"):
        correct_volume(shaded, VOXEL, network, mask=np.zeros_like(BRAIN))


class Literal(torch.nn.Module):
    """Takes every change of brightness for field, which is right for an object that is uniform."""

    def __init__(self):
        super().__init__()
        self.parameter = torch.nn.Parameter(torch.zeros(1), requires_grad=False)

    def log_gain(self, slices):
        outside = (slices <= 0).float()
        inner = 1 - torch.nn.functional.max_pool2d(outside, 13, stride=1, padding=6)
        share = torch.nn.functional.avg_pool2d(inner, 16)[:, 0]
        log_gain = torch.nn.functional.avg_pool2d(slices.clamp_min(1e-9).log() * inner, 16)[:, 0]
        return log_gain / share.clamp_min(1e-6), torch.where(share > 0.9, 0.0, 5.0)


@pytest.mark.parametrize("size", [0.0, 0.2])
def test_known_fields_leave_nothing_behind(size):
    inside = ellipsoid(1.0) < 0
    truth = field(size) if size else np.ones(inside.shape)
    done = correct_volume(truth * inside, VOXEL, Literal(), options=Options(refine=False))
    assert field_error(done.field, truth, done.foreground) < 0.006


@pytest.mark.parametrize("wrong", [{"smoothness": 0.0}, {"precision": "half"}, {"batch_size": 0}])
def test_wrong_options_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Options(**wrong)
