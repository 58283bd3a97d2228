"""A small head of flat tissues, its field known."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from getnet_bids.core.fusion import Basis

SHAPE, VOXEL = (60, 72, 56), (3.0, 3.0, 3.0)


def ellipsoid(radius: float) -> np.ndarray:
    """Squared distance from the centre in units of an ellipsoid of this relative size, minus 1."""
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    return sum((x / (radius * r)) ** 2 for x, r in zip(axes, (0.85, 0.95, 0.9), strict=True)) - 1


def head(noise: float = 0.02, strength: float = 0.0) -> np.ndarray:
    """Scalp, skull, gray and white matter with folds, ventricles; shaded by `field(strength)`, with Rician noise."""
    x, y, z = np.meshgrid(*[np.arange(n) * 3.0 for n in SHAPE], indexing="ij")
    folds = 0.12 * np.sin(x / 7) * np.sin(y / 8) * np.sin(z / 9)
    out = np.zeros(SHAPE)
    out[ellipsoid(1.0) < 0] = 0.75
    out[ellipsoid(0.92) < 0] = 0.03
    out[ellipsoid(0.87) < 0] = 0.6
    out[ellipsoid(0.72) + folds < 0] = 1.0
    out[ellipsoid(0.25) < 0] = 0.25
    out *= field(strength)
    rng = np.random.default_rng(0)
    return np.hypot(out + noise * rng.normal(size=SHAPE), noise * rng.normal(size=SHAPE)).astype(np.float32)


def field(strength: float = 0.2) -> np.ndarray:
    """Smooth field with this standard deviation of its logarithm over the head."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    log = 0.8 * x + np.cos(1.5 * y + 0.4) * (0.5 + z) - 0.6 * z
    inside = ellipsoid(1.0) < 0
    log = (log - log[inside].mean()) / log[inside].std() * strength
    return np.exp(log).astype(np.float32)


def log_field(basis: Basis, theta: Tensor, position: Sequence[np.ndarray]) -> np.ndarray:
    """Evaluate a field's logarithm on a grid, straight from its definition: a sum of products of cosines."""
    waves = [
        np.cos(np.pi * np.clip((np.asarray(p) - low) / (high - low), 0, 1)[:, None] * np.arange(count))
        for p, low, high, count in zip(position, basis.low, basis.high, basis.count, strict=True)
    ]
    return np.einsum("xi,yj,zk,ijk->xyz", *waves, theta.numpy(), optimize=True)
