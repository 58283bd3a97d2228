"""One photograph of any kind to gray values."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image

from getnet_bids.training.sources import UNREADABLE, Item, MedicalImageError, decode

from .conftest import jpeg, scene


def decoded(tmp_path: Path, image: Image.Image | bytes, kind: str = "PNG", **kwargs) -> np.ndarray:
    if not isinstance(image, bytes):
        out = io.BytesIO()
        image.save(out, kind, **kwargs)
        image = out.getvalue()
    path = tmp_path / "photograph"
    path.write_bytes(image)
    return decode(Item("photograph", str(path)))


@pytest.mark.parametrize("shape", [(256, 256), (300, 400), (1200, 700), (64, 64), (256, 2000)])
def test_sizes(tmp_path: Path, shape: tuple[int, int]) -> None:
    out = decoded(tmp_path, Image.fromarray(scene(0, *shape)))
    assert out.dtype == np.uint8
    assert min(out.shape) == 256
    assert max(out.shape) <= 320


def test_gray_of_the_right_size_is_untouched(tmp_path: Path) -> None:
    array = scene(1, 256, 300)
    assert np.array_equal(decoded(tmp_path, Image.fromarray(array)), array)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_as_bright_as_rgb(tmp_path: Path, kind: str) -> None:
    rgb = Image.fromarray(np.stack([scene(2), scene(3), scene(4)], 2))
    expected = np.asarray(rgb.resize((295, 256)).convert("L"), float)
    out = decoded(tmp_path, rgb.convert("CMYK"), kind).astype(float)
    assert abs(out.mean() - expected.mean()) < 4
    assert np.corrcoef(out.ravel(), expected[:, : out.shape[1]].ravel())[0, 1] > 0.95


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_is_black(tmp_path: Path, mode: str) -> None:
    rgba = np.full((256, 256, 4), 200, np.uint8)
    rgba[:, :, 3] = 255
    rgba[:100, :, 3] = 0
    image = Image.fromarray(rgba)
    if mode == "P":
        # Palette entry 0 is transparent, entry 1 is not: transparency as bytes.
        image = Image.fromarray((np.arange(256)[:, None] >= 100).astype(np.uint8).repeat(256, 1), "P")
        image.putpalette([200] * 6)
        image.info["transparency"] = bytes([0, 255])
    else:
        image = image.convert(mode)
    out = decoded(tmp_path, image)
    assert out[:100].max() == 0
    assert abs(int(out[100:].mean()) - 200) <= 1


old = pytest.mark.skipif(PIL.__version__ < "13", reason="this Pillow cannot read a YCbCr TIFF that it wrote itself")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", pytest.param("YCbCr", marks=old)])
def test_other_modes(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(np.stack([scene(2)] * 3, 2)).convert("L" if mode == "1" else "RGB")
    assert decoded(tmp_path, image.convert(mode), "TIFF").shape == (256, 295)


@pytest.mark.parametrize(
    ("dtype", "kind"), [(np.uint16, "PNG"), (np.uint16, "TIFF"), (np.int32, "TIFF"), (np.float32, "TIFF")]
)
def test_more_than_8_bits_are_refused(tmp_path: Path, dtype: type, kind: str) -> None:
    with pytest.raises(MedicalImageError, match="more than 8 bits per pixel"):
        decoded(tmp_path, Image.fromarray(scene(0).astype(dtype) * 16), kind)


def test_dicom_named_as_a_photograph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MedicalImageError, match="DICOM"):
        decoded(tmp_path, bytes(128) + b"DICM" + bytes(1000))


@pytest.mark.parametrize("shape", [(63, 300), (64, 600)])
def test_tiny_and_strips(tmp_path: Path, shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"{shape[1]}x{shape[0]} pixels"):
        decoded(tmp_path, Image.fromarray(scene(0, *shape)))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_huge(tmp_path: Path) -> None:
    """A picture that unpacks to more than memory should hold is left out before it is unpacked."""
    with pytest.raises(ValueError, match="12000x12000 pixels"):
        decoded(tmp_path, Image.new("1", (12000, 12000)))
    with pytest.raises(UNREADABLE):
        decoded(tmp_path, Image.new("1", (20000, 20000)))


@pytest.mark.parametrize("data", [b"", b"text", jpeg(scene(0))[:2000], b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_damaged(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UNREADABLE):
        decoded(tmp_path, data)


def test_text_named_as_a_photograph_is_told_from_a_photograph(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not an image of a known format"):
        decoded(tmp_path, b"a shopping list")
