"""The Gaussian estimate of the error of the network's field, and the choice of its standard deviations by the evidence.

In the notation of `refinement`: theta given the block means, and the most probable s_t and s_e.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from .blocks import Blocks

TISSUE_SD = (0.002, 0.004, 0.008, 0.014, 0.022, 0.035, 0.055, 0.085)
"""Candidates for s_t, the standard deviation of the variation within tissues (log)."""
ERROR_FACTORS = (0.35, 0.5, 0.71, 1.0, 1.41)
"""Candidates for s_e, the standard deviation of the network's error, as multiples of what the network expects."""
FACTOR_SD = 0.35
"""Standard deviation of the prior for the logarithm of that factor."""
LEVEL_SD = 2.0
"""Standard deviation of the prior for the constant that all blocks of an image share (log): nearly uniform."""
SD_INFLATION = 1.25
"""Factor for the standard deviations of tissues and noise that the evidence gives. They are too small, since the levels
of the tissues are estimated from the same image but treated as known."""
EVIDENCE_POWER = 1 / 9
"""Power to which the evidence is raised. With the full evidence, predicted errors were a third of the actual ones, as
if only one block in nine were independent."""
MODEL_ERROR = 2.4
"""Ratio of actual errors to those predicted by the equations with `SD_INFLATION`; it is the same on heads with uniform
tissues and on heads whose tissues vary (`benchmarks`)."""


@dataclass(frozen=True)
class Estimate:
    """The linear map from block means to coefficients, for one choice of standard deviations.

    Parameters
    ----------
    tissue_sd, error_sd : float
    factor : Tensor, shape (blocks, blocks)
        Cholesky factor of V.
    whitened : Tensor, shape (blocks, n)
        Inverse of `factor` times C.
    precision : Tensor, shape (n, n)
        Cholesky factor of C' V^-1 C + 1.
    """

    tissue_sd: float
    error_sd: float
    factor: Tensor
    whitened: Tensor
    precision: Tensor

    def coefficients(self, mean: Tensor, blocks: Blocks) -> Tensor:
        """Compute the most probable coefficients, shape of the basis."""
        white = torch.linalg.solve_triangular(self.factor, mean[:, None], upper=False)
        scaled = torch.cholesky_solve(self.whitened.T @ white, self.precision)[:, 0]
        return self._spread(scaled[:, None], blocks)[:, 0].reshape(blocks.basis.count)

    def root(self, blocks: Blocks) -> Tensor:
        """Compute a root of the coefficients' covariance, including the model error; shape (coefficients, n)."""
        unit = torch.eye(len(self.precision), dtype=self.precision.dtype)
        return MODEL_ERROR * self._spread(torch.linalg.solve_triangular(self.precision.T, unit, upper=True), blocks)

    def _spread(self, scaled: Tensor, blocks: Blocks) -> Tensor:
        """Undo the scaling by the spectrum, and set unused coefficients to 0."""
        root = blocks.root_spectrum
        out = torch.zeros(len(root) + 1, scaled.shape[1], dtype=scaled.dtype)
        used = torch.nonzero(root)[:, 0]
        out[1 + used] = self.error_sd * root[used, None] * scaled
        return out


def most_probable(
    blocks: Blocks,
    mean: Tensor,
    total: Tensor,
    noise: float | Tensor,
    network_sd: float,
    near: float = TISSUE_SD[2],
    error_limit: float = math.inf,
) -> Estimate:
    """Choose the most probable standard deviations, and return the estimate with them.

    Parameters
    ----------
    blocks : Blocks
    mean, total : Tensor, shape (blocks,)
    noise : float or Tensor, shape (blocks,)
        Standard deviation of the noise of a point.
    network_sd : float
        Expected error of the network (log).
    near : float
        The value of `TISSUE_SD` from which the search climbs to the maximum of the probability, of which there is one.
    error_limit : float
        Upper limit for the standard deviation of the network's error (log).
    """
    white_noise = torch.diag(noise**2 / total + 1e-8)
    constant = LEVEL_SD**2 * blocks.same_image
    fixed, columns = white_noise + constant, torch.cat([blocks.cosines, mean[:, None]], 1)

    @cache
    def probability(index: int) -> tuple[float, float]:
        """Return the largest log probability for one of `TISSUE_SD`, and the network's error that gives it."""
        factor = torch.linalg.cholesky(torch.add(fixed, blocks.correlation, alpha=TISSUE_SD[index] ** 2))
        both = torch.linalg.solve_triangular(factor, columns, upper=False)
        plain, white = both[:, :-1], both[:, -1]
        normal, projected, energy = plain.T @ plain, plain.T @ white, float(white @ white)
        determinant = float(factor.diagonal().log().sum())
        best = (-np.inf, network_sd)
        for times in ERROR_FACTORS:
            error_sd = times * network_sd
            if error_sd > error_limit:
                break
            precision = torch.linalg.cholesky(error_sd**2 * normal + torch.eye(len(normal), dtype=normal.dtype))
            part = torch.linalg.solve_triangular(precision, error_sd * projected[:, None], upper=False)[:, 0]
            evidence = -0.5 * (energy - float(part @ part)) - determinant - float(precision.diagonal().log().sum())
            best = max(best, (EVIDENCE_POWER * evidence - 0.5 * (np.log(times) / FACTOR_SD) ** 2, error_sd))
        return best

    index, before = TISSUE_SD.index(near), -1
    while index != before:
        before = index
        index = max(range(max(index - 1, 0), min(index + 2, len(TISSUE_SD))), key=lambda i: probability(i)[0])
    tissue_sd, error_sd = TISSUE_SD[index], probability(index)[1]
    factor = torch.linalg.cholesky(SD_INFLATION**2 * (tissue_sd**2 * blocks.correlation + white_noise) + constant)
    whitened = error_sd * torch.linalg.solve_triangular(factor, blocks.cosines, upper=False)
    precision = torch.linalg.cholesky(whitened.T @ whitened + torch.eye(whitened.shape[1], dtype=whitened.dtype))
    return Estimate(tissue_sd, error_sd, factor, whitened, precision)
