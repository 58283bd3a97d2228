"""Gain fields of other packages: the polynomials with which MONAI and TorchIO shade images for training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FOREIGN = ("monai", "torchio")
"""Kinds: ``RandBiasField`` and ``RandomBiasField``, with their libraries' defaults."""


def foreign_field(kind: str, shape: Sequence[int], seed: int) -> NDArray[np.float32]:
    """Draw a field with a library's own transform, applied to an image of ones.

    Parameters
    ----------
    kind : str
        One of `FOREIGN`; its library must be installed.
    shape : sequence of int
        Shape of the volume, (X, Y, Z).
    seed : int

    Returns
    -------
    ndarray, shape (X, Y, Z), float32
        Positive; the geometric mean over the volume is 1.

    Raises
    ------
    ValueError
        The kind is unknown.
    """
    ones = np.ones((1, *shape), np.float32)
    if kind == "monai":
        from monai.transforms import RandBiasField

        drawn = RandBiasField(prob=1.0).set_random_state(seed)(ones)
    elif kind == "torchio":
        import torch
        import torchio

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            drawn = torchio.RandomBiasField()(torchio.ScalarImage(tensor=torch.from_numpy(ones))).data
    else:
        raise ValueError(f"there is no field {kind!r}; there are {', '.join(FOREIGN)}")
    field = np.asarray(drawn, np.float32)[0]
    return field / np.exp(np.log(field).mean())
