from __future__ import annotations

import itertools

import nibabel as nib
import numpy as np
import pytest

from getnet_bids.images import voxel_size
from getnet_bids.reports.mosaic import COLUMNS, MIN_SIDE, anatomical, arrange

ORIENTATIONS = ["".join(codes) for codes in itertools.product("RL", "AP", "SI")] + ["PSR", "SLA", "AIL"]


def turned(image, codes):
    """Return the same image stored with other axes."""
    to = nib.orientations.axcodes2ornt(codes)
    return image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(image.affine), to))


def drawn(image):
    data = image.get_fdata(dtype=np.float32)
    mosaic = arrange(data > 0, voxel_size(image), image.affine)
    canvas = mosaic.draw(anatomical(data, image.affine), lambda v: (v / 4).astype(np.uint8))
    return mosaic, np.asarray(canvas)


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_the_picture_does_not_depend_on_how_the_file_is_stored(blob, codes):
    mosaic, canvas = drawn(turned(blob, codes))
    expected, reference = drawn(blob)
    assert mosaic == expected
    np.testing.assert_array_equal(canvas, reference)


def test_right_is_right_and_up_is_up(blob):
    mosaic, canvas = drawn(blob)
    assert mosaic.planes == ["axial", "coronal", "sagittal"]
    for s in mosaic.slices:
        left, top = mosaic.corner(s)
        width, height = mosaic.sizes[s.axis]
        cell = canvas[top : top + height, left : left + width] > 200
        if not cell.any():
            continue
        row, column = np.argwhere(cell).mean(0)
        assert row < height / 2  # front or top
        assert column > width / 2  # the patient's right, or front
    assert (canvas > 200).any()


def test_sizes_are_those_in_millimetres(blob):
    mosaic, _ = drawn(blob)
    extent = np.array([40 * 2, 36 * 3, 32 * 4])
    for axis, (right, up) in {2: (0, 1), 1: (0, 2), 0: (1, 2)}.items():
        width, height = mosaic.sizes[axis]
        assert width / height == pytest.approx(extent[right] / extent[up], rel=0.02)


def test_positions_in_millimetres(blob):
    mosaic, _ = drawn(blob)
    texts = {(s.axis, s.index): text for s, place, text in mosaic.texts if place == "bottom"}
    assert len(texts) == 3 * COLUMNS
    for (axis, index), text in texts.items():
        letter, value = text.split()
        assert letter == "xyz"[axis]
        assert abs(int(value) - (blob.affine[axis, axis] * index + blob.affine[axis, 3])) <= 0.5


@pytest.mark.parametrize(
    ("shape", "size", "planes", "count"),
    [
        ((64, 48), (1, 1), ["axial"], 1),
        ((64, 48, 1), (1, 1, 5), ["axial"], 1),
        ((1, 64, 48), (5, 1, 1), ["sagittal"], 1),
        ((64, 48, 7), (1, 1, 6), ["axial"], 7),
        ((64, 48, MIN_SIDE), (1, 1, 6), ["axial", "coronal", "sagittal"], 15),
        ((4, 3, 2), (1, 1, 1), ["axial"], 2),
        ((1, 1, 9), (1, 1, 1), ["coronal"], 1),
        ((400, 20, 20), (0.1, 2, 2), ["axial", "coronal", "sagittal"], 15),
    ],
)
def test_odd_shapes(shape, size, planes, count):
    foreground = np.ones(shape, bool)
    affine = np.diag([*(*size, 1)[:3], 1.0])
    mosaic = arrange(foreground, size, affine)
    assert mosaic.planes == planes
    assert len(mosaic.slices) == count
    assert max(mosaic.size) <= 1100
    canvas = np.asarray(mosaic.draw(anatomical(foreground, affine), lambda v: v.astype(np.uint8) * 200))
    assert canvas.max() == 200


def test_an_affine_that_says_nothing():
    foreground = np.ones((30, 20, 20), bool)
    mosaic = arrange(foreground, (1, 1, 1), np.zeros((4, 4)), sides_known=False)
    assert {place for _, place, _ in mosaic.texts} == {"bottom"}


def test_outline_runs_around_the_object_alone():
    z, y, x = np.mgrid[-1:1:60j, -1:1:60j, -1:1:60j]
    radius = np.sqrt(x**2 + y**2 + z**2)
    foreground = (radius < 0.9) & (radius > 0.4)  # the hole inside has no outline
    mosaic = arrange(foreground, (1, 1, 1), np.eye(4))
    canvas = np.asarray(mosaic.outline(foreground))
    middle = next(s for s in mosaic.slices if s.axis == 2 and abs(s.index - 29.5) < 1)
    left, top = mosaic.corner(middle)
    width, height = mosaic.sizes[2]
    rows, columns = np.nonzero(canvas[top : top + height, left : left + width])
    distance = np.hypot(rows - (height - 1) / 2, columns - (width - 1) / 2)
    assert len(rows) > 300
    assert distance.min() > 0.9 * distance.max()
