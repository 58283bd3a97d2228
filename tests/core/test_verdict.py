import copy
import re

import numpy as np
import pytest
import torch

from getnet_bids.core.correction import correct_volume
from getnet_bids.core.log_field import estimate_with_network
from getnet_bids.core.metrics import field_error
from getnet_bids.core.noise import noise_sd
from getnet_bids.core.options import Options
from getnet_bids.core.sampling import POINTS_PER_AXIS
from getnet_bids.core.signs import Sample, empty_slices, odd_even_difference, point_noise, wrapped_share
from getnet_bids.core.verdict import Evidence, judge
from getnet_bids.core.voxels import Background
from tests.phantoms.flat import SHAPE, VOXEL, ellipsoid, field, head

BRAIN = ellipsoid(0.85) < 0


@pytest.fixture(scope="module")
def stripped():
    return np.where(BRAIN, head(0.02, 0.2), 0).astype(np.float32)


def test_an_ordinary_image_is_corrected_without_a_remark(network, stripped):
    for image in (head(0.02, 0.2), stripped):
        done = correct_volume(image, VOXEL, network)
        assert (done.verdict, done.reasons) == ("corrected", ())
        assert 0 < done.field_sd_median <= done.field_sd_p95 < 0.06


def test_a_corrected_image_needs_nothing(network):
    done = correct_volume(head(0.02, 0.0), VOXEL, network)
    assert done.verdict == "nothing to correct"


def shrinking(network, factor):
    """A copy of the network whose log gains are smaller by a factor."""
    copied = copy.deepcopy(network)
    with torch.no_grad():
        copied.head.weight[0] *= factor
        copied.head.bias[0] *= factor
    return copied


@pytest.mark.parametrize(("factor", "found"), [(1.0, 1.0), (0.7, 0.7), (0.0, 0.0)])
def test_known_shading_that_the_network_misses_makes_a_result_doubtful(network, stripped, factor, found):
    volume = torch.from_numpy(stripped)
    stages = estimate_with_network([volume, volume * 2], VOXEL, shrinking(network, factor), None, Options())
    assert stages.found == pytest.approx(found, abs=0.06)
    done = correct_volume(stripped, VOXEL, shrinking(network, factor))
    doubts = [reason for reason in done.reasons if "of the shading that was multiplied onto it" in reason]
    assert bool(doubts) == (factor < 0.85)
    assert (done.verdict == "doubtful") == bool(doubts)
    if doubts:
        assert float(re.search(r"only (\d+)%", doubts[0])[1]) / 100 == pytest.approx(found, abs=0.06)


@pytest.mark.parametrize("value", [10, 700, 32767])
def test_a_constant_background_of_any_value_is_background(network, stripped, value):
    scaled = stripped * 1000
    image = np.where(BRAIN, scaled, value)
    done = correct_volume(image.astype(np.float32), VOXEL, network)
    plain = correct_volume(scaled, VOXEL, network)
    assert field_error(done.field, plain.field, BRAIN) < 0.005
    assert done.verdict == "doubtful"
    assert f"background is {value}" in done.reasons[0]


def test_an_offset_is_subtracted_where_nothing_is_darker():
    rng = np.random.default_rng(0)
    volume = np.zeros((8, 8, 8), np.float32)
    volume[2:6, 2:6, 2:6] = rng.uniform(1, 2, (4, 4, 4))
    np.testing.assert_allclose(Background.of(volume + 10).removed_from(volume + 10), volume, atol=1e-5)


def test_voxels_filled_with_a_negative_value_are_background_and_no_offset(network, stripped):
    filled = np.where(BRAIN, stripped * 1000, -1000).astype(np.float32)
    np.testing.assert_array_equal(Background.of(filled).removed_from(filled), np.where(BRAIN, filled, 0))
    done = correct_volume(filled, VOXEL, network)
    assert field_error(done.field, correct_volume(stripped * 1000, VOXEL, network).field, BRAIN) < 0.005
    assert len(done.reasons) == 1
    assert done.reasons[0].startswith("its background is -1000, not 0")


def backgrounds():
    """Make backgrounds that are no single value on most of the faces; each with its name."""
    rng = np.random.default_rng(3)
    x, y, z = np.ix_(*(np.linspace(-1, 1, n) for n in SHAPE))
    whole = np.broadcast_to
    yield "not exact", lambda v: np.where(BRAIN, v, 700 + rng.uniform(-0.5, 0.5, SHAPE))
    yield "in a circle", lambda v: np.where(whole(x**2 + y**2 < 0.98, SHAPE) & ~BRAIN, 700, v)
    yield "beyond a circle", lambda v: np.where(whole(x**2 + y**2 > 0.98, SHAPE) & ~BRAIN, 700, v)
    yield "two values", lambda v: np.where(BRAIN, v, np.where(whole(x, SHAPE) > 0.2, 300, 700))
    yield "slices", lambda v: np.where(whole(z > 0.75, SHAPE), 32767, v)
    yield "negative slices", lambda v: np.where(whole(z > 0.75, SHAPE), -1000, v)
    yield "wedge", lambda v: np.where(whole(y + z > 1.2, SHAPE) & ~BRAIN, 700, v)


