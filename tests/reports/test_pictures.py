from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from getnet_bids.bids.names import Name
from getnet_bids.reports.pictures import Pictures, coloured, draw_pictures, sides_known


@pytest.fixture
def pictures(tmp_path):
    return Pictures.of(Name.parse("sub-01_T1w.nii.gz"), tmp_path)


def make(data, size=(1.0, 1.0, 1.0), **options):
    return nib.Nifti1Image(data.astype(np.float32), np.diag([*size, 1.0]), **options)


@pytest.mark.parametrize("shape", [(40, 30), (40, 30, 1), (40, 30, 5), (40, 30, 20), (40, 30, 20, 3), (5, 5, 5)])
def test_any_shape_can_be_drawn(pictures, shape):
    data = 100 + 50 * np.random.default_rng(0).random(shape)
    field = np.full(shape[:3], 1.0, np.float32)
    seen = draw_pictures(make(data), data, field, np.ones(shape[:3], bool), pictures, {})
    sizes = {Image.open(path).size for path in pictures.all}
    assert len(sizes) == 1
    assert seen["Figures"]["Columns"] >= 1
    assert seen["Measures"]["FieldMaximum"] == 1
    assert seen["Remarks"] == []


@pytest.mark.parametrize("value", [0.001, 1.0, 30000.0])
def test_constant_images(pictures, value):
    data = np.full((20, 20, 20), value)
    draw_pictures(make(data), data, np.ones(data.shape, np.float32), np.ones(data.shape, bool), pictures, {})
    assert np.asarray(Image.open(pictures.before)).max() > 150


def test_values_that_are_not_finite_or_negative(pictures):
    data = np.full((20, 20, 20), 100.0)
    data[:5], data[5:7], data[7:9] = np.nan, np.inf, -100
    inside = np.zeros(data.shape, bool)
    inside[9:] = True
    draw_pictures(make(data), data, np.ones(data.shape, np.float32), inside, pictures, {})
    assert Image.open(pictures.before).size == Image.open(pictures.after).size


def test_before_and_after_have_one_scale_and_the_field_its_own(pictures):
    x = np.linspace(-1, 1, 60)[:, None, None]
    field = np.exp(0.4 * x) * np.ones((60, 50, 40))
    field /= np.exp(np.log(field).mean())
    before, after = 500 * field, np.full(field.shape, 500.0)
    seen = draw_pictures(make(before), after, field.astype(np.float32), np.ones(field.shape, bool), pictures, {})
    low, high = seen["Figures"]["Window"]
    grey = np.asarray(Image.open(pictures.after)).astype(float)
    # What is not black is 500, apart from the labels.
    assert np.median(grey[grey > 20]) / 255 == pytest.approx((500 - low) / (high - low), abs=0.02)
    bottom, top = seen["Figures"]["FieldColours"]
    assert bottom < field.min() * 1.02
    assert top > field.max() / 1.02
    assert bottom * top == pytest.approx(1, rel=1e-4)
    # Colours turned back into values, along a row of the first axial slice.
    table = np.asarray(coloured(Image.fromarray(np.arange(1, 256, dtype=np.uint8)[None])))[0].astype(float)
    row = np.asarray(Image.open(pictures.field)).astype(float)[30:50, 20:150].mean(0)
    index = np.abs(row[:, None] - table).sum(2).argmin(1)
    shown = bottom * (top / bottom) ** (index / 254)
    expected = field[:, 0, 0][np.round((np.arange(20, 150) - 1) / 170 * 60).astype(int)]
    np.testing.assert_allclose(shown, expected, rtol=0.06)


def test_colours_rise_evenly_in_lightness():
    ramp = Image.fromarray(np.arange(1, 256, dtype=np.uint8)[None])
    linear = (np.asarray(coloured(ramp))[0] / 255) ** 2.2
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = 116 * np.cbrt(luminance) - 16
    steps = np.diff(lightness[::16])
    assert steps.min() > 0.6 * steps.mean()
    assert steps.max() < 1.5 * steps.mean()


def test_pictures_are_small_and_always_the_same(pictures, head):
    inside = head > 100
    image = make(np.kron(head, np.ones((4, 4, 4))))
    inside = np.kron(inside, np.ones((4, 4, 4), bool))
    data = image.get_fdata(dtype=np.float32)
    contents = []
    for _ in range(2):
        draw_pictures(image, data, np.ones(data.shape, np.float32), inside, pictures, {})
        contents.append([path.read_bytes() for path in pictures.all])
    assert contents[0] == contents[1]
    assert sum(map(len, contents[0])) < 200_000


def test_sides_are_known_only_from_a_code():
    image = make(np.zeros((3, 3, 3)))
    image.set_sform(image.affine, 0)
    image.set_qform(image.affine, 0)
    assert not sides_known(image)
    image.set_qform(image.affine, 1)
    assert sides_known(image)
