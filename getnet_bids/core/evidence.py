"""The Gaussian estimate of the error of the network's field, and the choice of its standard deviations by the evidence.

In the notation of `refinement`: theta given the block means, and the most probable s_t and s_e.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cache

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
"""Ratio of actual errors to those predicted by the equations with `SD_INFLATION`, on heads whose tissues vary
(`benchmarks`); on heads with uniform tissues, whose errors are a third as large, it is a third greater."""


@dataclass(frozen=True)
class Estimate:
    """The linear map from block means to coefficients, for one choice of standard deviations.

    Parameters
    ----------
    tissue_sd, error_sd : float
    scale : Tensor, shape (coefficients,)
        Root of the variance of each coefficient, relative to the spectrum: `error_sd`, or more where the network sees
        nothing.
    variation : Tensor, shape (blocks, blocks)
        V, the covariance of the means without the network's error.
    factor : Tensor, shape (blocks, blocks)
        Cholesky factor of V + C C'.
    """

    tissue_sd: float
    error_sd: float
    scale: Tensor
    variation: Tensor
    factor: Tensor

    def coefficients(self, mean: Tensor, blocks: Blocks) -> Tensor:
        """Compute the most probable coefficients, shape of the basis."""
        scaled = self.scale[:, None] * (blocks.cosines.T @ torch.cholesky_solve(mean[:, None], self.factor))
        return self._spread(scaled, blocks)[:, 0].reshape(blocks.basis.count)

    def root(self, blocks: Blocks) -> Tensor:
        """Compute a root of the coefficients' covariance, including the model error; shape (coefficients, n)."""
        unit = torch.eye(blocks.cosines.shape[1], dtype=blocks.cosines.dtype)
        whitened = torch.linalg.solve_triangular(
            torch.linalg.cholesky(self.variation), self.scale * blocks.cosines, upper=False
        )
        precision = torch.linalg.cholesky(whitened.T @ whitened + unit)
        return MODEL_ERROR * self._spread(torch.linalg.solve_triangular(precision.T, unit, upper=True), blocks)

    def _spread(self, scaled: Tensor, blocks: Blocks) -> Tensor:
        """Undo the scaling by the spectrum, with 0 for the constant."""
        return torch.cat([torch.zeros_like(scaled[:1]), (self.scale * blocks.root_spectrum)[:, None] * scaled])


def most_probable(
    blocks: Blocks,
    mean: Tensor,
    total: Tensor,
    noise: float | Tensor,
    network_sd: float,
    near: float = TISSUE_SD[2],
    error_limit: float = math.inf,
    unseen: Tensor | None = None,
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
    unseen : Tensor, optional, shape (coefficients,)
        Further variance of coefficients, relative to the spectrum, where the network sees nothing.
    """
    white_noise = torch.diag(noise**2 / total + 1e-8)
    constant = LEVEL_SD**2 * blocks.same_image
    error = blocks.cosines @ blocks.cosines.T
    unseen = torch.zeros_like(blocks.root_spectrum) if unseen is None else unseen
    unseen_error = (blocks.cosines * unseen) @ blocks.cosines.T if unseen.any() else torch.zeros(())
    factors = [f for f in ERROR_FACTORS if f * network_sd <= error_limit]

    def covariance(tissue_sd: float, error_sd: float, inflation: float = 1.0) -> tuple[Tensor, Tensor]:
        """Return V, and the covariance of the means."""
        variation = inflation**2 * (tissue_sd**2 * blocks.correlation + white_noise) + constant
        return variation, torch.add(variation, error, alpha=error_sd**2) + unseen_error

    @cache
    def probability(tissue: int, factor: int) -> float:
        """Compute the log probability of one of `TISSUE_SD` and one of the factors, but for a constant."""
        root = torch.linalg.cholesky(covariance(TISSUE_SD[tissue], factors[factor] * network_sd)[1])
        white = torch.linalg.solve_triangular(root, mean[:, None], upper=False)
        evidence = -0.5 * float(white.square().sum()) - float(root.diagonal().log().sum())
        return EVIDENCE_POWER * evidence - 0.5 * (math.log(factors[factor]) / FACTOR_SD) ** 2

    def around(index: int, count: int) -> range:
        return range(max(index - 1, 0), min(index + 2, count))

    best, before = (TISSUE_SD.index(near), min(ERROR_FACTORS.index(1.0), len(factors) - 1)), (-1, -1)
    while best != before:
        before = best
        beside = itertools.product(around(best[0], len(TISSUE_SD)), around(best[1], len(factors)))
        best = max(beside, key=lambda at: probability(*at))
    tissue_sd, error_sd = TISSUE_SD[best[0]], factors[best[1]] * network_sd
    variation, whole = covariance(tissue_sd, error_sd, SD_INFLATION)
    scale = (error_sd**2 + unseen).sqrt()
    return Estimate(tissue_sd, error_sd, scale, variation, torch.linalg.cholesky(whole))
