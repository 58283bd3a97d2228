"""Estimate the log field of volumes: slices, the network's estimates for them, their fusion, and the refinement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .device import one_thread
from .field import disagreement
from .fusion import Basis, evaluate, fuse
from .geometry import HEAD_EXTENT, Box, Plane, choose_planes, slices_of
from .known_fields import ask, known_log_fields
from .network import CELL, CELLS, GetNet
from .options import Options
from .refinement import Posterior, refine_field
from .sampling import SampledLogImage

SMOOTHNESS = 100.0
"""Default smoothness for a head, mm: the network's field has no half waves shorter than half of this."""
MIN_SMOOTHNESS, MAX_SMOOTHNESS = 1 / 20, 4.0
"""Limits of the smoothness, as fractions of the object's extent. Below about two fifths `MAX_COSINES` limits the detail
instead, to half waves of a seventh of the extent; with more than the greatest only the constant is left."""
STIFFNESS = 1e-3
"""Weight of the roughness penalty in the fusion."""
SLICES = 15
"""Number of slices along the object's longest extent; along the others in proportion."""
SD_OF_ABSOLUTE = 1.25
"""Ratio of the standard deviation to the mean absolute value of a normal distribution."""
FUSED_ERROR = 0.6
"""Error of the fused field relative to the network's expected error of a cell; it is smaller since slices and known
fields average out."""


@dataclass(frozen=True)
class Stages:
    """The steps of the estimation.

    Parameters
    ----------
    box : Box
        Box around the object, in the part of the volume that was used.
    planes : list of Plane
        Positions of the slices that the network saw, for one volume after the other.
    log_gain, weights : list of Tensor, each shape (S, 16, 16)
        The network's log gains for the slices of each plane, and the weights of the cells.
    field_sd : float
        Standard deviation of the network's log field over the cells with signal.
    found : float
        Fraction of the known fields that the network found (`fraction_found`).
    network, refined : Posterior
        The log field of the network alone, and the refined one (the same without a refinement).
    """

    box: Box
    planes: list[Plane]
    log_gain: list[Tensor]
    weights: list[Tensor]
    field_sd: float
    found: float
    network: Posterior
    refined: Posterior

    def disagreement(self, inside: Sequence[Tensor], voxel: tuple[float, float, float]) -> float:
        """Compare the volumes' fields as `field.disagreement` does; 0 for one volume."""
        count = len(self.planes) // len(inside)
        parts = [slice(i, i + count) for i in range(0, len(self.planes), count)] if len(inside) > 1 else []
        cells = [(self.log_gain[part], self.weights[part]) for part in parts]
        of = self.network
        return disagreement(of.basis, self.planes[:count], cells, inside, voxel, STIFFNESS, of.error_sd)


def estimate_with_network(
    volumes: Sequence[Tensor],
    voxel: tuple[float, float, float],
    network: GetNet,
    mask: Tensor | None,
    options: Options,
) -> Stages:
    """Estimate the log field of a volume, or of several that share one, with the network alone.

    Parameters
    ----------
    volumes : sequence of Tensor, shape (X, Y, Z), float32
        Magnitudes, 0 in the background.
    voxel : tuple of float
        mm.
    network : GetNet
    mask : Tensor of bool, optional, shape (X, Y, Z)
        The voxels to which the field is fitted.
    options : Options

    Returns
    -------
    Stages
        Without a refinement.
    """
    first, *others = volumes
    box = Box.around(torch.stack([v.bool() for v in volumes]).any(0) if others else first.bool(), voxel)
    length = options.smoothness or SMOOTHNESS * box.extent / HEAD_EXTENT
    basis = Basis.over(box, min(max(length, MIN_SMOOTHNESS * box.extent), MAX_SMOOTHNESS * box.extent))
    planes = choose_planes(tuple(first.shape), voxel, box, SLICES)

    def extract_slices(of: Sequence[Tensor]) -> Tensor:
        return torch.cat([slices_of(one, plane, voxel, box) for one in of for plane in planes])

    slices = extract_slices(volumes)
    counted = slices if mask is None else extract_slices([v * mask for v in volumes])
    planes = planes * len(volumes)
    shares = F.avg_pool2d((counted > 0).float(), CELL)[:, 0]
    log_gain, log_spread = ask(network, slices, options.precision, options.batch_size, len(volumes))
    counts = [len(plane.index) for plane in planes]
    cells = list(log_gain.split(counts))
    weights = list((shares * torch.exp(-2 * log_spread)).split(counts))
    theta = fuse(basis, planes, cells, weights, STIFFNESS).cpu()
    expected = float((log_spread.exp() * shares).sum() / shares.sum().clamp_min(1e-6)) * SD_OF_ABSOLUTE * FUSED_ERROR
    axes = {plane.axis for plane in planes}
    unseen = axes.pop() if len(axes) == 1 and min(first.shape) > 1 else None
    alone = Posterior.before_refinement(basis, theta, expected, unseen)
    field = over_cells(basis, theta, planes)
    found = fraction_found(log_gain.cpu() - field, basis, planes, weights, len(volumes))
    return Stages(box, planes, cells, weights, sd_over_cells(field, shares.cpu()), found, alone, alone)


