"""Every kind of bad image: corrected with a sane field, or refused with one line that says what to do."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import getnet_bids
from getnet_bids.cli.one import main
from getnet_bids.headers import header_reasons
from getnet_bids.images import read, write
from tests.phantoms.ellipsoid import gain, scan

from .images import (
    BIG,
    BITS,
    DIM,
    FLAT,
    INTER,
    MAGIC,
    OFFSET,
    PIXDIM,
    QFORM,
    QOFFSET,
    QUATERN,
    SFORM,
    SLOPE,
    SOLID,
    SROW,
    TYPE,
    WIDE,
    affine,
    check,
    edited,
    error_of,
    nifti,
    stored,
)


def spoiled(*edits):
    return lambda: edited(stored(), *edits)


def valued(change, shape=FLAT):
    """Return a scan with its values changed by a function."""
    return lambda: nifti(np.asarray(change(scan(shape))))


def put(value, where=np.s_[20, 18]):
    def change(data):
        data[where] = value
        return data

    return valued(change)


def coloured(count):
    return lambda: nib.Nifti1Image(np.zeros(FLAT, [(name, "u1") for name in "RGBA"[:count]]), np.eye(4))


def rows(matrix):
    """Return the edits that put a matrix into the sform."""
    return [(SROW + 4 * i, "f", value) for i, value in enumerate(np.asarray(matrix, float)[:3].ravel())]


def noise(draw, shape=(20, 24, 22)):
    return lambda: nifti(draw(np.random.default_rng(0), shape).astype(np.float32))


SINGULAR = np.diag([3.0, 3.0, 0.0, 1.0])
NEGATIVE = "of its signal is negative, .*correct the image first, and normalise it afterwards"
NO_SIGNAL = "fewer than 64 voxels have signal above the noise; look whether"

REFUSED = {
    "wrong magic": (spoiled((MAGIC, "4s", b"nope")), "not a valid header"),
    "no image": (lambda: b"some text\n" * 50, "text, neither NIfTI nor MGH.*give the image"),
    "zeros": (lambda: bytes(5000), "begins with zeros, as after a failed copy; copy or fetch it again"),
    "compressed twice": (lambda: gzip.compress(gzip.compress(b"x" * 400)), "compressed twice; unpack it once"),
    "empty": (lambda: b"", "empty; copy or fetch it again"),
    "first dimension 0": (spoiled((DIM + 2, "h", 0)), "dimensions with voxels are needed"),
    "second dimension -5": (spoiled((DIM + 4, "h", -5)), "dimensions with voxels are needed"),
    "two dimensions negative": (spoiled((DIM + 2, "h", -40), (DIM + 4, "h", -36)), "dimensions with voxels are needed"),
    "no dimensions": (spoiled((DIM, "h", 0)), "dimensions with voxels are needed"),
    "200 dimensions": (spoiled((DIM, "h", 200)), "not a valid header"),
    "32767 along an axis": (spoiled((DIM + 2, "h", BIG)), "truncated, or damaged: it cannot hold"),
    "32767 along three axes": (spoiled(*[(DIM + i, "h", BIG) for i in (2, 4, 6)]), "cannot hold"),
    "NaN in the affine": (spoiled((SROW, "f", np.nan)), "affine holds values that are not finite"),
    "infinity in the affine": (spoiled((SROW + 12, "f", np.inf)), "affine holds values that are not finite"),
    "NaN in the quaternion": (spoiled((SFORM, "h", 0), (QFORM, "h", 1), (QUATERN, "f", np.nan)), "not finite"),
    "NaN in the qform's offset": (spoiled((SFORM, "h", 0), (QFORM, "h", 1), (QOFFSET, "f", np.nan)), "not finite"),
    "absurd affine": (spoiled((SROW, "f", 1e38)), "affine holds values .* repair the header"),
    "voxels of a kilometre": (lambda: nifti(scan(FLAT), np.diag([1e6, 1e6, 1e6, 1])), "voxel size.*repair the header"),
    "all zeros": (valued(np.zeros_like), NO_SIGNAL),
    "all NaN": (valued(lambda data: data * np.nan), NO_SIGNAL),
    "one bright voxel": (valued(lambda data: np.where(data == data.max(), data, np.float32(0))), NO_SIGNAL),
    "all negative": (valued(np.negative), NEGATIVE),
    "negated by its header": (spoiled((SLOPE, "f", -1)), NEGATIVE),
    "shifted below 0": (valued(lambda data: data - 250), NEGATIVE),
    "scl_inter of -200": (spoiled((SLOPE, "f", 1), (INTER, "f", -200)), NEGATIVE),
    "a fill value of 3.4e38": (put(np.float32(3.4e38)), "too large for float32 once corrected"),
    "a fill value of -3.4e38": (put(np.float32(-3.4e38)), "too large for float32 once corrected"),
    "float64 beyond float32": (
        valued(lambda data: data.astype(float) * 1e300),
        "which float32 cannot hold; scale it down",
    ),
    "scl_slope beyond float32": (spoiled((SLOPE, "f", 1e38)), "which float32 cannot hold; scale it down"),
    "scl_slope infinite": (spoiled((SLOPE, "f", np.inf)), "its scl_slope is infinite; set it to 1"),
    "scl_slope -infinite": (spoiled((SLOPE, "f", -np.inf)), "its scl_slope is infinite; set it to 1"),
    "scl_inter NaN": (spoiled((SLOPE, "f", 1), (INTER, "f", np.nan)), "not a valid header"),
    "scl_inter swamps the values": (spoiled((SLOPE, "f", 1), (INTER, "f", 1e9)), "take the offset out of the header"),
    "complex": (lambda: nib.Nifti1Image(scan(FLAT).astype(np.complex64), np.eye(4)), "complex.*give the magnitude"),
    "RGB": (coloured(3), "colour numbers; give the magnitude image"),
    "RGBA": (coloured(4), "colour numbers; give the magnitude image"),
    "one bit a voxel": (spoiled((TYPE, "h", 1)), "not a valid header"),
    "unknown type": (spoiled((TYPE, "h", 9999)), "not a valid header"),
    "vox_offset 0": (spoiled((OFFSET, "f", 0)), "vox_offset is 0, inside the header; set it to 352"),
    "vox_offset inside the header": (spoiled((OFFSET, "f", 100)), "not a valid header"),
    "vox_offset behind the end": (spoiled((OFFSET, "f", 1e9)), "truncated, or damaged"),
    "vox_offset one too far": (spoiled((OFFSET, "f", 353)), "truncated"),
    "vox_offset NaN": (spoiled((OFFSET, "f", np.nan)), "not a valid header"),
    "5-D": (lambda: nifti(np.ones((8, 8, 8, 1, 3), np.float32)), "two, three or four dimensions"),
    "a line": (lambda: nifti(scan((200, 1, 1))), "more than one voxel wide along two axes"),
    "3x3x3": (lambda: nifti(scan((3, 3, 3))), "at least 64 voxels, not shape"),
    "2x2x2": (lambda: nifti(scan((2, 2, 2))), "at least 64 voxels, not shape"),
    "noise of magnitudes": (noise(lambda rng, shape: rng.rayleigh(10, shape)), NO_SIGNAL),
    "noise around 0": (noise(lambda rng, shape: rng.normal(0, 10, shape)), NEGATIVE),
    "noise in a slice": (noise(lambda rng, shape: rng.rayleigh(10, shape), (96, 80)), NO_SIGNAL),
}
"""What it is; a function that makes it, and what is said of it."""


def make(made, path: Path) -> Path:
    """Write what a row of the table makes."""
    if isinstance(made, bytes):
        path.write_bytes(made)
    else:
        made.to_filename(path)
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("what", REFUSED)
def test_refused_with_one_line(tmp_path, capsys, recwarn, what, packed):
    maker, reason = REFUSED[what]
    made = maker()
    if packed and isinstance(made, bytes):
        made = gzip.compress(made) if made else made
    path = make(made, tmp_path / f"in.nii{'.gz' if packed else ''}")
    outputs = [tmp_path / "out.nii.gz", tmp_path / "field.nii.gz"]
    assert main([str(path), str(outputs[0]), "--field", str(outputs[1]), "--device", "cpu"]) == 65
    said = capsys.readouterr().err
    assert said.startswith(f"getnet: {path}: ")
    assert said.count("\n") == 1
    assert len(said) < len(str(path)) + 200
    assert re.search(reason, said)
    assert not [warning for warning in recwarn if warning.category is not DeprecationWarning]
    assert list(tmp_path.iterdir()) == [path]


OBLIQUE = nib.affines.from_matvec([[3.5, 1, 0.5], [-1, 3.5, 1], [-0.5, -1, 3.5]], [10, 20, 30])
SHEARED = np.array([[3.0, 1.5, 0, 0], [0, 3, 0.5, 0], [0, 0, 3, 0], [0, 0, 0, 1]])

CORRECTED = {
    "NaN and infinite voxels": put([np.nan, np.inf, -np.inf], np.s_[20, 10:13, 0]),
    "a singular affine": spoiled(*rows(SINGULAR)),
    "an affine of zeros": spoiled(*rows(np.zeros((4, 4)))),
    "NaN in pixdim": spoiled((PIXDIM + 4, "f", np.nan)),
    "0 in pixdim": spoiled((PIXDIM + 4, "f", 0)),
    "absurd pixdim": spoiled((PIXDIM + 4, "f", 1e38)),
    "negative pixdim": spoiled((PIXDIM + 4, "f", -3)),
    "constant": valued(lambda data: np.full_like(data, 7)),
    "some negative values": valued(lambda data: data - 50),
    "fill value of -1000": valued(lambda data: np.where(data < 100, np.float32(-1000), data)),
    **{
        kind: valued(lambda data, kind=kind: (data / data.max() * 120).astype(kind))
        for kind in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", ">i2", ">f4")
    },
    "float32 of 1e-30": valued(lambda data: data * np.float32(1e-33)),
    "float32 of 1e36": valued(lambda data: data * np.float32(1e33)),
    "float64 of 1e-30": valued(lambda data: data.astype(float) * 1e-33),
    "scl_slope 0": spoiled((SLOPE, "f", 0)),
    "scl_slope NaN": spoiled((SLOPE, "f", np.nan)),
    "scl_slope tiny": spoiled((SLOPE, "f", 1e-30)),
    "scl_inter of -50": spoiled((SLOPE, "f", 1), (INTER, "f", -50)),
    "scl_inter of 10000": spoiled((SLOPE, "f", 1), (INTER, "f", 1e4)),
    "bits that are not the type's": spoiled((BITS, "h", 0)),
    "vox_offset with a rest": lambda: edited(stored(), (OFFSET, "f", 352.5)),
    "fourth dimension 0, not counted": spoiled((DIM + 8, "h", 0)),
    "magic of a pair": spoiled((MAGIC, "4s", b"ni1\0")),
    "2-D": lambda: nifti(scan((40, 36)), np.diag([4.0, 4, 4, 1])),
    "first axis of 1 voxel": lambda: nifti(scan((1, 40, 36))),
    "second axis of 1 voxel": lambda: nifti(scan((40, 1, 36))),
    "4-D of one slice": lambda: nifti(np.repeat(scan((40, 36, 1, 1)), 5, 3)),
    "7-D of one volume": lambda: nifti(scan((40, 36, 1))[..., None, None, None, None]),
    "8x8x8": lambda: nifti(scan((8, 8, 8))),
    "1,000 volumes": lambda: nifti(np.repeat(scan((16, 14, 3))[..., None], 1000, 3)),
}


@pytest.mark.parametrize("what", CORRECTED)
def test_corrected_sanely(tmp_path, recwarn, what):
    path = make(CORRECTED[what](), tmp_path / "in.nii")
    result = getnet_bids.correct(path, device="cpu")
    check(path, result)
    write(result.image, tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(nib.load(tmp_path / "out.nii.gz").affine, nib.load(path).affine)
    assert not [warning for warning in recwarn if "getnet_bids" in warning.filename]


def solid(*edits):
    return lambda: edited(nifti(scan(SOLID)), *edits)


COLLAPSED = [[4.0, 0, 0, 0], [0, 4.0, 0, 0], [0, 0, 0, 0]]
HEADERS = {
    "a row of zeros in the sform": (solid(*rows(COLLAPSED)), "its affine puts different voxels into one place"),
    "a sform of zeros": (solid(*rows(np.zeros((3, 4)))), "its affine puts different voxels into one place"),
    "pixdim NaN": (
        solid((PIXDIM + 8, "f", np.nan)),
        "its pixdim holds .*nan.*: the voxel sizes of the affine",
    ),
    "pixdim infinite": (solid((PIXDIM + 8, "f", np.inf)), "its pixdim holds .*inf.*: the voxel sizes of the affine"),
    "scl_slope NaN": (solid((SLOPE, "f", np.nan)), "its scl_slope is not a number: taken as no scaling"),
}


@pytest.mark.parametrize("what", HEADERS)
def test_a_header_that_is_accepted_is_named(tmp_path, capsys, what):
    maker, reason = HEADERS[what]
    path = make(maker(), tmp_path / "in.nii")
    assert main([str(path), str(tmp_path / "out.nii"), "--device", "cpu"]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if re.search(reason, line)]
    assert len(said) == 1
    assert str(path) in said[0]
    assert re.search("repair|set it", said[0])


@pytest.mark.parametrize("edits", [(), ((SLOPE, "f", 0),), ((SLOPE, "f", 2.5),)])
def test_nothing_is_said_of_ordinary_headers(tmp_path, edits):
    for maker in (solid(*edits), lambda: edited(nifti(scan(FLAT)), *edits, *rows(SINGULAR))):
        assert not header_reasons(read(make(maker(), tmp_path / "in.nii")))


def bordered():
    data, shape = scan(SOLID), gain(SOLID)
    return data[12:], shape[12:]


def cut(part, shape=SOLID):
    return lambda: (scan(shape)[part], gain(shape)[part])


def whole(shape):
    return lambda: (scan(shape), gain(shape))


FIELDS = {
    "oblique": (whole(SOLID), OBLIQUE),
    "sheared": (whole(SOLID), SHEARED),
    "anisotropic 10:1": (whole((60, 60, 8)), np.diag([1.0, 1, 10, 1])),
    "anisotropic 1:10": (whole((60, 8, 60)), np.diag([1.0, 10, 1, 1])),
    "object at the border": (bordered, None),
    "cropped field of view": (cut(np.s_[5:23, 4:20, 5:21]), None),
    **{f"slab of {n} slices": (cut(np.s_[:, :, 20 : 20 + n], WIDE), None) for n in range(2, 9)},
    **{f"slab of {n} slices along the first axis": (cut(np.s_[14 : 14 + n], WIDE), None) for n in (2, 5, 8)},
    "a spike": (lambda: (spiked(1e6), gain(SOLID)), None),
    "a spike of 1e30": (lambda: (spiked(1e30), gain(SOLID)), None),
    "a spike of -1e30": (lambda: (spiked(-1e30), gain(SOLID)), None),
    "one volume of NaN among three": (
        lambda: (np.stack([scan(SOLID), np.full(SOLID, np.nan, np.float32), scan(SOLID)], 3), gain(SOLID)),
        None,
    ),
}


def spiked(value):
    data = scan(SOLID)
    data[3, 4, 5] = value
    return data


@pytest.mark.parametrize("what", FIELDS)
def test_the_field_is_near_the_truth(tmp_path, what):
    """At most half of the shading is left, in images that are odd but hold what is needed."""
    maker, matrix = FIELDS[what]
    data, truth = maker()
    path = make(nifti(data, matrix), tmp_path / "in.nii.gz")
    result = getnet_bids.correct(path, device="cpu")
    check(path, result)
    field, where = np.asarray(result.field.dataobj), result.foreground
    assert error_of(field, truth, where) < 0.5 * error_of(np.ones_like(truth), truth, where)


@pytest.mark.slow
def test_wide_slices(tmp_path):
    data = scan((1024, 1024, 20)).astype(np.int16)
    path = make(nifti(data, np.diag([0.2, 0.2, 4, 1])), tmp_path / "in.nii.gz")
    result = getnet_bids.correct(path, device="cpu")
    check(path, result)
    truth, where = gain(data.shape), result.foreground
    assert error_of(np.asarray(result.field.dataobj), truth, where) < 0.3 * error_of(np.ones_like(truth), truth, where)


def masked(change=None, matrix=None, shape=SOLID):
    data = np.ones(shape, np.uint8)
    return lambda: nifti(data if change is None else change(data), affine(SOLID) if matrix is None else matrix)


def shifted(voxels):
    moved = affine(SOLID)
    moved[0, 3] += voxels * moved[0, 0]
    return moved


MASKS = {
    "another shape": (masked(shape=(27, 24, 26)), "resample it to the image"),
    "transposed": (masked(shape=(26, 24, 28)), "resample it to the image"),
    "shifted by 2 voxels": (masked(matrix=shifted(2)), r"lies up to 2\.0 voxels off.*resample"),
    "flipped": (masked(matrix=np.diag([-1.0, 1, 1, 1]) @ affine(SOLID)), "voxels off the image; .*else resample"),
    "a singular affine": (lambda: edited(masked()(), *rows(SINGULAR)), "voxels off the image; .*else resample"),
    "empty": (masked(np.zeros_like), "0 everywhere; leave it out"),
    "NaN alone": (masked(lambda data: np.full(data.shape, np.nan, np.float32)), "0 everywhere"),
    "only background": (lambda: nifti((scan(SOLID) < 60).astype(np.uint8)), "inside the mask; leave the mask out"),
    "one voxel": (masked(lambda data: data * (np.arange(data.size) == 9000).reshape(data.shape)), "inside the mask"),
    "complex": (lambda: nib.Nifti1Image(np.ones(SOLID, np.complex64), affine(SOLID)), "complex"),
    "two volumes": (masked(shape=(*SOLID, 2)), "has 2 volumes; give a mask of one"),
    "truncated": (lambda: masked()().to_bytes()[:-9], "truncated"),
}


@pytest.mark.parametrize("what", MASKS)
def test_bad_masks(tmp_path, capsys, what):
    maker, reason = MASKS[what]
    mask = make(maker(), tmp_path / "mask.nii")
    path = make(nifti(scan(SOLID)), tmp_path / "in.nii")
    assert main([str(path), str(tmp_path / "out.nii"), "--mask", str(mask), "--device", "cpu"]) == 65
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(reason, said)
    assert not (tmp_path / "out.nii").exists()
