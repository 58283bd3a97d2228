"""Ellipsoids of two tissues under a known field, in weak noise: quick, and of any shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def textured() -> NDArray[np.float32]:
    """Return a textured ellipsoid of 168 mm under a smooth field, 6 mm voxels."""
    rng = np.random.default_rng(7)
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in (30, 34, 32)], indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    tissue = np.where(radius < 0.5, 900, 600) * (1 + 0.1 * np.sign(np.sin(9 * x) * np.sin(8 * y) * np.sin(7 * z)))
    gain = np.exp(0.3 * x - 0.25 * y * z + 0.2 * z)
    signal = np.where(radius < 0.85, tissue * gain, 0)
    return np.hypot(signal + rng.normal(0, 8, x.shape), rng.normal(0, 8, x.shape)).astype(np.float32)


def grid(shape: tuple[int, ...]) -> list[NDArray[np.float64]]:
    """Return the coordinates of voxels along each axis, from -1 to 1 over the volume."""
    return list(np.ix_(*[(np.arange(n) + 0.5) / n * 2 - 1 for n in shape]))


def gain(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a field that is smooth along all axes."""
    x, y, z = grid((*shape, 1, 1)[:3])
    return np.exp(0.3 * x - 0.25 * y + 0.2 * x * z + 0.2 * z).reshape(shape)


def scan(shape: tuple[int, ...], noise: float = 8.0) -> NDArray[np.float32]:
    """Return an ellipsoid under `gain`; an axis of one voxel goes through its middle."""
    radius = np.sqrt(sum(x**2 for x in grid((*shape, 1, 1)[:3]))).reshape(shape)
    signal = np.where(radius < 0.9, np.where(radius < 0.5, 900, 600), 0) * gain(shape)
    rng = np.random.default_rng(3)
    return np.hypot(signal + rng.normal(0, noise, shape), rng.normal(0, noise, shape)).astype(np.float32)
