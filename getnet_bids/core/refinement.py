"""Refinement: the network's field and the image's own tissues, weighed as one Gaussian estimate.

The logarithm y of the image at points of a coarse grid is modelled as

    y = f_network + e + level + t + n

where e, the error of the network's field, is smooth (a sum of cosines with coefficients theta ~ N(0, s_e^2 S), S the
spectrum of a Gaussian correlation); level is that of the point's tissue, a peak of the histogram; t, the variation
within a tissue over some centimetres, looks like a field and is none (covariance s_t^2 K); and n is noise. Points are
averaged over blocks, so that K is a small matrix. Given the levels, the most probable theta is

    theta = (C' V^-1 C + 1)^-1 C' V^-1 r,    C = s_e B S^1/2,    V = s_t^2 K + N

with r the blocks' mean of y - f_network - level, B the cosines at the blocks and N the noise of their means. s_e and
s_t are those for which the blocks are most probable (the evidence, MacKay, Neural Comput. 1992; with caution, since
the levels are not known): where tissues are flat, the histogram decides; where they vary, the network does. Levels and
theta are found in turn.
Images that share a field have levels, tissues and noise of their own: their blocks are stacked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .basis import Vector
from .device import torch_threads
from .fusion import Basis, evaluate
from .geometry import HEAD_EXTENT, Box
from .sampling import SampledLogImage
from .tissue import BANDWIDTH, inner_share, nearest_peaks

BLOCK = 5
"""Points of a block along each axis: 20 mm in a head."""
MIN_WEIGHT = 0.5
"""A block counts from this sum of its points' weights on."""
MIN_BLOCKS = 12
"""Fewer blocks tell nothing, and the network's field is kept."""
TISSUE_LENGTHS = (16.0, 0.6), (45.0, 0.4)
"""Correlation lengths of the variation within tissues, in 220ths of the object's extent (mm in a head), and the share
of the variance of each: that of a tissue's texture, and that between structures which count as one tissue."""
TISSUE_SD = (0.002, 0.004, 0.008, 0.014, 0.022, 0.035, 0.055, 0.085)
"""Standard deviations of that variation (log) among which the evidence chooses."""
ERROR_FACTORS = (0.35, 0.5, 0.71, 1.0, 1.41)
"""The same for the error of the network's field, times what the network expects."""
FACTOR_SD = 0.35
"""Standard deviation of the logarithm of that factor, before the image is seen."""
LEVEL_SD = 2.0
"""Standard deviation of the constant that is common to all blocks (log): any."""
OUTLIER_DEVIATIONS = 2.5
"""Points so many scaled deviations from their tissue's level count a quarter."""
MIN_DEVIATION = 0.01
"""Smallest deviation that residuals are scaled by (log)."""
SD_INFLATION = 1.25
"""Standard deviations of tissues and noise are taken for so many times what the evidence says. It takes the tissues'
levels for known, which come from the same image, and so finds what is left beside them too small."""
EVIDENCE_POWER = 1 / 9
"""The evidence is raised to this power: predicted errors were a third of the actual ones, as if there were nine times
as many blocks as are independent."""
MODEL_ERROR = 2.4
"""Actual errors over those of the equations with `SD_INFLATION`, so much on heads with flat tissues as on heads with
varying ones (`benchmarks`)."""
EVIDENCE_ITERATIONS = (0, 4, 8)
"""Iterations in which standard deviations are chosen anew. That of the network's error may only become smaller: levels
follow the field, and what the field has taken from the tissues would count as error of the network the next time."""
ITERATIONS, TOLERANCE = 20, 5e-4
"""At most so many; fewer if the field changes by less (standard deviation of the log)."""


@dataclass(frozen=True)
class Posterior:
    """A log field as a normal distribution of its coefficients.

    Parameters
    ----------
    basis : Basis
    theta : Tensor, shape `basis.count`, float64
        The most probable coefficients.
    root : Tensor, shape (coefficients, n), float64
        root root' is their covariance.
    tissue_sd, error_sd : float
        Chosen standard deviations of the tissues' variation and of the network's error (log); NaN without a refinement.
    """

    basis: Basis
    theta: Tensor
    root: Tensor
    tissue_sd: float = float("nan")
    error_sd: float = float("nan")

    @classmethod
    def before_refinement(cls, basis: Basis, theta: Tensor, error_sd: float) -> Posterior:
        """Make the posterior of the network alone, whose error has a standard deviation of `error_sd` (log)."""
        root = torch.from_numpy(basis.spectrum()).flatten().sqrt() * error_sd
        root[0] = 0
        return cls(basis, theta, torch.diag(root)[:, root > 0], error_sd=error_sd)


def refine_field(points: SampledLogImage, box: Box, network: Posterior, network_sd: float) -> Posterior:
    """Refine the network's log field by the tissues of one image, as `refine_together` does."""
    return refine_together([points], box, network, network_sd)