@pytest.mark.parametrize("fill", [fill for _, fill in backgrounds()], ids=[name for name, _ in backgrounds()])
def test_a_background_of_any_shape_is_background(network, stripped, fill):
    image = fill(stripped * 1000).astype(np.float32)
    done = correct_volume(image, VOXEL, network)
    kept = BRAIN & (image == stripped * 1000)
    plain = correct_volume(np.where(kept, stripped, 0), VOXEL, network)
    assert field_error(done.field, plain.field, kept) < 0.005
    assert done.verdict == "doubtful"
    assert "its background is" in done.reasons[0]


def patterns():
    """Make backgrounds of few values, or of a ramp; each with its name."""
    i, j, k = np.indices(SHAPE)
    x, y, z = np.ix_(*(np.linspace(-1, 1, n) for n in SHAPE))
    for low, high in ((100, 200), (0, 500)):
        for n in (1, 4, 8):
            yield f"{low} and {high} in blocks of {n}", np.where((i // n + j // n + k // n) % 2, high, low)
    yield "three values", np.array([100, 250, 400])[(i // 6 + j // 6 + k // 6) % 3]
    yield "a ramp", np.broadcast_to(225 + 175 * x, SHAPE)
    yield "a low ramp", np.broadcast_to(100 + 80 * z, SHAPE)
    yield "a ramp in whole numbers", np.rint(225 + 60 * (x + y + z))


@pytest.mark.parametrize("pattern", [p for _, p in patterns()], ids=[name for name, _ in patterns()])
def test_a_background_of_few_values_or_of_a_ramp_is_removed(stripped, pattern):
    image = np.where(BRAIN, stripped * 1000, pattern).astype(np.float32)
    background = Background.of(image)
    removed = background.removed_from(image)
    assert background.value > 0
    assert np.count_nonzero(removed[~BRAIN]) < 0.01 * np.count_nonzero(~BRAIN)
    np.testing.assert_array_equal(removed[BRAIN], image[BRAIN])


def test_a_background_of_a_ramp_is_named_and_does_no_harm(network, stripped):
    x = np.broadcast_to(np.linspace(-1, 1, SHAPE[0])[:, None, None], SHAPE)
    done = correct_volume(np.where(BRAIN, stripped, 0.225 + 0.175 * x).astype(np.float32), VOXEL, network)
    assert field_error(done.field, correct_volume(stripped, VOXEL, network).field, BRAIN) < 0.005
    assert done.verdict == "doubtful"
    assert "its background is 0.22" in done.reasons[0]


def test_noise_is_no_background():
    """Neither in few whole numbers nor in the mean of many volumes."""
    image = head(0.02, 0.2)
    for top in (30, 60, 120):
        assert Background.of(np.rint(image / image.max() * top).astype(np.float32)) == Background(0.0)
    rng = np.random.default_rng(2)
    floor = 0.05 + 0.002 * rng.normal(size=SHAPE)
    assert Background.of((image + floor).astype(np.float32)) == Background(0.0)


@pytest.mark.parametrize("shading", [0.0, 0.2])
@pytest.mark.parametrize("whole", [True, False])
def test_tissue_without_noise_is_no_background(shading, whole):
    image = head(0.0, shading)
    image = (1000 * (image if whole else np.where(BRAIN, image, 0))).astype(np.float32)
    assert Background.of(image) == Background(0.0)


def test_an_offset_on_all_voxels_is_named_and_the_noise_of_a_mean_is_not(network):
    done = correct_volume(head(0.02, 0.2) + 0.15, VOXEL, network)
    assert any("hardly varies: an offset breaks the model" in reason for reason in done.reasons)
    rng = np.random.default_rng(6)
    mean = sum(np.hypot(head(0.0, 0.2) + a, b) for a, b in 0.04 * rng.normal(size=(20, 2, *SHAPE))) / 20
    assert not correct_volume(mean.astype(np.float32), VOXEL, network).reasons


def test_a_spike_does_not_make_an_image_negative(network, stripped):
    spiked = stripped.copy()
    spiked[tuple(n // 2 for n in SHAPE)] = -1e20
    done = correct_volume(spiked, VOXEL, network)
    assert field_error(done.field, correct_volume(stripped, VOXEL, network).field, BRAIN) < 0.02


def test_an_image_without_background_keeps_its_values():
    volume = np.random.default_rng(0).uniform(1, 2, (8, 8, 8)).astype(np.float32)
    np.testing.assert_array_equal(Background.of(volume).removed_from(volume), volume)
    constant = np.full((8, 8, 8), 7.0, np.float32)
    np.testing.assert_array_equal(Background.of(constant).removed_from(constant), constant)


def test_what_was_normalised_is_refused(network, stripped):
    inside = stripped > 0
    normalised = np.where(inside, (stripped - stripped[inside].mean()) / stripped[inside].std(), 0)
    with pytest.raises(ValueError, match="correct the image first, and normalise it afterwards"):
        correct_volume(normalised.astype(np.float32), VOXEL, network)


def test_clipping_and_noise_are_named(network):
    image = head(0.02, 0.2)
    clipped = correct_volume(np.minimum(image, np.percentile(image[image > 0.2], 90)), VOXEL, network)
    assert clipped.verdict == "doubtful"
    assert "clipped" in clipped.reasons[0]
    noisy = correct_volume(head(0.25, 0.2), VOXEL, network)
    assert noisy.verdict == "doubtful"
    assert any("noise" in reason for reason in noisy.reasons)


def test_odd_and_even_slices_are_named_along_any_axis(network):
    image = head(0.02, 0.1)
    for axis in range(3):
        lines = 1 + 0.06 * (np.arange(SHAPE[axis]) % 2)
        uneven = image * np.moveaxis(lines[:, None, None], 0, axis)
        assert abs(odd_even_difference(uneven.astype(np.float32), BRAIN) - 0.06) < 0.01
    assert odd_even_difference(image, BRAIN) < 0.005
    done = correct_volume(uneven.astype(np.float32), VOXEL, network)
    assert any("odd and even" in reason for reason in done.reasons)


def test_empty_slices_between_others_are_named(network, stripped):
    for axis in range(3):
        there = np.moveaxis(np.ones(SHAPE, bool), axis, 0)
        there[::2] = False
        there = np.moveaxis(there, 0, axis)
        assert empty_slices((stripped > 0) & there) > 0.4
    done = correct_volume(np.where(there, head(0.02, 0.2), 0).astype(np.float32), VOXEL, network)
    assert done.verdict == "doubtful"
    assert any("slices are empty between others" in reason for reason in done.reasons)


def test_few_empty_slices_and_separate_objects_are_ordinary(stripped):
    there = np.ones(SHAPE, bool)
    there[20:30] = there[33] = there[40] = False
    assert empty_slices((stripped > 0) & there) < 0.05


@pytest.mark.parametrize("scale", [1.2, 1.6])
def test_numbers_beyond_their_range_are_named(network, stripped, scale):
    for image in (head(0.02, 0.2), stripped):
        whole = np.rint(image / np.percentile(image[image > 0.1], 99.5) * 255)
        assert wrapped_share(np.minimum(whole, 255).astype(np.float32)) == 0
        wrapped = (np.rint(scale * whole) % 256).astype(np.float32)
        assert wrapped_share(wrapped) > 0.01
    done = correct_volume(wrapped, VOXEL, network)
    assert done.verdict == "doubtful"
    assert any("exceeded the range of their type" in reason for reason in done.reasons)


def test_a_constant_object_is_not_called_clipped(network, stripped):
    for image in (np.full(SHAPE, 7, np.float32), (stripped > 0).astype(np.float32)):
        done = correct_volume(image, VOXEL, network)
        assert done.verdict == "doubtful"
        assert len(done.reasons) == 1
        assert "all voxels of its foreground have the same value" in done.reasons[0]


def test_slices_that_differ_by_less_than_the_field_is_known_are_ordinary():
    for sd, verdict in ((0.01, "doubtful"), (0.03, "corrected")):
        evidence = Evidence(0.0, 0.0, field_sd=0.1, sd_median=sd, unequal=0.04)
        assert judge(evidence)[0] == verdict


def test_noise_at_a_point_falls_with_the_voxels_that_it_averages():
    rng = np.random.default_rng(3)
    shape = (110, 110, 110)
    cube = np.zeros(shape, bool)
    cube[5:105, 5:105, 5:105] = True
    complex_noise = 0.1 * rng.normal(size=(2, *shape))
    volume = np.hypot(cube + complex_noise[0], complex_noise[1]).astype(np.float32)
    found = point_noise(Sample.of(volume, cube), cube, (1.0, 1.0, 1.0), noise_sd(volume, cube))
    assert abs(found - 0.1 / (100 / POINTS_PER_AXIS) ** 1.5) < 0.005
    coarse, coarse_cube = volume[::4, ::4, ::4], cube[::4, ::4, ::4]
    found = point_noise(Sample.of(coarse, coarse_cube), coarse_cube, (4.0,) * 3, noise_sd(coarse, coarse_cube))
    assert abs(found - 0.1) < 0.02


def test_noise_is_measured():
    rng = np.random.default_rng(1)
    volume = (10 * field(0.2) + rng.normal(0, 0.7, SHAPE)).astype(np.float32)
    assert abs(noise_sd(volume, np.ones(SHAPE, bool)) - 0.7) < 0.03


def test_the_map_of_uncertainty_is_given_when_asked_for(network, stripped):
    done = correct_volume(stripped, VOXEL, network, options=Options(uncertainty=True))
    assert done.uncertainty.shape == SHAPE
    assert (done.uncertainty > 0).all()
    assert abs(np.median(done.uncertainty[done.foreground]) - done.field_sd_median) < 0.2 * done.field_sd_median
    assert correct_volume(stripped, VOXEL, network).uncertainty is None


def test_a_mask_changes_nothing_of_what_lies_beside_the_object(network):
    image = head(0.02, 0.2)
    done = correct_volume(image, VOXEL, network, mask=ellipsoid(0.7) < 0)
    assert (done.verdict, done.reasons) == ("corrected", ())
