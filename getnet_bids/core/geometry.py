"""Extract slices for the network from a volume, with the positions of their cells.

The network does not use millimetres: whatever the object's longest extent, it fills most of the 256 pixels. A mouse
brain and an abdomen therefore look alike to the network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .basis import Vector
from .device import at_once
from .network import CELL, CELLS, SLICE

HEAD_EXTENT = 220.0
"""Extent of a head, mm. Lengths given for a head are scaled by the object's extent divided by this."""
FILLS = 0.95, 1.1
"""Fractions of the slice's side that the object's longest extent in the slice's plane fills, alternating from slice to
slice. The network does better on larger objects, and what is cut off in one slice lies in the next."""
MIN_SLICES = 8
"""Smallest number of slices of a plane; if the object has fewer, they are repeated."""
ROUNDING = 1e-6
"""Added before a position is rounded down, so that the result for a position on a border does not depend on the unit of
length."""
SLABS_PER_COUNT = 8
"""Number of slabs that are counted at a time."""
MIN_EXTENT = 12
"""A plane is used if the object has at least this number of voxels along both its axes."""
MIN_THICK_EXTENT, THICK = 6, 0.5
"""A plane is also used if the object has at least the first number of voxels along an axis, and they span at least the
second fraction of its longest extent: a stack of thick slices. Within its slices nothing shows how the field changes
from slice to slice, since the network does not compare slices."""