def refine_together(images: Sequence[SampledLogImage], box: Box, network: Posterior, network_sd: float) -> Posterior:
    """Refine the network's log field by the tissues of images that share it.

    Parameters
    ----------
    images : sequence of SampledLogImage
    box : Box
        Where the object is.
    network : Posterior
        The network's field.
    network_sd : float
        Standard deviation of its error, as the network expects it (log).

    Returns
    -------
    Posterior
        The network's own where there are too few points.
    """
    with torch_threads(1):  # the last bits of products depend on their number
        tissues = [one for points in images if (one := Tissues.of(points, box, network)) is not None]
        if not tissues:
            return network
        blocks = Blocks.together([one.blocks for one in tissues])
        theta, estimate = torch.zeros_like(network.theta), None
        for iteration in range(ITERATIONS):
            found = [one.means(theta) for one in tissues]
            mean, total, noise = (torch.cat(values) for values in zip(*found, strict=True))
            if estimate is None or iteration in EVIDENCE_ITERATIONS:
                near, limit = (TISSUE_SD[2], math.inf) if estimate is None else (estimate.tissue_sd, estimate.error_sd)
                estimate = most_probable(blocks, mean, total, noise, network_sd, near, limit)
            new = estimate.coefficients(mean, blocks)
            step = float(np.std(np.concatenate([one.blocks.at_points(new - theta) for one in tissues])))
            theta = new
            if step < TOLERANCE and iteration >= EVIDENCE_ITERATIONS[-1]:
                break
    assert estimate is not None
    return replace(
        network,
        theta=network.theta + theta,
        root=estimate.root(blocks),
        tissue_sd=estimate.tissue_sd,
        error_sd=estimate.error_sd,
    )


