"""What holds of every image, whatever its shape, spacing, type and orientation."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import getnet_bids
from getnet_bids.errors import GetNetError
from getnet_bids.images import magnitudes, read, voxel_size, write
from getnet_bids.masks import mask_for
from tests.phantoms.ellipsoid import scan

from .images import check, nifti

few, many = (settings(max_examples=n, derandomize=True, deadline=None, database=None) for n in (40, 100))
TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", ">u2", ">i2", ">f4", ">f8")
LARGEST = {"u1": 255, "i1": 127}
sizes = st.floats(0.1, 12.0)
sides = st.integers(1, 18)
shapes = st.one_of(
    st.tuples(sides, sides),
    st.tuples(sides, sides, sides),
    st.tuples(sides, sides, sides, st.integers(1, 3)),
)


@st.composite
def affines(draw):
    """Return an affine of any orientation: axes in any order and direction, a little turned, sheared and moved."""
    order, signs = draw(st.permutations(range(3))), draw(st.tuples(*[st.sampled_from((-1, 1))] * 3))
    turned = np.eye(3)[list(order)] * signs
    turn = draw(st.lists(st.floats(-0.2, 0.2), min_size=9, max_size=9))
    matrix = (turned + np.reshape(turn, (3, 3))) @ np.diag(draw(st.tuples(sizes, sizes, sizes)))
    return nib.affines.from_matvec(matrix, draw(st.tuples(*[st.floats(-500, 500)] * 3)))


@st.composite
def images(draw):
    """Return an image of an object under a gain, in noise, of any type."""
    shape, kind = draw(shapes), draw(st.sampled_from(TYPES))
    data = scan(shape[:3], noise=draw(st.sampled_from((0.0, 5.0, 50.0))))
    data = np.stack([data * (1 + i) for i in range(shape[3])], 3) if len(shape) > 3 else data
    top = LARGEST.get(kind.lstrip(">"), 30_000) if kind[-2] in "ui" else draw(st.sampled_from((1e-20, 1.0, 1e20)))
    data = data / max(data.max(), 1e-30) * top + draw(st.sampled_from((0.0, -0.1))) * top * (kind[-2] != "u")
    return nifti(data.astype(kind), draw(affines()))


@few
@given(images())
@example(nifti(scan((18, 18, 1))))
@example(nifti(np.full((9, 9, 9), 200, np.uint8)))
def test_a_sane_field_or_one_line(image):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "in.nii")
        image.to_filename(path)
        try:
            result = getnet_bids.correct(path, device="cpu")
        except ValueError as error:
            assert "\n" not in str(error)  # noqa: PT017
            data = image.get_fdata()
            negative = -np.minimum(data, 0).sum() / np.abs(data).sum()
            assert sorted(image.shape[:3])[-2] < 12 or negative > 0.08
            return
        check(path, result)
        for ending in (".nii.gz", ".mgz"):
            out = Path(folder, f"out{ending}")
            write(result.image, out)
            again = nib.load(out)
            np.testing.assert_array_equal(np.asarray(again.dataobj).ravel(), np.asarray(result.image.dataobj).ravel())
            np.testing.assert_allclose(again.affine, image.affine, atol=2e-3)


@many
@given(shapes, st.sampled_from(TYPES), affines(), st.sampled_from((".nii", ".nii.gz")), st.integers(0, 2**32 - 1))
def test_what_is_read_is_what_nibabel_reads(shape, kind, matrix, ending, seed):
    rng = np.random.default_rng(seed)
    data = rng.normal(0, 40, shape).astype(kind) if kind[-2] != "u" else rng.integers(0, 200, shape).astype(kind)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a{ending}")
        nifti(data, matrix).to_filename(path)
        image, theirs = read(path), nib.load(path)
        np.testing.assert_array_equal(magnitudes(image), theirs.get_fdata(dtype=np.float32))
        np.testing.assert_array_equal(image.affine, theirs.affine)
        # In the order of the axes, from the affine alone.
        found = np.linalg.norm(theirs.affine[:3, :3], axis=0)[: min(len(shape), 3)]
        np.testing.assert_allclose(voxel_size(image), found, rtol=1e-4)


@many
@given(affines(), st.tuples(*[st.integers(2, 30)] * 3), st.tuples(*[st.floats(-3, 3)] * 3))
def test_a_mask_may_lie_half_a_voxel_off(matrix, shape, voxels):
    moved = matrix.copy()
    moved[:3, 3] += matrix[:3, :3] @ voxels
    image, mask = nifti(np.ones(shape, np.float32), matrix), nifti(np.ones(shape, np.uint8), moved)
    off = np.linalg.norm(voxels)
    if off < 0.499:
        assert mask_for(image, mask).all()
    elif off > 0.501:
        with pytest.raises(GetNetError, match=f"up to ({off - 0.01:.1f}|{off + 0.01:.1f}) voxels off"):
            mask_for(image, mask)
