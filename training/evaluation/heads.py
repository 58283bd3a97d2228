"""Whole heads, 1 mm, with known tissues and a known gain field: what a correction is measured on."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from getnet_bids.core.gain import coil_log_gain, smooth_log_gain, with_spread

from .brainweb import TISSUES, read_labels, signals, to_1mm

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]
VOXEL = (1.0, 1.0, 1.0)
"""mm."""
UNIT = 1000.0
"""What the brightest tissue measures in a simulated image, which holds whole numbers as a scanner's does."""
LENGTH = 45.0
"""Correlation length of the random fields, mm."""
RANGE = {"coil": 3.0, "steep": 5.0}
"""Of the receive loops' fields: the 99th over the 1st percentile over the head."""
SMOOTH = "smooth"
FIELDS = (*(f"{SMOOTH}{percent}" for percent in (20, 40, 80)), *RANGE, "none")
"""Kinds of gain fields, see `gain_field`."""


@dataclass(frozen=True)
class Head:
    """A head without gain field and noise.

    Parameters
    ----------
    original : ndarray, shape (X, Y, Z), float32
        The brightest of CSF, GM and WM is 1.
    shares : dict of ndarray, shape (X, Y, Z), float32
        How much of each voxel is CSF, GM and WM.
    """

    original: Volume
    shares: dict[str, Volume]

    @property
    def head(self) -> Mask:
        """All that has signal."""
        return self.original > 0.03 * self.original.max()

    @property
    def brain(self) -> Mask:
        """What is more than half CSF, GM and WM."""
        csf, gray, white = self.shares.values()
        return csf + gray + white > 0.5

    def pure(self, tissue: str) -> Mask:
        """Give the voxels that are nearly nothing but one tissue."""
        return self.shares[tissue] > 0.9


def read_heads(path: Path, contrasts: Sequence[str]) -> dict[str, Head]:
    """Read an anatomical model as heads of several contrasts.

    Parameters
    ----------
    path : Path
        ``subjectNN_crisp_v.mnc.gz``.
    contrasts : sequence of str
        Of T1w, T2w, PDw.

    Returns
    -------
    dict of Head
        By contrast, axes x, y, z (from left to right, back to front, bottom to top).
    """
    labels = read_labels(path)
    shares = {name: to_1mm(labels == label).T for name, label in TISSUES.items()}
    return {contrast: Head(to_1mm(signals(contrast)[labels]).T, shares) for contrast in contrasts}


def gain_field(kind: str, where: Mask, seed: Sequence[int]) -> Volume:
    """Draw a gain field for an object.

    Parameters
    ----------
    kind : str
        ``smoothNN``: a Gaussian random field, correlation length 45 mm; the standard deviation of its logarithm is
        NN / 200. ``coil``: one to three receive loops, to the power that makes the field span 3-fold; ``steep``: to
        a higher power, 5-fold. ``none``: 1.
    where : ndarray of bool, shape (X, Y, Z)
        The object, in voxels of 1 mm: the field's strength is that over it.
    seed : sequence of int
        Another one for each kind is made of it.

    Returns
    -------
    ndarray, shape (X, Y, Z), float32
        Positive; the geometric mean over the object is 1.

    Raises
    ------
    ValueError
        There is no such kind of field.
    """
    if kind == "none":
        return np.ones(where.shape, np.float32)
    percent = kind.removeprefix(SMOOTH)
    if kind not in RANGE and (percent == kind or not percent.isdecimal()):
        raise ValueError(f"there is no field {kind!r}; there are {', '.join(FIELDS)}, and smoothNN of any other NN")
    state = np.random.SeedSequence([*seed, hashed(kind)]).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(state) >> 1)
    inside = torch.from_numpy(np.ascontiguousarray(where))[None]
    if kind in RANGE:
        log_gain = with_spread(coil_log_gain(where.shape, 1, generator), inside, torch.ones(1))
        low, high = np.percentile(log_gain[inside].numpy(), (1, 99))
        spread = math.log(RANGE[kind]) / (high - low)
    else:
        length = torch.tensor([LENGTH / max(where.shape)])
        log_gain, spread = smooth_log_gain(where.shape, length, generator), int(percent) / 200
    return with_spread(log_gain, inside, torch.tensor([spread]))[0].exp().numpy()


def shaded(head: Head, gain: Volume, noise: float, seed: Sequence[int]) -> Volume:
    """Simulate a magnitude image of a head: times a gain field, with Rician noise, in whole numbers.

    Parameters
    ----------
    head : Head
    gain : ndarray, shape (X, Y, Z)
    noise : float
        Standard deviation in each channel, share of the brightest tissue's signal.
    seed : sequence of int

    Returns
    -------
    ndarray, shape (X, Y, Z), float32
    """
    real, imaginary = noise * np.random.default_rng(seed).standard_normal((2, *gain.shape), np.float32)
    return np.rint(UNIT * np.hypot(head.original * gain + real, imaginary))


def hashed(name: str) -> int:
    """Turn a name into a number that goes into a seed."""
    return zlib.crc32(name.encode())
