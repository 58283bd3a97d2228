"""Whether images that are to share a field have one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor

from .field import field_sd
from .fusion import Basis, fuse
from .geometry import Plane

MEDIAN_SIZE = 0.6745
"""Median of the absolute value of a normal variable over its standard deviation."""


def disagreement(
    basis: Basis,
    planes: list[Plane],
    cells: Sequence[tuple[list[Tensor], list[Tensor]]],
    inside: Sequence[Tensor],
    voxel: tuple[float, float, float],
    stiffness: float,
    expected: float,
) -> float:
    """Compare the network's fields of images, each by itself.

    Parameters
    ----------
    basis : Basis
    planes : list of Plane
        Of one image; all have the same.
    cells : sequence of tuple
        Log gains and weights of each image's slices, as for `fuse`.
    inside : sequence of Tensor of bool, shape (X, Y, Z)
        The foreground of each image.
    voxel : tuple of float
        mm.
    stiffness : float
        As for `fuse`.
    expected : float
        Standard deviation of the network's error (log), as it expects it.

    Returns
    -------
    float
        Largest difference of two images' fields, over what two such errors come to: 1 is as expected, less is usual,
        since images of one object err alike. 0 for one image.
    """
    fields = [fuse(basis, planes, gains, weights, stiffness).cpu() for gains, weights in cells]
    largest = 0.0
    for one, other in itertools.combinations(range(len(fields)), 2):
        root = (fields[one] - fields[other]).reshape(-1, 1)
        size, _, _ = field_sd(basis, root, voxel, inside[one] & inside[other])
        largest = max(largest, size / MEDIAN_SIZE / (2**0.5 * expected))
    return largest
