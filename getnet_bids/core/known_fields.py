"""Estimates of the network for slices that were multiplied by known fields.

NeedNet trains the network G such that G(v k) / G(v) = k for a known field k (Simko et al., MIDL 2019). Solved for G(v),
G(v k) / k is an estimate of the field of v, too. It is a better one if that field is weak. For an image that could be
explained by a weak field or by its anatomy, the network estimates no field at all: this is the median of the fields
that the image may have, which minimises the absolute error of training. An image multiplied by a known field certainly
has a field. The slices of a volume get different known fields, so that their effects cancel in the fusion. Every third
slice gets none, since the network is right where it is certain that there is no field.

The slices are also raised to a power p, which turns v = u g into u^p g^p: contrast and log field grow by the factor p,
so that weak fields are easier to detect.
"""

from __future__ import annotations

import math

import torch
from scipy.linalg import hadamard
from torch import Tensor

from .network import CELLS, SLICE, GetNet, run_network

AMPLITUDE = 0.25
"""Amplitude of each of the five terms of a known log field, whose standard deviation over a slice is about .3."""
TERMS = 5
"""Number of terms: x, y, x y, x^2 - y^2 and x^2 + y^2, with x and y from -1 to 1 along the slice's sides."""
CONTRAST_POWER = 1.4
"""Power to which slices are raised."""


def known_log_fields(count: int, size: int) -> Tensor:
    """Return known log fields on a grid.

    The signs of the terms are those of the eight rows of a Hadamard matrix, so that any two terms are uncorrelated.
    Each of these fields is followed by its negative and by none. After 24 fields they are repeated.

    Parameters
    ----------
    count : int
        Number of fields.
    size : int
        Number of points along each side.

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
    return AMPLITUDE * torch.einsum("nt,txy->nxy", signs, polynomials(size))


def polynomials(size: int) -> Tensor:
    """Compute the terms of known log fields on a grid; shape (5, size, size), float32."""
    x = (2 * torch.arange(size, dtype=torch.float32) + 1 - size)[:, None] / size
    y = x.T
    return torch.stack([x + 0 * y, y + 0 * x, x * y, x**2 - y**2, x**2 + y**2])


def ask(network: GetNet, slices: Tensor, precision: str, batch_size: int, volumes: int = 1) -> tuple[Tensor, Tensor]:
    """Estimate the field of each slice from its product with a known one.

    Parameters
    ----------
    network : GetNet
    slices : Tensor, shape (N, 1, 256, 256)
        Magnitudes of any scale, 0 in the background.
    precision, batch_size
        As for `network.run_network`.
    volumes : int
        Number of volumes. Their slices follow one another; the n-th slices of all volumes get the same known field.

    Returns
    -------
    log_gain, log_spread : Tensor, each shape (N, 16, 16), float32
        The log gain of each cell without the known field, and the logarithm of the network's expected error.
    """
    each = len(slices) // volumes
    on_pixels, on_cells = (known_log_fields(each, n).repeat(volumes, 1, 1).to(slices.device) for n in (SLICE, CELLS))
    shaded = slices.clamp_min(0).mul_(on_pixels.exp_()[:, None])
    brightest = shaded.amax((1, 2, 3), keepdim=True)
    shaded.div_(torch.where(brightest > 0, brightest, 1.0)).pow_(CONTRAST_POWER)
    log_gain, log_spread = run_network(network, shaded, precision, batch_size)
    return log_gain / CONTRAST_POWER - on_cells, log_spread - math.log(CONTRAST_POWER)
