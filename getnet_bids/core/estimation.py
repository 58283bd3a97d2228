"""Estimate the bias field of images: foreground, log field, field.

The network and the search for the foreground are less exact where a field is strong. So an image with a strong field is
divided by it, and everything is estimated once more for the quotient; the field is the product of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from getnet_bids.errors import GetNetError

from .device import has_float64
from .field import field_sd, gain_field, resize
from .fusion import Basis
from .log_field import Stages, estimate_with_network, refine
from .network import GetNet
from .options import Options
from .preparation import Prepared, joint_part, quotient
from .verdict import Evidence

STRONG_FIELD, STANDARD_ERRORS = 0.2, 3.0
"""A log field counts as strong from the first standard deviation on, if that is also this multiple of the error that
the network expects. Where the network is uncertain, its field may contain anatomy, which two passes would remove."""
MIN_QUOTIENT = 0.6
"""The field of the quotient counts if its standard deviation is at least this fraction of the error that the network
expects. What the network finds in an image that it has just corrected well is smaller."""
MAX_PASSES = 3
"""Largest number of estimates."""


@dataclass(frozen=True)
class Estimation:
    """A field on an image's grid, and the measurements for its verdict.

    Parameters
    ----------
    field : ndarray, float32, spatial shape
    chosen : ndarray of bool, spatial shape
        The voxels from which the field was estimated.
    evidence : Evidence
        Measurements for the verdict.
    uncertainty : ndarray, float32, spatial shape, optional
    """

    field: NDArray[np.float32]
    chosen: NDArray[np.bool_]
    evidence: Evidence
    uncertainty: NDArray[np.float32] | None


@dataclass(frozen=True)
class Pass:
    """One estimate of the common log field of one or several images, by the network.

    Parameters
    ----------
    prepared : list of Prepared
        The images.
    part : tuple of slice
        The part of the grid that was used.
    stages : Stages
    """

    prepared: list[Prepared]
    part: tuple[slice, slice, slice]
    stages: Stages

    @classmethod
    def over(
        cls,
        images: Sequence[NDArray[np.float32]],
        voxel: tuple[float, float, float],
        network: GetNet,
        inside: Tensor | None,
        options: Options,
        known: Sequence[Tensor | None],
    ) -> Pass:
        """Prepare the images, and estimate their log field.

        Parameters
        ----------
        images, voxel, network, inside, options
            As for `estimate`.
        known : sequence of Tensor of bool, shape (X, Y, Z), or None
            Voxels of each image that belong to the foreground for certain.
        """
        device = device_of(network)
        prepared = [Prepared.of(image, voxel, inside, device, k) for image, k in zip(images, known, strict=True)]
        part = joint_part([one.part for one in prepared])
        volumes = [one.volume[part] for one in prepared]
        return cls(prepared, part, estimate_with_network(volumes, voxel, network, of_part(inside, part), options))

    def refined(self, voxel: tuple[float, float, float], inside: Tensor | None) -> Pass:
        """Refine the log field with the tissues of the images."""
        volumes = [one.volume[self.part] for one in self.prepared]
        return replace(self, stages=refine(self.stages, volumes, voxel, of_part(inside, self.part)))

    def conflict(self, voxel: tuple[float, float, float]) -> float:
        """Compare the fields of the separate images."""
        return self.stages.disagreement([one.volume[self.part] > 0 for one in self.prepared], voxel)

    def basis(self, voxel: tuple[float, float, float]) -> Basis:
        """Return the basis of the log field on the whole grid."""
        starts = [along.start * size for along, size in zip(self.part, voxel, strict=True)]
        return self.stages.refined.basis.moved(starts)

    def chosen(self) -> Tensor:
        """Return the voxels from which the field was estimated, in any of the images; shape (X, Y, Z)."""
        first, *others = (one.chosen for one in self.prepared)
        for other in others:
            first = first | other
        return first

    def field(self, voxel: tuple[float, float, float]) -> Tensor:
        """Evaluate the field on the whole grid, with a geometric mean of 1 over the chosen voxels."""
        chosen = self.chosen()
        return gain_field(self.basis(voxel), self.stages.refined.theta.to(chosen.device), voxel, chosen)


def device_of(network: GetNet) -> torch.device:
    """Return the device for everything but the network, which needs float64."""
    device = next(network.parameters()).device
    return device if has_float64(device) else torch.device("cpu")


def of_part(mask: Tensor | None, part: tuple[slice, slice, slice]) -> Tensor | None:
    """Return a part of a mask, if there is one."""
    return None if mask is None else mask[part]


def estimate(
    images: Sequence[NDArray[np.float32]],
    voxel: tuple[float, float, float],
    network: GetNet,
    mask: NDArray[np.bool_] | None,
    options: Options,
) -> list[Estimation]:
    """Estimate the common bias field of one or several images.

    Parameters
    ----------
    images : sequence of ndarray, shape (X, Y), (X, Y, Z) or (X, Y, Z, T)
    voxel : tuple of float
        mm.
    network : GetNet
    mask : ndarray of bool, optional, spatial shape
    options : Options

    Returns
    -------
    list of Estimation
        One for each image, all with the same field.
    """
    spatial = images[0].shape[:3]

    def as_array(values: Tensor) -> NDArray:
        return values.cpu().numpy().reshape(spatial, order="F")

    inside = None if mask is None else torch.from_numpy(mask).to(device_of(network)).reshape((*spatial, 1)[:3])
    one = Pass.over(images, voxel, network, inside, options, [None] * len(images))
    measured, before = [(image.mean, image.evidence) for image in one.prepared], None
    for _ in range(MAX_PASSES - 1):
        if one.stages.field_sd < max(STRONG_FIELD, STANDARD_ERRORS * one.stages.network.error_sd):
            break
        product = as_array(one.field(voxel))
        product = product if before is None else before * product
        quotients = [quotient(mean, product, voxel) for mean, _ in measured]
        known = [image.foreground for image in one.prepared]
        try:
            again = Pass.over(quotients, voxel, network, inside, options, known)
        except GetNetError:  # there is no object in the quotient
            break
        if again.stages.field_sd < MIN_QUOTIENT * again.stages.network.error_sd:
            break
        one, before = again, product
    one = one.refined(voxel, inside) if options.refine else one
    conflict, posterior, basis, chosen = one.conflict(voxel), one.stages.refined, one.basis(voxel), one.chosen()
    unseen, found = posterior.unseen, one.stages.found
    places = [(image.chosen, image.foreground) for image in one.prepared]
    del one  # the memory of the volumes is needed again
    gain = as_array(gain_field(basis, posterior.theta.to(chosen.device), voxel, chosen))
    if before is not None:
        gain *= before
        inside = gain[as_array(chosen)]
        np.clip(gain, inside.min(), inside.max(), out=gain)  # as each factor is, where there is no signal
        gain /= np.exp(np.log(inside).mean(dtype=np.float64))
    median, p95, coarse = field_sd(basis, posterior.root, voxel, chosen)
    uncertainty = resize(coarse, tuple(chosen.shape)).reshape(spatial, order="F") if options.uncertainty else None
    estimations = []
    for (mean, evidence), its_places in zip(measured, places, strict=True):
        where, whole = (as_array(place) for place in its_places)
        of_image = replace(evidence, conflict=conflict, found=found)
        judged = of_image.with_field(mean, gain, where, median, p95, voxel, whole, unseen)
        estimations.append(Estimation(gain, where, judged, uncertainty))
    return estimations
