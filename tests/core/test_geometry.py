import numpy as np
import pytest
import torch

from getnet_bids.core.geometry import FILLS, Box, choose_planes, resampling, slices_of


def full_box(shape, voxel):
    return Box((0.0, 0.0, 0.0), tuple(float(s * v) for s, v in zip(shape, voxel, strict=True)))


def test_resampling_to_finer_pixels_interpolates_and_keeps_parabolas():
    voxels, pixels = (np.arange(40) + 0.5) * 2, 40.0 + (np.arange(256) - 127.5) * 0.25
    matrix = resampling(40, 2.0, 40.0, 0.25, torch.device("cpu")).numpy()
    parabola = (pixels - 37) ** 2 / 100
    np.testing.assert_allclose(matrix @ ((voxels - 37) ** 2 / 100), parabola, atol=1e-4)
    noise = np.random.default_rng(0).normal(size=40).astype(np.float32)
    thirds = resampling(40, 2.0, 41 + 1 / 3, 2 / 3, torch.device("cpu")).numpy()  # every third pixel is a voxel
    np.testing.assert_allclose(thirds[67:187:3] @ noise, noise, atol=1e-5)


def test_resampling_takes_what_is_outside_as_0():
    matrix = resampling(10, 2.0, 20.0, 0.25, torch.device("cpu")).numpy()  # voxels from 0 to 20 mm
    pixels = 20.0 + (np.arange(256) - 127.5) * 0.25
    shown = matrix @ np.ones(10, np.float32)
    np.testing.assert_allclose(shown[(pixels > 3) & (pixels < 17)], 1, atol=1e-5)
    assert (shown[(pixels < -3) | (pixels > 23)] == 0).all()


def test_resampling_to_coarser_pixels_keeps_means():
    voxels = np.random.default_rng(0).uniform(size=2000).astype(np.float32)
    matrix = resampling(2000, 0.1, 100.0, 0.75, torch.device("cpu")).numpy()
    inside = (matrix @ voxels)[5:-5]
    np.testing.assert_allclose(inside.mean(), voxels.mean(), atol=0.02)
    assert inside.std() < voxels.std() / 2


def test_box_encloses_the_foreground_in_mm():
    foreground = torch.zeros(30, 40, 20, dtype=torch.bool)
    foreground[5:25, 10:30, 2:18] = True
    box = Box.around(foreground, (1.0, 0.5, 3.0))
    assert box == Box((5.0, 5.0, 6.0), (25.0, 15.0, 54.0))
    assert box.extent == 48.0


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_any_object_fills_the_slices_alike(scale):
    shape, voxel = (200, 230, 180), (1.0 * scale,) * 3
    volume = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    box = full_box(shape, voxel)
    planes = choose_planes(shape, voxel, box, 24)
    assert [p.axis for p in planes] == [0, 0, 1, 1, 2, 2]
    one = (1.0,) * 3
    reference_box = full_box(shape, one)
    reference_planes = choose_planes(shape, one, reference_box, 24)
    for plane, reference_plane, fill in zip(planes, reference_planes, FILLS * 3, strict=True):
        slices = slices_of(volume, plane, voxel, box)
        reference = slices_of(volume, reference_plane, one, reference_box)
        np.testing.assert_allclose(slices, reference, atol=1e-4)
        longest = max((slices[0, 0].sum(0) > 0).sum(), (slices[0, 0].sum(1) > 0).sum())
        assert abs(int(longest) - min(fill, 1.0) * 256) <= 4


@pytest.mark.parametrize(
    ("shape", "voxel", "axes"),
    [
        ((256, 256, 1), (1.0, 1.0, 1.0), [2]),
        ((320, 320, 6), (0.7, 0.7, 5.0), [2]),
        ((320, 320, 30), (0.7, 0.7, 4.0), [0, 1, 2]),
        ((4, 200, 200), (1.0, 1.0, 1.0), [0]),
        ((60, 60, 8), (3.0, 3.0, 15.0), [0, 1, 2]),
        ((60, 60, 5), (3.0, 3.0, 24.0), [2]),
        ((60, 60, 11), (3.0, 3.0, 3.0), [2]),
    ],
)
def test_planes_in_which_a_slab_is_thin_are_left_out(shape, voxel, axes):
    assert sorted({p.axis for p in choose_planes(shape, voxel, full_box(shape, voxel), 24)}) == axes


@pytest.mark.parametrize(
    ("shape", "voxel", "slices", "counts"),
    [
        ((180, 220, 180), (1.0, 1.0, 1.0), 24, {0: 20, 1: 24, 2: 20}),
        ((180, 220, 180), (1.0, 1.0, 1.0), 12, {0: 10, 1: 12, 2: 10}),
        ((320, 320, 30), (0.7, 0.7, 1.0), 12, {0: 12, 1: 12, 2: 8}),
        ((60, 60, 8), (3.0, 3.0, 15.0), 12, {0: 12, 1: 12, 2: 8}),
    ],
)
def test_slices_are_spread_over_the_object(shape, voxel, slices, counts):
    planes = choose_planes(shape, voxel, full_box(shape, voxel), slices)
    for axis, count in counts.items():
        index = np.sort(np.concatenate([p.index for p in planes if p.axis == axis]))
        assert len(index) == count
        gaps = np.diff(np.concatenate([[-1], index, [shape[axis]]]))
        assert gaps.min() >= 1
        assert np.ptp(gaps[1:-1]) <= 1


@pytest.mark.parametrize(("thick", "times"), [(1, 8), (3, 3), (5, 2)])
def test_few_slices_come_again_with_every_fill(thick, times):
    shape, voxel = (256, 256, thick), (1.0, 1.0, 1.0)
    planes = choose_planes(shape, voxel, full_box(shape, voxel), 12)
    index, counts = np.unique(np.concatenate([p.index for p in planes]), return_counts=True)
    assert index.tolist() == list(range(thick))
    assert set(counts) == {times}
    assert len({p.pixel for p in planes}) == len(FILLS)


def test_cells_lie_where_their_pixels_come_from():
    """The mean of a coordinate over a cell of a slice is the cell's position."""
    shape, voxel = (100, 120, 80), (1.0, 0.75, 1.5)
    box = full_box(shape, voxel)
    for plane in choose_planes(shape, voxel, box, 24):
        for axis in range(3):
            coordinate = (torch.arange(shape[axis]) + 0.5) * voxel[axis]
            view = [1, 1, 1]
            view[axis] = -1
            volume = coordinate.reshape(view).expand(shape).float()
            cells = torch.nn.functional.avg_pool2d(slices_of(volume, plane, voxel, box), 16)[:, 0]
            order = [plane.axis, *(a for a in range(3) if a != plane.axis)]
            place = np.moveaxis(
                np.broadcast_to(plane.position[axis].reshape(view), [len(p) for p in plane.position]), order, range(3)
            )
            middle = np.s_[:, 5:11, 5:11]
            np.testing.assert_allclose(cells.numpy()[middle], place[middle], atol=1e-3)