@dataclass(frozen=True)
class Box:
    """The box around the part of a volume with signal.

    Parameters
    ----------
    low, high : tuple of float
        Ends of the box along the volume's three axes, mm; the outer face of the first voxel is at 0.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    @property
    def extent(self) -> float:
        """The longest side, mm."""
        return max(h - w for w, h in zip(self.low, self.high, strict=True))

    @classmethod
    def around(cls, foreground: Tensor, voxel_size: tuple[float, float, float]) -> Box:
        """Make the box around the voxels of a mask, shape (X, Y, Z), without the outermost thousandth at each side."""
        low, high, rows = [], [], []
        slabs = foreground.permute(2, 1, 0)  # the first axis is the fastest in memory
        across = torch.zeros(slabs.shape[1:], dtype=torch.float32, device=slabs.device)
        for part in slabs.split(at_once(slabs, SLABS_PER_COUNT)):
            # Sums of floats are many times faster than those of bools, and exact up to 2^24.
            counts = part.view(torch.uint8).float()
            across += counts.sum(0)
            rows.append(counts.sum((1, 2)))
        profiles = across.sum(0), across.sum(1), torch.cat(rows)
        for profile, size in zip(profiles, voxel_size, strict=True):
            share = profile.double().cumsum(0)
            share = share / share[-1]
            inside = torch.nonzero((share > 1e-3) & (share - torch.diff(share, prepend=share.new_zeros(1)) < 1 - 1e-3))
            low.append(float(inside[0]) * size)
            high.append((float(inside[-1]) + 1) * size)
        return cls((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def support(volume: Tensor) -> tuple[slice, slice, slice]:
    """Return the smallest part of a volume, shape (X, Y, Z), with all values above 0; all of it if there are none.

    Examples
    --------
    >>> volume = torch.zeros(4, 5, 6)
    >>> volume[1:3, 2, 0:6] = 7
    >>> [(part.start, part.stop) for part in support(volume)]
    [(1, 3), (2, 3), (0, 6)]
    """
    ends = (volume.select(axis, end) for axis in range(3) for end in (0, -1))
    if all(float(end.amax()) > 0 for end in ends):  # as in most images, which have noise everywhere
        return slice(0, volume.shape[0]), slice(0, volume.shape[1]), slice(0, volume.shape[2])
    slabs = volume.permute(2, 1, 0)  # the first axis is the fastest in memory
    across, parts = slabs.amax(0), []
    for profile in (across.amax(0), across.amax(1), slabs.flatten(1).amax(1)):
        above = torch.nonzero(profile > 0)[:, 0]
        parts.append(slice(int(above[0]), int(above[-1]) + 1) if len(above) else slice(0, len(profile)))
    return parts[0], parts[1], parts[2]


@dataclass(frozen=True)
class Plane:
    """Slices across one axis of a volume.

    Parameters
    ----------
    axis : int
        The axis perpendicular to the slices.
    index : ndarray, shape (S,)
        Indices of the slices along this axis.
    position : tuple of three ndarrays
        Positions of the cells' centres along each axis of the volume, mm: S values along `axis`, 16 along the others.
    pixel : float
        Pixel size of the slices, mm.
    """

    axis: int
    index: NDArray[np.intp]
    position: tuple[Vector, Vector, Vector]
    pixel: float


def choose_planes(shape: tuple[int, ...], voxel_size: tuple[float, float, float], box: Box, slices: int) -> list[Plane]:
    """Choose up to three planes, and the slices in each, separately for each fraction of `FILLS`.

    A plane in which the object is only a few voxels wide (a thin slab seen from the side) is left out, unless there is
    no other plane, or these voxels are thick slices that span much of the object.

    Parameters
    ----------
    shape : tuple of int
        Shape of the volume.
    voxel_size : tuple of float
        mm.
    box : Box
        Box around the object.
    slices : int
        Number of slices along the object's longest extent; along the others in proportion.

    Returns
    -------
    list of Plane
    """
    cell_centres: Vector = (np.arange(CELLS, dtype=np.float64) - (CELLS - 1) / 2) * CELL
    extent = [h - w for w, h in zip(box.low, box.high, strict=True)]
    across = [e / v for e, v in zip(extent, voxel_size, strict=True)]
    least = [MIN_THICK_EXTENT if e >= THICK * box.extent else MIN_EXTENT for e in extent]
    planes = []
    for axis in range(3):
        others = [a for a in range(3) if a != axis]
        narrow = min(across[a] for a in others)
        if any(across[a] < least[a] for a in others) and narrow < sorted(across)[1]:
            continue
        first, last = box.low[axis] / voxel_size[axis], box.high[axis] / voxel_size[axis]
        wanted = max(MIN_SLICES, round((box.high[axis] - box.low[axis]) / box.extent * slices))
        count = max(1, min(round(last - first), wanted))
        index = np.floor(first + (np.arange(count) + 0.5) * (last - first) / count + ROUNDING).astype(np.intp)
        index = np.repeat(np.clip(index, 0, shape[axis] - 1), -(-wanted // count))
        for turn, fill in enumerate(FILLS):
            some = index[turn :: len(FILLS)]
            pixel = max(extent[a] for a in others) / (fill * SLICE)
            position = [cell_centres * pixel + (box.low[a] + box.high[a]) / 2 for a in others]
            position.insert(axis, (some + 0.5) * np.float64(voxel_size[axis]))
            planes.append(Plane(axis, some, (position[0], position[1], position[2]), pixel))
    return planes


def resampling(size: int, voxel: float, centre: float, pixel: float, device: torch.device) -> Tensor:
    """Make the matrix that resamples voxels along an axis to 256 pixels around a centre.

    If pixels are finer than voxels, this is cubic convolution (Keys, IEEE TASSP 1981); if they are coarser, a triangle
    of a width of two pixels, which avoids aliasing. Values outside the volume are 0.

    Parameters
    ----------
    size : int
        Number of voxels along the axis.
    voxel : float
        Size of a voxel, mm.
    centre : float
        Centre of the pixels, mm.
    pixel : float
        Size of a pixel, mm.
    device : torch.device

    Returns
    -------
    Tensor, shape (256, size), float32
    """
    pixels = centre + (np.arange(SLICE) - (SLICE - 1) / 2) * pixel
    voxels = (np.arange(size) + 0.5) * voxel
    distance = np.abs(pixels[:, None] - voxels[None]) / max(pixel, voxel)
    weights = np.clip(1 - distance, 0, None) if pixel >= voxel else cubic(distance)
    if size == 1:
        weights = (np.abs(pixels[:, None] - voxels[None]) <= voxel / 2).astype(float)
    weights /= np.maximum(weights.sum(1, keepdims=True), min(1.0, voxel / pixel) * 0.5 + 0.5)
    return torch.from_numpy(weights).to(device, torch.float32)


def cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the cubic convolution weights for distances in units of the spacing; they reproduce parabolas exactly.

    Examples
    --------
    >>> cubic(np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0]))
    array([ 1.    ,  0.5625,  0.    , -0.0625,  0.    ,  0.    ])
    """
    t = np.minimum(distance, 2)
    return np.where(t < 1, (1.5 * t - 2.5) * t**2 + 1, ((2.5 - 0.5 * t) * t - 4) * t + 2)


def slices_of(volume: Tensor, plane: Plane, voxel_size: tuple[float, float, float], box: Box) -> Tensor:
    """Extract the slices of a plane.

    Parameters
    ----------
    volume : Tensor, shape (X, Y, Z)
        Background 0.
    plane : Plane
    voxel_size : tuple of float
        mm.
    box : Box

    Returns
    -------
    Tensor, shape (S, 1, 256, 256)
        Rows and columns are the volume's other two axes, in their order.
    """
    rows, columns = (
        resampling(volume.shape[a], voxel_size[a], (box.low[a] + box.high[a]) / 2, plane.pixel, volume.device)
        for a in range(3)
        if a != plane.axis
    )
    index = torch.from_numpy(plane.index).to(volume.device)
    slabs = volume.permute(2, 1, 0)  # in the order of the memory, so that only the slices are copied
    cut = slabs.index_select(2 - plane.axis, index).permute(2, 1, 0).movedim(plane.axis, 0)
    return (rows @ (cut @ columns.T))[:, None]
