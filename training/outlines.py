"""Draw bodies with random outlines, and compute the depth of each pixel below the outline."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .transforms import blur, chance, per_slice, resize, smooth_noise, standardise, uniform

GRID = 128
"""Number of points per side of the grid on which outlines are drawn."""
MAX_DEPTH = 24
"""Largest distance that is computed, in grid points; deeper points have this depth."""
DEPTH_INSIDE = 1000.0
"""Depth, in pixels, of slices without background."""
STRAIGHT_LENGTH = 1.5
"""Distance along a row or column, in grid points, up to which an outline counts as straight."""
MAX_DISTANCE = 1e4
"""A distance greater than any on the grid, grid points."""


def depth_below_outline(photos: Tensor, bounded: float, generator: torch.Generator) -> Tensor:
    """Draw bodies, and compute the depth of each pixel below their outline.

    Parameters
    ----------
    photos : Tensor, shape (N, 1, H, H), values in [0, 1]
        Some outlines are level sets of the smoothed neighbouring photograph in the batch.
    bounded : float
        Fraction of the slices that have a background; the others are entirely inside. With 0 nothing is drawn.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (N, 1, H, H)
        Pixels; negative outside, `DEPTH_INSIDE` in slices without background. The slice's border is not an outline.
    """
    n, size = len(photos), photos.shape[-1]
    if bounded == 0:
        return torch.full_like(photos, DEPTH_INSIDE)
    inside = draw_bodies(photos.roll(1, 0), generator)
    depth = resize(signed_distance(inside), size) * (size / GRID)
    return torch.where(chance(n, 0.94 * bounded, generator), depth, DEPTH_INSIDE)


def draw_bodies(photos: Tensor, generator: torch.Generator) -> Tensor:
    """Draw smooth functions that are positive inside a body, shape (N, 1, 128, 128), in units of the side.

    Bodies are ellipses; unions of two, which are sometimes separate, like legs; or level sets of smoothed photographs
    and of smooth noise. Some have bites, a neck that leaves the slice, or a rippled surface.
    """
    n = len(photos)
    axis = (torch.arange(GRID, device=photos.device) + 0.5) / GRID - 0.5
    y, x = axis[:, None].expand(GRID, GRID), axis[None, :].expand(GRID, GRID)

    def draw(low: float, high: float) -> Tensor:
        return per_slice(n, low, high, generator)

    def ellipse(longest: Tensor, centre_y: Tensor, centre_x: Tensor) -> Tensor:
        angle, shortest = draw(0, math.pi), longest * draw(0.5, 1.0)
        cos, sin = torch.cos(angle), torch.sin(angle)
        u, v = cos * (x - centre_x) + sin * (y - centre_y), cos * (y - centre_y) - sin * (x - centre_x)
        return (1 - torch.sqrt((u / longest).square() + (v / shortest).square())) * shortest

    reach = torch.where(chance(n, 0.15, generator), 0.25, 0.1)
    centre_y, centre_x = draw(-1, 1) * reach, draw(-1, 1) * reach
    longest = torch.where(chance(n, 0.15, generator), draw(0.08, 0.3), draw(0.3, 0.6))
    body = ellipse(longest, centre_y, centre_x)
    apart = draw(0.1, 2.2) * longest
    way = draw(0, 2 * math.pi)
    other = ellipse(longest * draw(0.4, 1.0), centre_y + apart * torch.sin(way), centre_x + apart * torch.cos(way))
    body = torch.where(chance(n, 0.3, generator), torch.maximum(body, other), body)

    coarse = resize(F.avg_pool2d(photos, photos.shape[-1] // GRID), GRID)
    shape = standardise(blur(coarse, uniform(n, 3, 12, generator)))
    noise = smooth_noise(n, GRID, uniform(n, 0.06, 0.2, generator), generator)
    shape = torch.where(chance(n, 0.5, generator), shape, noise) + draw(-0.2, 1.5)
    within = ellipse(draw(0.4, 0.75), centre_y, centre_x)
    body = torch.where(chance(n, 0.25, generator), torch.minimum(0.1 * shape, within), body)

    way, width = draw(0, 2 * math.pi), draw(0.04, 0.22)
    along = torch.cos(way) * (x - centre_x) + torch.sin(way) * (y - centre_y)
    beside = torch.cos(way) * (y - centre_y) - torch.sin(way) * (x - centre_x)
    neck = torch.minimum(width - beside.abs(), along + width)
    body = torch.where(chance(n, 0.2, generator), torch.maximum(body, neck), body)

    way, size, off = draw(0, 2 * math.pi), draw(0.04, 0.2), draw(0.6, 1.2) * longest
    bite_y, bite_x = centre_y + off * torch.sin(way), centre_x + off * torch.cos(way)
    bite = torch.sqrt((y - bite_y).square() + (x - bite_x).square()) - size
    body = torch.where(chance(n, 0.25, generator), torch.minimum(body, bite), body)

    ripple = smooth_noise(n, GRID, uniform(n, 0.08, 0.25, generator), generator) * draw(0, 0.05)
    fine = smooth_noise(n, GRID, uniform(n, 0.02, 0.06, generator), generator) * draw(0, 0.012)
    return body + ripple + fine


def signed_distance(inside: Tensor) -> Tensor:
    """Compute the distance to the outline, positive inside, to a fraction of a grid point.

    The outline is given by its interpolated crossings with lines along both axes.

    Parameters
    ----------
    inside : Tensor, shape (N, 1, H, H)
        Positive inside.

    Returns
    -------
    Tensor, shape (N, 1, H, H)
        Grid points; the absolute value is at most `MAX_DEPTH`.
    """
    along_row, any_row = distance_to_crossings(inside)
    along_column, any_column = (x.transpose(2, 3) for x in distance_to_crossings(inside.transpose(2, 3)))
    distance = torch.minimum(any_row, any_column).clamp_max(float(MAX_DEPTH))
    # Nearby, the outline is a straight line, whose distance follows from the pixel's own row and column.
    straight = along_row * along_column / torch.sqrt(along_row.square() + along_column.square() + 1e-12)
    distance = torch.where(torch.minimum(along_row, along_column) < STRAIGHT_LENGTH, straight, distance)
    return torch.where(inside > 0, distance, -distance)


def distance_to_crossings(inside: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the distance to the nearest change of sign along a row: within the same row, and within any row.

    Parameters
    ----------
    inside : Tensor, shape (N, 1, H, H)

    Returns
    -------
    own, any : Tensor, shape (N, 1, H, H)
        Grid points; only rows at most `MAX_DEPTH` away are considered.
    """
    size = inside.shape[-1]
    place = torch.arange(size, device=inside.device, dtype=torch.float32)
    left, right = inside[..., :-1], inside[..., 1:]
    changes = (left > 0) != (right > 0)
    crossing = place[:-1] + left / torch.where(changes, left - right, 1.0)
    before = F.pad(torch.where(changes, crossing, -MAX_DISTANCE).cummax(3).values, (1, 0), value=-MAX_DISTANCE)
    after = F.pad(
        torch.where(changes, crossing, MAX_DISTANCE).flip(3).cummin(3).values.flip(3), (0, 1), value=MAX_DISTANCE
    )
    own = torch.minimum(place - before, after - place)
    squares = own.square()
    padded = F.pad(squares, (0, 0, MAX_DEPTH, MAX_DEPTH), value=MAX_DISTANCE**2)
    best = squares
    for step in range(-MAX_DEPTH, MAX_DEPTH + 1):
        if step:
            best = torch.minimum(best, padded[:, :, MAX_DEPTH + step : MAX_DEPTH + step + size] + float(step * step))
    return own, best.sqrt()
