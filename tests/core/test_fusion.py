import numpy as np
import pytest
import torch

from getnet_bids.core.fusion import Basis, fuse, normal_matrix, project
from getnet_bids.core.geometry import Box, choose_planes
from tests.phantoms.flat import log_field

SHAPE, VOXEL = (60, 70, 50), (3.0, 3.0, 3.0)
BOX = Box((0.0, 0.0, 0.0), (180.0, 210.0, 150.0))


def cells_of(basis, theta, plane, rng):
    """What a perfect network gives for a plane: the field at each cell, and an offset for each slice."""
    field = torch.from_numpy(log_field(basis, theta, plane.position))
    field = field.movedim(plane.axis, 0)
    return field + torch.from_numpy(rng.normal(size=(len(field), 1, 1)))


@pytest.mark.parametrize("axes", [[0, 1, 2], [0, 2]])
def test_finds_a_field_of_the_basis_whatever_the_slices_offsets(axes):
    rng = np.random.default_rng(0)
    basis = Basis.over(BOX, 80.0)
    theta = torch.from_numpy(rng.normal(size=basis.count) / (1 + basis.penalty()))
    theta[0, 0, 0] = 0
    planes = [p for p in choose_planes(SHAPE, VOXEL, BOX, 24) if p.axis in axes]
    values = [cells_of(basis, theta, p, rng) for p in planes]
    weights = [torch.from_numpy(rng.uniform(0.5, 1, v.shape)) for v in values]
    found = fuse(basis, planes, values, weights, 1e-12)
    np.testing.assert_allclose(found, theta, atol=1e-5)


def test_one_plane_leaves_what_it_cannot_see_flat():
    rng = np.random.default_rng(0)
    basis = Basis.over(BOX, 80.0)
    theta = torch.zeros(basis.count, dtype=torch.float64)
    theta[1, 0, 0], theta[0, 0, 1] = 0.2, 0.3
    plane = next(p for p in choose_planes(SHAPE, VOXEL, BOX, 24) if p.axis == 2)
    value = cells_of(basis, theta, plane, rng)
    found = fuse(basis, [plane], [value], [torch.ones_like(value)], 1e-9)
    assert abs(found[1, 0, 0] - 0.2) < 1e-3
    assert abs(found[0, 0, 1]) < 1e-3


def test_cells_without_weight_do_not_count():
    rng = np.random.default_rng(0)
    basis = Basis.over(BOX, 100.0)
    theta = torch.from_numpy(rng.normal(size=basis.count) / (1 + basis.penalty()))
    theta[0, 0, 0] = 0
    planes = choose_planes(SHAPE, VOXEL, BOX, 24)
    values = [cells_of(basis, theta, p, rng) for p in planes]
    weights = [torch.from_numpy((rng.uniform(size=v.shape) > 0.3).astype(float)) for v in values]
    values = [torch.where(w > 0, v, 9.0) for v, w in zip(values, weights, strict=True)]
    np.testing.assert_allclose(fuse(basis, planes, values, weights, 1e-12), theta, atol=1e-4)


def test_separable_sums_equal_the_design_matrix():
    rng = np.random.default_rng(0)
    b = [torch.from_numpy(rng.normal(size=s)) for s in ((5, 3), (6, 2), (4, 4))]
    weight, values = (torch.from_numpy(rng.uniform(size=(5, 6, 4))) for _ in range(2))
    design = torch.einsum("xi,yj,zk->xyzijk", *b).reshape(120, 24)
    np.testing.assert_allclose(normal_matrix(weight, b), design.T @ (weight.flatten()[:, None] * design))
    np.testing.assert_allclose(project(values, b), design.T @ values.flatten())


def test_smoother_setting_gives_smoother_field():
    rng = np.random.default_rng(0)
    planes = choose_planes(SHAPE, VOXEL, BOX, 24)
    values = [torch.from_numpy(rng.normal(size=(len(p.index), 16, 16))) for p in planes]
    weights = [torch.ones_like(v) for v in values]
    position = [np.linspace(0, 180, 30), np.linspace(0, 210, 30), np.linspace(0, 150, 30)]
    rough = []
    for length in (40.0, 120.0):
        basis = Basis.over(BOX, length)
        field = log_field(basis, fuse(basis, planes, values, weights, 1e-3), position)
        rough.append(np.square(np.diff(field, axis=1)).mean() / field.var())
    assert rough[1] < rough[0] / 2