def fraction_found(rest: Tensor, basis: Basis, planes: list[Plane], weights: list[Tensor], volumes: int) -> float:
    """Compute which fraction of the known fields the network found, by least squares.

    This is NeedNet's question, asked of the image itself: G(v k) / G(v) is k if the network tells the field from the
    anatomy, and less variable if it takes part of the field for anatomy.

    Parameters
    ----------
    rest : Tensor, shape (N, 16, 16)
        Log gains of `known_fields.ask`, without the field of the volume.
    basis : Basis
    planes : list of Plane
    weights : list of Tensor, each shape (S, 16, 16)
        As for `fusion.fuse`.
    volumes : int
        Number of volumes, as for `known_fields.ask`.

    Returns
    -------
    float
        1 if all of the known fields was found, 0 if nothing.
    """
    known = known_log_fields(len(rest) // volumes, CELLS).repeat(volumes, 1, 1)
    # What was not found is in the log gains, and a part of it in the volume's field, too.
    within = fuse(basis, planes, list(known.to(weights[0].device).split([len(w) for w in weights])), weights, STIFFNESS)
    beside = known - over_cells(basis, within.cpu(), planes)
    weight = torch.cat(weights).cpu()
    known = known - (weight * known).sum((1, 2), keepdim=True) / weight.sum((1, 2), keepdim=True).clamp_min(1e-12)
    return 1 + float((weight * known * rest).sum() / (weight * known * beside).sum().clamp_min(1e-12))


def over_cells(basis: Basis, theta: Tensor, planes: list[Plane]) -> Tensor:
    """Evaluate a log field at the cells of all planes' slices; shape (N, 16, 16)."""
    device = torch.device("cpu")
    return torch.cat(
        [
            evaluate(theta, [basis.along(a, p, device) for a, p in enumerate(plane.position)]).movedim(plane.axis, 0)
            for plane in planes
        ]
    )


def sd_over_cells(field: Tensor, shares: Tensor) -> float:
    """Compute the standard deviation of a log field over cells, weighted by their fractions of signal."""
    weights = shares / shares.sum().clamp_min(1e-6)
    mean = (weights * field).sum()
    return float((weights * (field - mean).square()).sum().sqrt())


def refine(stages: Stages, volumes: Sequence[Tensor], voxel: tuple[float, float, float], mask: Tensor | None) -> Stages:
    """Refine the network's log field with the tissues of the volumes; parameters as for `estimate_with_network`."""
    fitted = volumes if mask is None else [v * mask for v in volumes]
    with one_thread():  # the last bits of products depend on their number
        points = [SampledLogImage.of(one, voxel, stages.box) for one in fitted]
    return replace(stages, refined=refine_field(points, stages.box, stages.network, stages.network.error_sd))
