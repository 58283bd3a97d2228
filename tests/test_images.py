from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.cmdline import convert

from getnet_bids.errors import GetNetError
from getnet_bids.files import atomic
from getnet_bids.images import decode, like, magnitudes, read, voxel_size, write
from getnet_bids.series import volumes_in


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_nibabel_reads_back_what_was_written(tmp_path, image, ending, kind):
    image = kind.from_image(image)
    data = np.random.default_rng(0).normal(size=image.shape).astype(np.float32)
    write(like(image, data), tmp_path / f"a{ending}")
    back = nib.load(tmp_path / f"a{ending}")
    assert type(back) is kind
    assert back.get_data_dtype() == np.float32
    np.testing.assert_array_equal(np.asanyarray(back.dataobj), data)


@pytest.mark.parametrize("codes", [(0, 0), (1, 0), (0, 2), (2, 4), (3, 3)])
def test_header_is_kept(tmp_path, image, codes):
    image.set_qform(image.affine, code=codes[0])
    image.set_sform(image.affine, code=codes[1])
    image.to_filename(tmp_path / "in.nii.gz")
    source = nib.load(tmp_path / "in.nii.gz")
    write(like(read(tmp_path / "in.nii.gz"), np.ones(image.shape)), tmp_path / "out.nii.gz")
    back = nib.load(tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(back.affine, source.affine)
    changed = {"datatype", "bitpix", "cal_max", "intent_code", "intent_p1", "intent_name"}
    for key in source.header:
        if key not in changed and not key.startswith("scl_"):
            np.testing.assert_array_equal(back.header[key], source.header[key], err_msg=key)


def test_what_told_about_the_values_is_reset(tmp_path, image):
    write(like(image, np.ones(image.shape)), tmp_path / "out.nii")
    raw = (tmp_path / "out.nii").read_bytes()
    assert struct.unpack_from("<2f", raw, 112) == (1.0, 0.0)  # scl_slope, scl_inter
    header = nib.load(tmp_path / "out.nii").header
    assert header.get_intent() == ("none", (), "")
    assert (header["cal_min"], header["cal_max"]) == (0, 0)


def test_scale_and_intercept_are_honoured(tmp_path):
    stored = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    image = nib.Nifti1Image(stored, np.eye(4))
    image.header.set_slope_inter(0.5, -3)
    image.to_filename(tmp_path / "a.nii.gz")
    on_disk = bytearray(gzip.decompress((tmp_path / "a.nii.gz").read_bytes()))
    struct.pack_into("<2f", on_disk, 112, 0.5, -3)  # nibabel's own writing may choose another pair
    data = np.frombuffer(bytes(on_disk)[352:], np.int16).reshape(2, 3, 4, order="F")
    back = decode(bytes(on_disk), "a.nii")
    assert back.get_fdata(dtype=np.float32).dtype == np.float32
    np.testing.assert_allclose(magnitudes(back), data * 0.5 - 3)


def test_big_endian_is_read_and_kept(tmp_path):
    data = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    image = nib.Nifti1Image(data, np.eye(4), nib.Nifti1Header(endianness=">"))
    image.to_filename(tmp_path / "a.nii")
    write(like(read(tmp_path / "a.nii"), data), tmp_path / "b.nii.gz")
    back = nib.load(tmp_path / "b.nii.gz")
    assert back.header.endianness == ">"
    np.testing.assert_array_equal(np.asanyarray(back.dataobj), data)


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 1), (5, 6, 7), (5, 6, 7, 3), (5, 6, 1, 3)])
def test_dimensions_are_kept(tmp_path, shape):
    data = np.random.default_rng(0).random(shape, dtype=np.float32)
    nib.Nifti1Image(data, np.eye(4)).to_filename(tmp_path / "a.nii.gz")
    image = read(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(magnitudes(image), data)
    write(like(image, data), tmp_path / "b.nii.gz")
    assert nib.load(tmp_path / "b.nii.gz").shape == shape


@pytest.mark.parametrize("ending", [".mgh", ".mgz"])
def test_mgh_round_trip_and_to_nifti(tmp_path, image, ending):
    data = np.random.default_rng(0).random(image.shape, dtype=np.float32)
    nib.MGHImage(data, image.affine).to_filename(tmp_path / f"a{ending}")
    read_in = read(tmp_path / f"a{ending}")
    for out in (f"b{ending}", "b.nii.gz"):
        write(like(read_in, data), tmp_path / out)
        back = nib.load(tmp_path / out)
        np.testing.assert_array_equal(np.asanyarray(back.dataobj), data)
        np.testing.assert_allclose(back.affine, image.affine, atol=1e-4)
    assert (back.header["qform_code"], back.header["sform_code"]) == (1, 1)
    assert back.header.get_xyzt_units()[0] == "mm"


def test_nifti_to_mgh(tmp_path, image):
    write(like(image, image.get_fdata()), tmp_path / "a.mgz")
    back = nib.load(tmp_path / "a.mgz")
    np.testing.assert_array_equal(np.asanyarray(back.dataobj), image.get_fdata())
    np.testing.assert_allclose(back.affine, image.affine, atol=1e-4)


def test_the_same_image_gives_the_same_bytes(tmp_path, image):
    corrected = like(image, image.get_fdata())
    write(corrected, tmp_path / "a.nii.gz")
    write(corrected, tmp_path / "other-name.nii.gz")
    data = (tmp_path / "a.nii.gz").read_bytes()
    assert data == (tmp_path / "other-name.nii.gz").read_bytes()
    assert data[3] == 0  # gzip flags: no name
    assert data[4:8] == b"\0\0\0\0"  # no time


def packed(image: nib.Nifti1Image) -> bytes:
    return gzip.compress(image.to_bytes())


def damage(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda data: b"", "empty"),
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: data[:-4], "truncated"),
        (lambda data: data[:5], "truncated"),
        (lambda data: damage(data, len(data) // 2), "damaged gzip data"),
        (lambda data: damage(data, len(data) - 6), "damaged gzip data"),  # in the checksum
        (lambda data: gzip.compress(gzip.decompress(data)[:-100]), "truncated"),
        (lambda data: gzip.decompress(data)[:200], "header"),
        (lambda data: gzip.decompress(data)[:344] + b"abcd" + gzip.decompress(data)[348:], "header"),
        (lambda data: b"not an image at all", "neither NIfTI nor MGH"),
        (lambda data: b"/annex/objects/SHA256E-s123--ab.nii.gz\n", "datalad get"),
    ],
)
def test_a_bad_file_gives_one_clear_line(tmp_path, image, spoil, reason):
    path = tmp_path / "bad.nii.gz"
    path.write_bytes(spoil(packed(image)))
    with pytest.raises(GetNetError, match=reason) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_gzip_in_several_members_is_read(tmp_path, image):
    data = image.to_bytes()
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(data[:1000]) + gzip.compress(data[1000:]))
    np.testing.assert_array_equal(magnitudes(read(tmp_path / "a.nii.gz")), image.get_fdata())