@dataclass(frozen=True)
class Tissues:
    """The points of one image, and how each is judged by its tissue.

    Parameters
    ----------
    blocks : Blocks
    log_image, weight : ndarray, shape (points,)
    inner : ndarray, shape (points,)
        How much each belongs to the inside.
    start : ndarray, shape (points,)
        The network's log field.
    bandwidth : float
        Of the histogram that tells the tissues' levels (log).
    """

    blocks: Blocks
    log_image: Vector
    weight: Vector
    inner: Vector
    start: Vector
    bandwidth: float

    @classmethod
    def of(cls, points: SampledLogImage, box: Box, network: Posterior) -> Tissues | None:
        """Divide an image's points into blocks; None if there are too few."""
        blocks = Blocks.of(points, box, network.basis)
        if blocks is None:
            return None
        log_image, weight = (t.cpu().numpy()[blocks.chosen] for t in (points.log_image, points.weight))
        inner, start = inner_share(points, box)[blocks.chosen], blocks.at_points(network.theta)
        # Noise makes peaks of its own in a histogram that is finer than it.
        return cls(blocks, log_image, weight, inner, start, math.hypot(BANDWIDTH, points.noise / 2))

    def means(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Average what is left of the log image without the network's field and the tissues' levels.

        Parameters
        ----------
        theta : Tensor
            The error of the network's field, as far as it is known.

        Returns
        -------
        mean, total, noise : Tensor, shape (blocks,)
            As of `Blocks.means`.
        """
        change = self.blocks.at_points(theta)
        values, weight, inner = self.log_image - self.start - change, self.weight, self.inner
        level = inner * nearest_peaks(values, weight * inner + 1e-12, self.bandwidth)
        level += (1 - inner) * nearest_peaks(values, weight * (1 - inner) + 1e-12, self.bandwidth)
        residual = values - level
        scale = max(MIN_DEVIATION, 1.48 * float(np.median(np.abs(residual))))
        trusted = weight / (1 + (residual / (OUTLIER_DEVIATIONS * scale)) ** 2) ** 2
        mean, total, noise = self.blocks.means(residual + change, trusted)
        return mean, total, torch.full_like(mean, noise)


@dataclass(frozen=True)
class Blocks:
    """Blocks of points, the cosines at them, and the correlation of the tissues' variation between them.

    Parameters
    ----------
    chosen : ndarray of bool, shape of the grid
        Points with a weight.
    block : ndarray of int, shape (points,)
        The block of each of them.
    basis : Basis
    along : list of three Tensors
        The cosines along the grid's axes.
    cosines : Tensor, shape (blocks, coefficients), float64
        Of all coefficients but the constant, times the root of their spectrum S.
    root_spectrum : Tensor, shape (coefficients,), float64
    correlation : Tensor, shape (blocks, blocks), float64
        0 between blocks of different images.
    same_image : Tensor, shape (blocks, blocks), float64
        1 for blocks of one image, which have one constant, 0 for others.
    """

    chosen: NDArray[np.bool_]
    block: NDArray[np.intp]
    basis: Basis
    along: list[Tensor]
    cosines: Tensor
    root_spectrum: Tensor
    correlation: Tensor
    same_image: Tensor

    @classmethod
    def together(cls, images: Sequence[Blocks]) -> Blocks:
        """Stack the blocks of several images for `most_probable`; points are those of the first."""
        if len(images) == 1:
            return images[0]
        return replace(
            images[0],
            cosines=torch.cat([one.cosines for one in images]),
            correlation=torch.block_diag(*(one.correlation for one in images)),
            same_image=torch.block_diag(*(one.same_image for one in images)),
        )

    @classmethod
    def of(cls, points: SampledLogImage, box: Box, basis: Basis) -> Blocks | None:
        """Divide points into blocks; None if there are too few."""
        weight = points.weight.cpu().numpy()
        chosen = weight > 0
        index = [np.arange(len(p)) // BLOCK for p in points.position]
        counts = [int(i[-1]) + 1 for i in index]
        code = (index[0][:, None, None] * counts[1] + index[1][:, None]) * counts[2] + index[2]
        used = np.bincount(code[chosen], weight[chosen], int(np.prod(counts))) > MIN_WEIGHT
        chosen &= used[code]
        number = np.cumsum(used) - 1
        if used.sum() < MIN_BLOCKS:
            return None
        block = number[code[chosen]]
        weight, total = weight[chosen], np.bincount(block, weight[chosen])
        place = [p[i] for p, i in zip(points.position, np.nonzero(chosen), strict=True)]
        centre = np.stack([np.bincount(block, weight * p) / total for p in place], 1)
        cpu = torch.device("cpu")
        b = [basis.along(axis, centre[:, axis], cpu) for axis in range(3)]
        every = ((b[0][:, :, None] * b[1][:, None])[..., None] * b[2][:, None, None]).flatten(1)[:, 1:]
        root = torch.from_numpy(basis.spectrum()).flatten()[1:].sqrt()
        kept = root > 1e-3 * root.max()
        away = torch.cdist(torch.from_numpy(centre), torch.from_numpy(centre)) * (HEAD_EXTENT / box.extent)
        return cls(
            chosen,
            block,
            basis,
            [basis.along(axis, p, cpu) for axis, p in enumerate(points.position)],
            (every * root)[:, kept],
            torch.where(kept, root, 0.0),
            torch.stack([share * torch.exp(-0.5 * (away / length) ** 2) for length, share in TISSUE_LENGTHS]).sum(0),
            torch.ones_like(away),
        )

    def at_points(self, theta: Tensor) -> Vector:
        """Evaluate a log field at the chosen points; shape (points,)."""
        field: Vector = evaluate(theta.cpu(), self.along).numpy()[self.chosen]
        return field

    def means(self, values: Vector, weight: Vector) -> tuple[Tensor, Tensor, float]:
        """Average points over blocks.

        Returns
        -------
        mean, total : Tensor, shape (blocks,)
            Weighted means, and sums of weights.
        noise : float
            Standard deviation of points within blocks.
        """
        count = len(self.correlation)
        total = np.bincount(self.block, weight, count).clip(1e-6)
        mean = np.bincount(self.block, weight * values, count) / total
        within = float((weight * (values - mean[self.block]) ** 2).sum() / weight.sum())
        return torch.from_numpy(mean), torch.from_numpy(total), within**0.5


@dataclass(frozen=True)
class Estimate:
    """The linear map from blocks' means to coefficients, for one choice of standard deviations.

    Parameters
    ----------
    tissue_sd, error_sd : float
    factor : Tensor, shape (blocks, blocks)
        Cholesky factor of V.
    whitened : Tensor, shape (blocks, n)
        Its inverse times C.
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
        """Compute a root of the coefficients' covariance, model error included; shape (coefficients, n)."""
        unit = torch.eye(len(self.precision), dtype=self.precision.dtype)
        return MODEL_ERROR * self._spread(torch.linalg.solve_triangular(self.precision.T, unit, upper=True), blocks)

    def _spread(self, scaled: Tensor, blocks: Blocks) -> Tensor:
        """Undo the scaling by the spectrum, and put zeros where a coefficient is not used."""
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
    """Choose the most probable standard deviations, and make the estimate with them.

    Parameters
    ----------
    blocks : Blocks
    mean, total : Tensor, shape (blocks,)
    noise : float or Tensor, shape (blocks,)
        Standard deviation of a point.
    network_sd : float
        Expected error of the network (log).
    near : float
        The one of `TISSUE_SD` at which the search begins: the probability has one maximum, which is climbed to.
    error_limit : float
        Largest standard deviation of the network's error to choose (log).
    """
    white_noise = torch.diag(noise**2 / total + 1e-8)
    constant = LEVEL_SD**2 * blocks.same_image
    fixed, columns = white_noise + constant, torch.cat([blocks.cosines, mean[:, None]], 1)

    @cache
    def probability(index: int) -> tuple[float, float]:
        """Return the log probability of one of `TISSUE_SD`, and the error of the network that it is largest with."""
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
