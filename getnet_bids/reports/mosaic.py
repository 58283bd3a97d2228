"""Draw slices of a volume side by side in anatomical orientation, with numpy and Pillow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from getnet_bids.masks import bounding_box

COLUMNS = 5
CELL = 170
"""Longest side of a slice, pixels."""
SINGLE_SLICE_WIDTH = 440
"""The same if there is only one slice."""
MAX_ENLARGEMENT = 8
"""Largest number of pixels for a voxel along its smallest side."""
MIN_SIDE = 16
"""A plane with fewer voxels than this along one side is not drawn if there is a better one."""
EDGE_MARGIN = 0.03
"""Margin around the foreground, as a fraction of its extent."""
PLANES = {2: (0, 1), 1: (0, 2), 0: (1, 2)}
"""Axial, coronal, sagittal: the axis that is cut, and the axes that point to the right and up in the picture."""
NAMES = {2: "axial", 1: "coronal", 0: "sagittal"}
LETTERS = {0: ("L", "R"), 1: ("P", "A"), 2: ("I", "S")}
"""Letters of the directions at both ends of an axis."""


@dataclass(frozen=True)
class Slice:
    """A slice and its position in the mosaic.

    Parameters
    ----------
    axis, index : int
        The anatomical axis that is cut, and the index along it.
    row, column : int
        Position in the mosaic.
    """

    axis: int
    index: int
    row: int
    column: int


@dataclass(frozen=True)
class Mosaic:
    """The layout of a mosaic: its slices and their sizes.

    Parameters
    ----------
    slices : tuple of Slice
    box : tuple of slice
        The range to draw along each anatomical axis.
    sizes : dict of tuple of int
        Width and height of a slice in pixels, by the axis that is cut.
    columns : int
    width : int
        Width of every column, pixels.
    heights : tuple of int
        Height of each row, pixels.
    texts : tuple of tuple
        Column, row, position and text of each label.
    """

    slices: tuple[Slice, ...]
    box: tuple[slice, ...]
    sizes: dict[int, tuple[int, int]]
    columns: int
    width: int
    heights: tuple[int, ...]
    texts: tuple[tuple[Slice, str, str], ...]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the mosaic, pixels."""
        return self.columns * self.width, sum(self.heights)

    @property
    def planes(self) -> list[str]:
        """Names of the planes, from top to bottom."""
        return [NAMES[axis] for axis in dict.fromkeys(s.axis for s in self.slices)]

    def corner(self, s: Slice) -> tuple[int, int]:
        """Return the upper left corner of a slice in pixels, so that it is centred in its cell."""
        width, height = self.sizes[s.axis]
        top = sum(self.heights[: s.row])
        return s.column * self.width + (self.width - width) // 2, top + (self.heights[s.row] - height) // 2

    def cut(self, volume: NDArray, s: Slice) -> NDArray:
        """Extract a slice of a volume in anatomical orientation, as rows from the top.

        For a series, the mean of its volumes is used.
        """
        right, up = PLANES[s.axis]
        where: list[slice | int] = list(self.box)
        where[s.axis] = s.index
        pixels = volume[tuple(where)]
        if pixels.ndim == 3:
            pixels = pixels.mean(2)
        return pixels.T[::-1] if right < up else pixels[:, ::-1]

    def draw(self, volume: NDArray, to_bytes: Callable[[NDArray], NDArray[np.uint8]]) -> Image.Image:
        """Draw a volume's slices.

        Parameters
        ----------
        volume : ndarray
            In anatomical orientation.
        to_bytes : callable
            Converts values to gray levels.

        Returns
        -------
        Image
            Gray picture.
        """
        canvas = Image.new("L", self.size)
        for s in self.slices:
            pixels = Image.fromarray(np.ascontiguousarray(to_bytes(self.cut(volume, s))))
            canvas.paste(pixels.resize(self.sizes[s.axis], Image.Resampling.BILINEAR), self.corner(s))
        return canvas

    def outline(self, foreground: NDArray[np.bool_]) -> Image.Image:
        """Draw the foreground's outer border in each slice, as a picture that is empty elsewhere.

        Parameters
        ----------
        foreground : ndarray of bool
            In anatomical orientation.

        Returns
        -------
        Image
            255 on the border and 0 elsewhere.
        """

        def border(pixels: Image.Image) -> NDArray[np.uint8]:
            outside = grow_mask(~grow_mask(np.pad(np.asarray(pixels) >= 128, 4)))  # complement of the closed mask
            pieces, _ = ndimage.label(outside)
            inside = pieces != pieces[0, 0]
            within = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
            return (inside[1:-1, 1:-1] & ~within)[1:-1, 1:-1].astype(np.uint8) * 255

        canvas = Image.new("L", self.size)
        for s in self.slices:
            pixels = Image.fromarray(np.ascontiguousarray(self.cut(foreground, s)).astype(np.uint8) * 255)
            pixels = pixels.resize(self.sizes[s.axis], Image.Resampling.BILINEAR)
            canvas.paste(Image.fromarray(border(pixels)), self.corner(s))
        return canvas

    def write_labels(self, canvas: Image.Image) -> None:
        """Write the sides and positions into a picture."""
        letters, shape = self.labels
        canvas.paste(letters.convert(canvas.mode), mask=shape)

    @cached_property
    def labels(self) -> tuple[Image.Image, Image.Image]:
        """Draw white letters with a black border; return them and the shape of both together."""
        letters, shape = Image.new("L", self.size), Image.new("L", self.size)
        for s, place, text in self.texts:
            top, left = sum(self.heights[: s.row]), s.column * self.width
            bottom, right = top + self.heights[s.row], left + self.width
            middle = (top + bottom) // 2
            x, y = {
                "left": (left + 3, middle),
                "right": (right - 3, middle),
                "bottom": (left + 3, bottom - 3),
            }[place]
            anchor = {"left": "lm", "right": "rm", "bottom": "lb"}[place]
            for canvas, (stamp, (across, down)) in zip((letters, shape), text_and_outline(text, anchor), strict=True):
                canvas.paste(255, (x + across, y + down), stamp)
        return letters, shape


