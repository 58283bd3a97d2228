"""Cosines along one axis, from whose products smooth functions are made."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector = NDArray[np.float64]
"""Array of shape (n,)."""


def cosines(position: ArrayLike, low: float, high: float, count: int) -> NDArray[np.float64]:
    """Evaluate cosines of 0, 1, 2 ... half periods between two ends.

    Beyond the ends each cosine is constant. Its slope at the ends is 0, so that a sum of cosines is bounded and smooth
    everywhere.

    Parameters
    ----------
    position : array_like, shape (n,)
        Positions, mm.
    low, high : float
        The ends, mm.
    count : int
        Number of cosines, including the constant.

    Returns
    -------
    ndarray, shape (n, count)

    Examples
    --------
    >>> cosines([0.0, 5.0, 10.0, 12.0], 0.0, 10.0, 2).round(3) + 0.0
    array([[ 1.,  1.],
           [ 1.,  0.],
           [ 1., -1.],
           [ 1., -1.]])
    """
    phase = np.clip((np.asarray(position, np.float64) - low) / (high - low), 0, 1)
    return np.cos(np.pi * phase[:, None] * np.arange(count))
