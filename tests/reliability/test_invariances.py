"""What must not change a field does not, on a head of 2 mm."""

from __future__ import annotations

import numpy as np
import pytest

from tests.phantoms.scanned import synthetic

from .invariances import INVARIANCES, ROUNDING, change


@pytest.fixture(scope="module")
def subject():
    return synthetic(2.0)


def test_the_head_has_a_field_to_find(subject):
    """What is found is no constant, which would be invariant to everything."""
    field = np.asarray(subject.reference.field.dataobj)
    assert 0.05 < np.log(field[subject.brain]).std() < 0.3
    assert subject.brain.sum() < subject.reference.foreground.sum() < 0.8 * field.size


def test_a_change_is_measured_whatever_the_scale(subject):
    field = np.asarray(subject.reference.field.dataobj)
    where = np.ones(field.shape, bool)
    step = np.where(np.arange(field.shape[0]) % 2 == 0, 1.02, 1 / 1.02)[:-1, None, None]
    found = change(3 * field[:-1] * step, field[:-1], where[:-1], where[:-1])
    assert found.spread == pytest.approx(np.log(1.02), rel=1e-3)
    assert found.most == pytest.approx(np.log(1.02), rel=1e-2)


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("flipped", 0.02),  # slices of a flipped or turned image get other known fields
        pytest.param("turned", 0.03, marks=pytest.mark.slow),
        pytest.param("times 1e-06 to 1e+06", 10 * ROUNDING, marks=pytest.mark.slow),
        ("more of 0", 1e-5),
        pytest.param("brain mask", 0.05, marks=pytest.mark.slow),
    ],
)
def test_invariance(subject, name, most):
    """The goal holds for the standard deviation over the foreground; ``most`` is the limit of any voxel."""
    (invariance,) = [one for one in INVARIANCES if name in one.name]
    found = invariance.measure(subject)
    assert found.spread <= invariance.goal
    assert found.brain <= invariance.goal
    assert found.most <= most


@pytest.mark.slow
@pytest.mark.parametrize("size", [0.7, 0.8])
def test_size_of_voxels(subject, size):
    (invariance,) = [one for one in INVARIANCES if one.name == f"voxels {size} times as long"]
    found = invariance.measure(subject)
    assert found.spread <= invariance.goal
    assert found.brain <= invariance.goal