@lru_cache(maxsize=1024)
def text_and_outline(text: str, anchor: str) -> tuple[tuple[Image.Image, tuple[int, int]], ...]:
    """Draw a text, and its shape with a border of one pixel; return both with their offsets from the anchor."""
    drawn = []
    for fill in (0, 255):
        left, top, right, bottom = label_font().getbbox(text, anchor=anchor, stroke_width=1)
        corner = int(left) - 1, int(top) - 1
        canvas = Image.new("L", (int(right) - corner[0] + 1, int(bottom) - corner[1] + 1))
        place = -corner[0], -corner[1]
        ImageDraw.Draw(canvas).text(place, text, 255, label_font(), anchor, stroke_width=1, stroke_fill=fill)
        drawn.append((canvas, corner))
    return tuple(drawn)


def grow_mask(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Dilate a mask by one pixel to all eight sides, and cut off its border."""
    rows = mask[:-2] | mask[1:-1] | mask[2:]
    return rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]


@lru_cache(maxsize=1)
def label_font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font of the labels."""
    return ImageFont.load_default(12)


def orientation(affine: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return nibabel's orientation of an affine's axes; that of the array itself if the affine does not determine it.

    Examples
    --------
    >>> orientation(np.diag([-2.0, 2, 2, 1])).tolist()
    [[0.0, -1.0], [1.0, 1.0], [2.0, 1.0]]
    """
    axes = nib.io_orientation(affine)
    return axes if np.isfinite(axes).all() else np.array([[0.0, 1], [1, 1], [2, 1]])


def anatomical(volume: NDArray, affine: NDArray[np.floating]) -> NDArray:
    """Return a view of a volume whose axes point as closely as possible to the right, the front and the top.

    Parameters
    ----------
    volume : ndarray, shape (X, Y), (X, Y, Z) or (X, Y, Z, T)
    affine : ndarray, shape (4, 4)

    Returns
    -------
    ndarray, three or four dimensions
    """
    solid = volume[:, :, None] if volume.ndim == 2 else volume
    return nib.orientations.apply_orientation(solid, orientation(affine))


def arrange(
    foreground: NDArray[np.bool_], voxel_size: tuple[float, ...], affine: NDArray[np.floating], sides_known: bool = True
) -> Mosaic:
    """Choose the slices of a volume: in each useful plane, at several positions through the foreground.

    Parameters
    ----------
    foreground : ndarray of bool, shape (X, Y) or (X, Y, Z)
        In the orientation of the file; at least one voxel.
    voxel_size : tuple of float
        Voxel size along the file's axes, mm.
    affine : ndarray, shape (4, 4)
        Affine of the file.
    sides_known : bool
        Whether the affine says which side is left.

    Returns
    -------
    Mosaic
    """
    axes = orientation(affine)
    order = np.argsort(axes[:, 0])
    sizes = np.array([*voxel_size, max(voxel_size)][:3])[order]
    solid = anatomical(foreground, affine)
    extents = [(part.start, part.stop - 1) for part in bounding_box(solid)]
    box = tuple(slice(*with_margin(low, high, n)) for (low, high), n in zip(extents, solid.shape, strict=True))
    voxels = np.array([part.stop - part.start for part in box])
    millimetres = voxels * sizes

    worth = [axis for axis, sides in PLANES.items() if min(voxels[list(sides)]) >= MIN_SIDE]
    most = max(PLANES, key=lambda axis: (np.prod(voxels[list(PLANES[axis])]), axis))
    planes = worth or [most]
    rows: list[list[tuple[int, int]]] = []
    for axis in planes:
        places = positions(*extents[axis], COLUMNS if len(planes) > 1 else 2 * COLUMNS)
        rows += [[(axis, i) for i in places[k : k + COLUMNS]] for k in range(0, len(places), COLUMNS)]
    slices = tuple(Slice(*cell, row, column) for row, line in enumerate(rows) for column, cell in enumerate(line))

    side = SINGLE_SLICE_WIDTH if len(slices) == 1 else CELL
    longest = max(millimetres[list(PLANES[axis])].max() for axis in planes)
    scale = min(side / longest, MAX_ENLARGEMENT / sizes.min())
    drawn = {
        axis: (max(1, round(millimetres[right] * scale)), max(1, round(millimetres[up] * scale)))
        for axis, (right, up) in PLANES.items()
        if axis in planes
    }
    to_world = affine @ nib.orientations.inv_ornt_aff(axes, np.array((*foreground.shape, 1))[:3])
    middle = np.array([(low + high) / 2 for low, high in extents])
    texts = []
    for s in slices:
        right = PLANES[s.axis][0]
        if sides_known:
            texts += [(s, "left", LETTERS[right][0]), (s, "right", LETTERS[right][1])]
            point = middle.copy()
            point[s.axis] = s.index
            texts.append((s, "bottom", f"{'xyz'[s.axis]} {nib.affines.apply_affine(to_world, point)[s.axis]:.0f}"))
        else:
            texts.append((s, "bottom", f"slice {s.index + 1}"))
    return Mosaic(
        slices,
        box,
        drawn,
        max(len(line) for line in rows),
        max(width for width, _ in drawn.values()) + 2,
        tuple(drawn[line[0][0]][1] + 2 for line in rows),
        tuple(texts),
    )


def with_margin(low: int, high: int, n: int) -> tuple[int, int]:
    """Return an extent with a margin on both sides.

    Examples
    --------
    >>> with_margin(10, 109, 200), with_margin(0, 99, 100)
    ((7, 113), (0, 100))
    """
    margin = int(np.ceil(EDGE_MARGIN * (high - low + 1)))
    return max(0, low - margin), min(n, high + 1 + margin)


def positions(low: int, high: int, most: int) -> list[int]:
    """Return indices spread over an extent without its ends; all indices if there are not more than wanted.

    Examples
    --------
    >>> positions(0, 100, 4), positions(3, 5, 4)
    ([20, 40, 60, 80], [3, 4, 5])
    """
    if high - low < most:
        return list(range(low, high + 1))
    return [round(low + (high - low) * (i + 1) / (most + 1)) for i in range(most)]