@pytest.mark.parametrize(
    ("dtype", "shape", "word"),
    [
        (np.complex64, (4, 4, 4), "complex"),
        ([("R", "u1"), ("G", "u1"), ("B", "u1")], (4, 4, 4), "colour"),
        (np.float32, (4, 4, 4, 1, 3), "dimensions"),
        (np.float32, (4,), "dimensions"),
    ],
)
def test_data_that_are_no_magnitudes_are_refused(tmp_path, dtype, shape, word):
    nib.Nifti1Image(np.zeros(shape, dtype), np.eye(4)).to_filename(tmp_path / "a.nii")
    with pytest.raises(GetNetError, match=word):
        read(tmp_path / "a.nii")


@pytest.mark.parametrize(("unit", "scale"), [("mm", 1), ("unknown", 1), ("meter", 1), ("micron", 1e-3)])
def test_voxel_size_is_in_mm(unit, scale):
    image = nib.Nifti1Image(np.zeros((4, 4, 4), np.float32), np.diag([2.0, 3, 4, 1]))
    image.header.set_xyzt_units(unit)
    if unit == "meter":
        image.header["pixdim"][1:4] = [2e-3, 3e-3, 4e-3]
    np.testing.assert_allclose(voxel_size(image), np.array([2, 3, 4]) * scale, rtol=1e-6)
    if unit == "unknown":
        assert like(image, np.ones((4, 4, 4))).header.get_xyzt_units()[0] == "mm"


