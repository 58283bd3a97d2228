"""One photograph: bytes to gray values."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .sources import WHY, Item, MedicalImageError, refuse_medical

SHORT, LONG = 256, 320
"""A photograph is kept with its short side at 256 pixels and its long side cut to at most 320."""
LEAST = 64
"""Photographs with a shorter side than this are left out, pixels."""
MOST = 100_000_000
"""Photographs of more pixels than this are left out: they would need gigabytes."""
STRIP = 8
"""Photographs with a long side of more than so many short ones are left out."""
UNREADABLE = (OSError, EOFError, SyntaxError, ValueError, struct.error, zlib.error, Image.DecompressionBombError)
"""What Pillow raises for damaged files, and `decode` for those it leaves out."""


def decode(item: Item) -> NDArray[np.uint8]:
    """Read and decode one photograph.

    Colour becomes luminance (CMYK included); what is transparent becomes black.

    Parameters
    ----------
    item : Item

    Returns
    -------
    ndarray, shape (height, width), uint8
        The short side is 256, the long one at most 320.

    Raises
    ------
    MedicalImageError
        It has one channel of more than 8 bits, or is a DICOM or NIfTI image by content.
    ValueError
        It is too small, too large or a strip.
    OSError
        It cannot be read; see `UNREADABLE` for what else damaged files raise.
    """
    return gray_of(item.read(), item.name)


def gray_of(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decode a photograph that is in memory; see `decode`.

    Parameters
    ----------
    data : bytes
        The file's content.
    name : str
        For messages.

    Returns
    -------
    ndarray, shape (height, width), uint8
        The short side is 256, the long one at most 320.
    """
    refuse_medical(name, data[:352])
    with Image.open(io.BytesIO(data)) as image:
        if image.mode.startswith(("I", "F")):
            raise MedicalImageError(
                f"{name} has more than 8 bits a pixel (mode {image.mode}), as medical images have: {WHY}"
            )
        width, height = image.size
        if min(width, height) < LEAST or width * height > MOST or max(width, height) > STRIP * min(width, height):
            raise ValueError(f"{width}x{height} pixels")
        image.draft("L", (SHORT, SHORT))
        gray = luminance(image)
    scale = SHORT / min(gray.size)
    size = [max(SHORT, round(s * scale)) for s in gray.size]
    if tuple(size) != gray.size:
        gray = gray.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    left, top = (max(0, s - LONG) // 2 for s in size)
    return np.asarray(gray)[top : top + LONG, left : left + LONG]


def luminance(image: Image.Image) -> Image.Image:
    """Turn an image of any mode to gray, upon black where it is transparent."""
    if image.mode == "CMYK":
        return image.convert("RGB").convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return image.convert("L")
