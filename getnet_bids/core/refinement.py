"""Refinement: a Gaussian estimate that combines the network's field with the image's own tissues.

The logarithm y of the image at the points of a coarse grid is modelled as

    y = f_network + e + level + t + n

where e, the error of the network's field, is smooth (a sum of cosines with coefficients theta ~ N(0, s_e^2 S), with S
the spectrum of a Matern correlation); level is the typical log intensity of the point's tissue, a peak of the
histogram; t is the variation within a tissue over centimetres, which looks like a field but is not (covariance s_t^2
K); and n is noise. Points are averaged over blocks, so that K is a small matrix. Given the levels, the most probable
theta is

    theta = s_e S^1/2 (C' V^-1 C + 1)^-1 C' V^-1 r,    C = s_e B S^1/2,    V = s_t^2 K + N

with r the block means of y - f_network - level, B the cosines at the blocks and N the noise of the means. s_e and s_t
are chosen such that the block means are most probable (the evidence, MacKay, Neural Comput. 1992; with caution, since
the levels are estimated): where tissues are uniform, the histogram decides; where they vary, the network does. Levels
and theta are estimated alternately.

Images that share a field have their own levels, tissues and noise: their blocks are stacked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .basis import Vector
from .blocks import Blocks
from .device import one_thread
from .evidence import TISSUE_SD, most_probable
from .fusion import Basis
from .geometry import Box
from .sampling import SampledLogImage
from .tissue import BANDWIDTH, inner_share, nearest_peaks

OUTLIER_DEVIATIONS = 2.5
"""Residual, in scaled median absolute deviations, for which a point counts a quarter."""
MIN_DEVIATION = 0.01
"""Lower limit of the deviation by which residuals are scaled (log)."""
EVIDENCE_ITERATIONS = (0, 4)
"""Iterations in which the standard deviations are chosen again. That of the network's error may only decrease, since
levels follow the field, and variation that the field has wrongly taken from the tissues would count as error of the
network the next time."""
ALONE_ERROR = 1.9
"""Ratio of actual errors of the network's field to those expected, on heads whose tissues vary (`benchmarks`)."""
FIELD_SD = 0.2
"""Standard deviation of a log field (3 T heads: .06 to .2; bodies: .1 to .35), for what the network does not see."""
ITERATIONS, TOLERANCE = 20, 5e-4
"""Largest number of iterations, and the change of the field (standard deviation of the log) below which they stop."""


@dataclass(frozen=True)
class Posterior:
    """A log field, represented by a normal distribution of its coefficients.

    Parameters
    ----------
    basis : Basis
    theta : Tensor, shape `basis.count`, float64
        The most probable coefficients.
    root : Tensor, shape (coefficients, n), float64
        root root' is the covariance of the coefficients.
    tissue_sd, error_sd : float
        Chosen standard deviations of the tissues' variation and of the network's error (log); the former is NaN without
        a refinement.
    unseen : int, optional
        Axis of the slices if all slices are across one axis: the network does not see how the mean of the field over a
        slice changes from slice to slice.
    """

    basis: Basis
    theta: Tensor
    root: Tensor
    tissue_sd: float = float("nan")
    error_sd: float = float("nan")
    unseen: int | None = None

    @classmethod
    def before_refinement(cls, basis: Basis, theta: Tensor, error_sd: float, unseen: int | None = None) -> Posterior:
        """Make the posterior of the network alone, with a standard deviation `error_sd` of its error (log)."""
        variance = (ALONE_ERROR * error_sd) ** 2 + unseen_variance(basis, unseen)
        root = (torch.from_numpy(basis.spectrum()).flatten() * variance).sqrt()
        root[0] = 0
        return cls(basis, theta, torch.diag(root)[:, root > 0], error_sd=error_sd, unseen=unseen)

    def finer(self) -> Posterior:
        """Return the same field before the refinement, with the basis of a refined one."""
        basis = self.basis.finer()
        theta = torch.zeros(basis.count, dtype=self.theta.dtype)
        theta[tuple(slice(n) for n in self.theta.shape)] = self.theta
        return self.before_refinement(basis, theta, self.error_sd, self.unseen)


def unseen_variance(basis: Basis, axis: int | None) -> Tensor:
    """Return the variance of a field, relative to its spectrum, of the coefficients that the network does not see.

    Parameters
    ----------
    basis : Basis
    axis : int or None
        Axis of the slices, if all slices are across one axis.

    Returns
    -------
    Tensor, shape (coefficients,), float64
        0 for all coefficients that it sees.
    """
    variance = torch.zeros(basis.count, dtype=torch.float64)
    if axis is not None:
        variance[torch.from_numpy(basis.only_along(axis))] = FIELD_SD**2
    return variance.flatten()


def refine_field(images: Sequence[SampledLogImage], box: Box, network: Posterior, network_sd: float) -> Posterior:
    """Refine the network's log field with the tissues of all images that share it.

    Parameters
    ----------
    images : sequence of SampledLogImage
    box : Box
        Box around the object.
    network : Posterior
        The network's field.
    network_sd : float
        Standard deviation of its error that the network expects (log).

    Returns
    -------
    Posterior
        The refined field, or `network` if there are too few points.
    """
    with one_thread():  # the last bits of products depend on the number of threads
        coarse, network = network, network.finer()
        tissues = [one for points in images if (one := Tissues.of(points, box, network)) is not None]
        if not tissues:
            return coarse
        blocks = Blocks.together([one.blocks for one in tissues])
        unseen = unseen_variance(network.basis, network.unseen)[1:]
        theta, estimate = torch.zeros_like(network.theta), None
        for iteration in range(ITERATIONS):
            found = [one.means(theta) for one in tissues]
            mean, total, noise = (torch.cat(values) for values in zip(*found, strict=True))
            if estimate is None or iteration in EVIDENCE_ITERATIONS:
                near, limit = (TISSUE_SD[2], math.inf) if estimate is None else (estimate.tissue_sd, estimate.error_sd)
                estimate = most_probable(blocks, mean, total, noise, network_sd, near, limit, unseen)
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
    """The points of one image, with what is needed to find the levels of their tissues.

    Parameters
    ----------
    blocks : Blocks
    log_image, weight : ndarray, shape (points,)
    inner : ndarray, shape (points,)
        How much each point belongs to the inside of the body, 0 to 1.
    start : ndarray, shape (points,)
        The network's log field.
    bandwidth : float
        Bandwidth of the histogram whose peaks are the tissues' levels (log).
    """

    blocks: Blocks
    log_image: Vector
    weight: Vector
    inner: Vector
    start: Vector
    bandwidth: float

    @classmethod
    def of(cls, points: SampledLogImage, box: Box, network: Posterior) -> Tissues | None:
        """Divide an image's points into blocks; return None if there are too few."""
        blocks = Blocks.of(points, box, network.basis, network.unseen)
        if blocks is None:
            return None
        log_image, weight = (t.cpu().numpy()[blocks.chosen] for t in (points.log_image, points.weight))
        inner, start = inner_share(points, box)[blocks.chosen], blocks.at_points(network.theta)
        # In a histogram that is finer than the noise, the noise makes spurious peaks.
        return cls(blocks, log_image, weight, inner, start, math.hypot(BANDWIDTH, points.noise / 2))

    def means(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the block means of the log image minus the network's field and the tissues' levels.

        Parameters
        ----------
        theta : Tensor
            The present estimate of the error of the network's field.

        Returns
        -------
        mean, total, noise : Tensor, shape (blocks,)
            As for `Blocks.means`.
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