def test_metres_of_voxels_are_mm():
    image = nib.Nifti1Image(np.zeros((4, 4, 4), np.float32), np.diag([2.0, 3, 4, 1]))
    image.header.set_xyzt_units("meter")
    assert voxel_size(image) == (2.0, 3.0, 4.0)


def test_voxel_size_comes_from_the_affine_where_the_header_has_none():
    image = nib.Nifti1Image(np.zeros((4, 4, 1), np.float32), np.diag([2.0, 3, 0.5, 1]))
    image.header["pixdim"][1:4] = [0, np.nan, 0]
    assert voxel_size(image) == (2.0, 3.0, 0.5)


def test_a_single_slice_needs_no_thickness():
    image = nib.Nifti1Image(np.zeros((4, 4, 1), np.float32), np.diag([2.0, 3, 1, 1]))
    image.header["pixdim"][3] = 0
    image._affine[:, 2] = 0
    assert voxel_size(image) == (2.0, 3.0, 3.0)
    image.header["pixdim"][1] = 0
    image._affine[:, 0] = 0
    with pytest.raises(GetNetError, match="voxel size"):
        voxel_size(image)


def test_an_interrupted_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write_half() -> None:
        with atomic(path) as file:
            file.write(b"half of the new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_write_leaves_nothing(tmp_path, image, monkeypatch):
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(like(image, image.get_fdata()), tmp_path / "a.nii.gz")
    assert not list(tmp_path.iterdir())


def test_a_written_file_has_the_usual_permissions(tmp_path, image):
    write(like(image, image.get_fdata()), tmp_path / "a.nii")
    Path(tmp_path / "b").touch()
    assert (tmp_path / "a.nii").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_an_unknown_extension_is_refused(tmp_path, image):
    with pytest.raises(ValueError, match="must end in"):
        write(image, tmp_path / "a.img")


def analyze_pair(folder, kind):
    """Write a pair of header and voxels."""
    kind(np.ones((5, 6, 7), np.int16), np.eye(4)).to_filename(folder / "scan.img")
    return folder / "scan.hdr", folder / "scan.img"


@pytest.mark.parametrize("kind", [nib.AnalyzeImage, nib.Spm99AnalyzeImage, nib.Spm2AnalyzeImage, nib.Nifti1Pair])
def test_a_pair_is_told_to_be_converted(tmp_path, kind):
    for path in analyze_pair(tmp_path, kind):
        with pytest.raises(GetNetError, match=r"pair.*nib-convert"):
            read(path)
    (tmp_path / "scan.hdr").rename(tmp_path / "renamed.nii")
    with pytest.raises(GetNetError, match=r"header of a.* pair"):
        read(tmp_path / "renamed.nii")


def test_the_remedy_for_a_pair_works(tmp_path):
    header, _ = analyze_pair(tmp_path, nib.AnalyzeImage)
    convert.main([str(header), str(tmp_path / "x.nii.gz")])
    assert read(tmp_path / "x.nii.gz").shape == (5, 6, 7)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"../../.git/annex/objects/Xk/0w/MD5E-s11--5eb6.nii.gz/MD5E-s11--5eb6.nii.gz", "datalad get"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
        (b"\n<!DOCTYPE html>\n<html><head><title>Sign in</title>", "a web page"),
        (bytes(128) + b"DICM" + bytes(500), "a DICOM file"),
        (b"NRRD0004\ntype: short\n", "an NRRD image"),
        (b"ObjectType = Image\nNDims = 3\n", "a MetaImage"),
        (b"PK\x03\x04" + bytes(400), "a zip archive"),
        (b"BZh91AY&SY" + bytes(400), "bzip2"),
        (b"\x89HDF\r\n\x1a\n" + bytes(400), "MINC 2"),
        (bytes(257) + b"ustar" + bytes(400), "a tar archive"),
        (b'{"message": "Not Found"}', "text, neither NIfTI nor MGH"),
        (b"../../sourcedata/sub-01_T1w.nii.gz", "text, .* a link"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_what_another_file_is_and_what_to_do(tmp_path, content, said, packed):
    (tmp_path / "scan.nii.gz").write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(GetNetError, match=said):
        volumes_in(tmp_path / "scan.nii.gz")
    with pytest.raises(GetNetError, match=said) as caught:
        read(tmp_path / "scan.nii.gz")
    assert str(caught.value).startswith(str(tmp_path / "scan.nii.gz"))
    assert "; " in caught.value.reason
