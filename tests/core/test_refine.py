import numpy as np
import torch

from getnet_bids.core.fusion import Basis, normal_matrix, project
from getnet_bids.core.geometry import Box
from getnet_bids.core.refine import refine_field

from .phantom import SHAPE, VOXEL, ellipsoid, field, head, log_field


def error(log_field, truth, where):
    return float((log_field - np.log(truth))[where].std())


def test_brings_a_field_nearer_to_the_truth():
    image, truth = head(0.02, 0.1), field(0.1)
    foreground = image > 0.1
    volume = torch.from_numpy(image * foreground)
    box = Box.around(volume > 0, VOXEL)
    basis = Basis.over(box, 100.0)
    start = torch.zeros(basis.count, dtype=torch.float64)
    refined_basis, theta = refine_field(volume, VOXEL, box, basis, start)
    position = [(np.arange(n) + 0.5) * v for n, v in zip(image.shape, VOXEL, strict=True)]
    found = log_field(refined_basis, theta, position)
    brain = (ellipsoid(0.8) < 0) & foreground
    assert error(found, truth, brain) < 0.3 * error(np.zeros_like(found), truth, brain)


def test_leaves_an_even_image_alone():
    image = head(0.02)
    volume = torch.from_numpy(image * (image > 0.1))
    box = Box.around(volume > 0, VOXEL)
    basis = Basis.over(box, 100.0)
    refined_basis, theta = refine_field(volume, VOXEL, box, basis, torch.zeros(basis.count, dtype=torch.float64))
    position = [(np.arange(n) + 0.5) * v for n, v in zip(image.shape, VOXEL, strict=True)]
    found = log_field(refined_basis, theta, position)
    assert found[ellipsoid(0.8) < 0].std() < 0.01
    assert found[image > 0.1].std() < 0.02


def test_tissues_that_are_alike_are_not_taken_for_one():
    inside, brain, white = (ellipsoid(radius) < 0 for radius in (1.0, 0.8, 0.6))
    image = np.select([white, brain, inside], [1.0, 0.6, 0.66], 0.0) * field(0.16)  # muscle around gray matter
    image *= 1 + 0.02 * np.random.default_rng(1).normal(size=image.shape)
    volume = torch.from_numpy(image.astype(np.float32))
    box = Box.around(volume > 0, VOXEL)
    position = [(np.arange(n) + 0.5) * v for n, v in zip(image.shape, VOXEL, strict=True)]
    basis = Basis.over(box, 100.0)
    flat = torch.ones(volume.shape, dtype=torch.float64)
    b = [basis.along(axis, p, volume.device) for axis, p in enumerate(position)]
    start = project(flat * torch.from_numpy(np.log(field(0.16))), b)
    start = torch.linalg.solve(normal_matrix(flat, b), start).reshape(basis.count)
    refined_basis, theta = refine_field(volume, VOXEL, box, basis, start)
    found = log_field(refined_basis, theta, position)
    assert error(found, field(0.16), inside) < 0.02


def test_a_single_slice_is_refined_and_keeps_a_share_of_its_start():
    k = SHAPE[2] // 2
    image, truth = head(0.02, 0.15)[:, :, k : k + 1], field(0.15)[:, :, k : k + 1]
    volume = torch.from_numpy(image * (image > 0.1))
    box = Box.around(volume > 0, VOXEL)
    basis = Basis.over(box, 100.0)
    position = [(np.arange(n) + 0.5) * v for n, v in zip(image.shape, VOXEL, strict=True)]
    brain = (ellipsoid(0.8)[:, :, k : k + 1] < 0) & (image > 0.1)
    start = torch.zeros(basis.count, dtype=torch.float64)
    refined_basis, theta = refine_field(volume, VOXEL, box, basis, start)
    assert refined_basis.count == basis.count
    found = log_field(refined_basis, theta, position)
    # A start of no field: at best the kept share of the truth is left.
    assert error(found, truth, brain) < 0.6 * error(np.zeros_like(found), truth, brain)
    slope = np.polyfit(np.log(truth[brain]), found[brain], 1)[0]
    assert slope < 0.85
