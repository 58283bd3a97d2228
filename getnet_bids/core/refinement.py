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

import numpy as np
import torch
from torch import Tensor

from .basis import Vector
from .blocks import Blocks
from .device import torch_threads
from .evidence import TISSUE_SD, most_probable
from .fusion import Basis
from .geometry import Box
from .sampling import SampledLogImage
from .tissue import BANDWIDTH, inner_share, nearest_peaks

OUTLIER_DEVIATIONS = 2.5
"""Points so many scaled deviations from their tissue's level count a quarter."""
MIN_DEVIATION = 0.01
"""Smallest deviation that residuals are scaled by (log)."""
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
