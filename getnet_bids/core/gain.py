"""Random gain fields for training and simulation.

A field is represented by its logarithm, on a grid of any number of dimensions whose longest side has length 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .basis import cosines

PERIOD_MARGIN = 0.25
"""Distance outside the grid at which the cosines' period ends, so that the grid's border is not special."""


def smooth_log_gain(shape: Sequence[int], length: Tensor, generator: torch.Generator) -> Tensor:
    """Draw Gaussian random fields of a given correlation length.

    The correlation of two points at distance r is close to exp(-r^2 / (2 length^2)).

    Parameters
    ----------
    shape : sequence of int
        Shape of the grid.
    length : Tensor, shape (N,)
        Correlation length of each field, as a fraction of the grid's longest side; lengths from 0.08 on are resolved.
    generator : torch.Generator
        Source of randomness, on the device of `length`.

    Returns
    -------
    Tensor, shape (N, ...), float32, on the grid
        Over the ensemble, each point has mean 0 and a standard deviation of 0.75 to 1.

    Examples
    --------
    >>> import torch
    >>> generator = torch.Generator().manual_seed(0)
    >>> tuple(smooth_log_gain((8, 10), torch.tensor([0.3, 0.3, 0.5]), generator).shape)
    (3, 8, 10)
    """
    device = length.device
    count = 16
    omega = math.pi * torch.arange(count, device=device) / (1 + 2 * PERIOD_MARGIN)
    # The root of the correlation's spectrum, scaled to a total mean square of 1; the mean square of a cosine is a half.
    amplitude = torch.exp(-((omega * length[:, None]) ** 2) / 4)
    amplitude[:, 1:] *= math.sqrt(2)
    mean_square = amplitude[:, 0].square() + amplitude[:, 1:].square().sum(1) / 2
    amplitude = amplitude / mean_square.sqrt()[:, None]
    field = torch.randn(len(length), *[count] * len(shape), generator=generator, device=device)
    longest = max(shape)
    amplitude = amplitude.reshape(len(length), count, *[1] * (len(shape) - 1))
    for size in shape:
        position = [(i + 0.5) / longest for i in range(size)]
        basis = torch.from_numpy(cosines(position, -PERIOD_MARGIN, 1 + PERIOD_MARGIN, count)).to(field)
        # Each step removes the first axis and appends its evaluation as the last.
        field = torch.tensordot(field * amplitude, basis, dims=([1], [1]))
    return field


def coil_log_gain(shape: Sequence[int], count: int, generator: torch.Generator, loops: int = 3) -> Tensor:
    """Draw fields of one to three receive loops around the object: bright and steep near a loop, flat far away.

    The sensitivity of a loop of radius a at distance r on its axis is proportional to (1 + r^2/a^2)^(-3/2)
    (Biot-Savart).

    Parameters
    ----------
    shape : sequence of int
        Shape of the grid.
    count : int
        Number of fields N.
    generator : torch.Generator
        Source of randomness, on the device of the result.
    loops : int
        Largest number of loops.

    Returns
    -------
    Tensor, shape (N, ...), float32, on the grid
        Logarithm of the gain, with an arbitrary mean.
    """
    device, ndim = generator.device, len(shape)
    longest = max(shape)
    axes = [(torch.arange(s, device=device) + 0.5) / longest - s / longest / 2 for s in shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, *[1] * ndim, generator=generator, device=device)

    gain = uniform(0.05, 0.6)
    used = 1 + torch.randint(loops, (count,), generator=generator, device=device)
    for loop in range(loops):
        way = torch.randn(count, ndim, generator=generator, device=device)
        centre = way / way.norm(dim=1, keepdim=True).clamp_min(1e-6) * uniform(0.4, 0.75).reshape(count, 1)
        r2 = ((grid[None] - centre.reshape(count, ndim, *[1] * ndim)) ** 2).sum(1)
        share = uniform(0.3, 1.0) * (loop < used).reshape(count, *[1] * ndim)
        gain = gain + share * (1 + r2 / uniform(0.25, 0.6) ** 2) ** -1.5
    return gain.log()


def with_spread(log_gain: Tensor, where: Tensor, spread: Tensor) -> Tensor:
    """Shift and scale log fields to a mean of 0 and a given standard deviation over weighted points.

    Parameters
    ----------
    log_gain : Tensor, shape (N, ...)
        Logarithms of gain fields.
    where : Tensor, shape (N, ...)
        Weights, such as the foreground.
    spread : Tensor, shape (N,)
        The standard deviation (natural logarithm); 0 gives a gain of 1 everywhere.

    Returns
    -------
    Tensor, shape (N, ...)
    """
    flat, weight = log_gain.flatten(1), where.flatten(1).to(log_gain)
    weight = weight / weight.sum(1, keepdim=True).clamp_min(1e-6)
    flat = flat - (flat * weight).sum(1, keepdim=True)
    deviation = (flat.square() * weight).sum(1, keepdim=True).sqrt().clamp_min(1e-6)
    return (flat / deviation * spread[:, None]).reshape(log_gain.shape)
