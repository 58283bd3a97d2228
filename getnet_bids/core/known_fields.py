"""The network's answers to slices that known fields were multiplied onto.

NeedNet trains the network G such that G(v k) / G(v) = k for a known field k (Simko et al., MIDL 2019). Solved for G(v),
this says that G(v k) / k is an estimate of the field of v, too. Where that field is weak it is a better one: an image
that could be explained by a weak field or by its anatomy is answered by no field at all, which is the median of all
fields that it may have, and what training to the least absolute error leads to. With a known field on it there is a
field for certain. The slices of a volume get different ones, so that their effects cancel in the fusion; every third
gets none, since where the network is sure that there is no field, it is right.

The slices are also raised to a power p, which turns v = u g into u^p g^p: contrast and log field grow by p, and small
ones are told better.
"""

from __future__ import annotations

import math

import torch
from scipy.linalg import hadamard
from torch import Tensor

from .network import CELLS, SLICE, GetNet, run_network

AMPLITUDE = 0.25
"""Size of each of the five terms of a known log field: its standard deviation over a slice is about .3."""
TERMS = 5
"""x, y, x y, x^2 - y^2 and x^2 + y^2, with x and y from -1 to 1 along the slice's sides."""
CONTRAST_POWER = 1.4
"""Slices are raised to this power."""


def known_log_fields(count: int, size: int) -> Tensor:
    """Return known log fields on a grid.

    The signs of the terms are those of the eight rows of a Hadamard matrix, so that any two terms are uncorrelated.
    Each of these fields is followed by its opposite and by none. After 24 all come again.

    Parameters
    ----------
    count : int
        How many.
    size : int
        Points along each side.

    Returns
    -------
    Tensor, shape (count, size, size), float32

    Examples
    --------
    >>> fields = known_log_fields(24, 4)
    >>> bool(fields.sum(0).abs().max() < 1e-6), bool((fields[0] == -fields[1]).all()), bool(fields[2].any())
    (True, True, False)
    """
    rows = torch.from_numpy(hadamard(8)[:, 1 : 1 + TERMS]).float()
    every = torch.stack([rows, -rows, 0 * rows], 1).flatten(0, 1)
    signs = every[torch.arange(count) % len(every)]
    x = (2 * torch.arange(size) + 1 - size)[:, None] / size
    y = x.T
    terms = torch.stack([x + 0 * y, y + 0 * x, x * y, x**2 - y**2, x**2 + y**2])
    return AMPLITUDE * torch.einsum("nt,txy->nxy", signs, terms)


def ask(
    network: GetNet, slices: Tensor, precision: str, batch_size: int, volumes: int = 1
) -> tuple[Tensor, Tensor]:
    """Estimate the field of each slice from its product with a known one.

    Parameters
    ----------
    network : GetNet
    slices : Tensor, shape (N, 1, 256, 256)
        Magnitudes of any scale, 0 in the background.
    precision, batch_size
        As for `network.run_network`.
    volumes : int
        The slices are those of so many volumes, one after the other, whose n-th get the same known field.

    Returns
    -------
    log_gain, log_spread : Tensor, each shape (N, 16, 16), float32
        The log gain of each cell, the known field taken off, and the logarithm of the error that the network expects.
    """
    each = len(slices) // volumes
    on_pixels, on_cells = (known_log_fields(each, n).repeat(volumes, 1, 1).to(slices.device) for n in (SLICE, CELLS))
    shaded = slices.clamp_min(0) * on_pixels.exp()[:, None]
    brightest = shaded.amax((1, 2, 3), keepdim=True)
    shaded = torch.where(brightest > 0, shaded / brightest, 0.0).pow_(CONTRAST_POWER)
    log_gain, log_spread = run_network(network, shaded, precision, batch_size)
    return log_gain / CONTRAST_POWER - on_cells, log_spread - math.log(CONTRAST_POWER)
