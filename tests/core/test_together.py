"""One field for several images on one grid."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from getnet_bids.core.correction import correct_together, correct_volume
from getnet_bids.core.metrics import field_error
from tests.phantoms import realistic

LEVELS = {"air": 0, "skin": 0.6, "skull": 0.04, "csf": 0.1, "gray": 0.75, "white": 0.6, "nuclei": 0.7, "muscle": 0.4}


@pytest.fixture(scope="module")
def two():
    """A T1w head, and the same head as a FLAIR image with noise and variation of its own, in the same field."""
    rng, tissue = np.random.default_rng(4), realistic.labels()
    signal = np.array([LEVELS[name] for name in realistic.NAMES])[tissue]
    signal = signal * np.exp(np.choose(tissue, [0.025 * realistic.smooth(rng, 22) for _ in LEVELS]))
    signal = gaussian_filter(signal, 0.5) * realistic.field()
    noise = 0.03 * rng.normal(size=(2, *realistic.SHAPE))
    return realistic.head()[0], np.hypot(signal + noise[0], noise[1]).astype(np.float32)


def test_the_shared_field_is_better_than_that_of_each(network, two):
    brain = realistic.head()[1]
    errors = [field_error(correct_volume(x, realistic.VOXEL, network).field, realistic.field(), brain) for x in two]
    first, second = correct_together(two, realistic.VOXEL, network)
    assert field_error(first.field, realistic.field(), brain) < min(errors)
    np.testing.assert_array_equal(first.field, second.field)
    where = first.foreground | second.foreground
    assert abs(np.log(first.field[where]).mean()) < 1e-3
    for done, image in ((first, two[0]), (second, two[1])):
        np.testing.assert_allclose(done.corrected * done.field, image, rtol=1e-5)
        assert done.verdict == "corrected"


def test_the_order_does_not_matter_and_one_image_is_as_alone(network, two):
    small = [x[::2, ::2, ::2] for x in two]
    voxel = (4.0, 4.0, 4.0)
    one, other = (correct_together(images, voxel, network)[0].field for images in (small, small[::-1]))
    np.testing.assert_allclose(one, other, rtol=1e-4)
    alone = correct_together(small[:1], voxel, network)[0]
    np.testing.assert_array_equal(alone.field, correct_volume(small[0], voxel, network).field)


def test_each_image_is_judged_by_itself(network, two):
    clipped = np.minimum(two[1], np.percentile(two[1], 97))
    fine, doubtful = correct_together([two[0], clipped], realistic.VOXEL, network)
    assert fine.verdict == "corrected"
    assert "clipped" in doubtful.reasons[0]


def test_images_of_different_fields_are_told(network, two):
    normalised = two[1] / realistic.field()
    for done in correct_together([two[0], normalised], realistic.VOXEL, network):
        assert any("not measured alike" in reason for reason in done.reasons)


def test_other_shapes_are_refused(network, two):
    with pytest.raises(ValueError, match="must be of one shape"):
        correct_together([two[0], two[1][1:]], realistic.VOXEL, network)
    with pytest.raises(ValueError, match="must be of one shape"):
        correct_together([], realistic.VOXEL, network)
