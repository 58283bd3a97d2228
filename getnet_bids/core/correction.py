"""Correct a volume: foreground, slices, network, fusion, refinement, field, corrected volume."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from getnet_bids.errors import GetNetError

from . import BATCH_SIZE, CORRECTED, PRECISIONS
from .device import default_arithmetic, has_float64, torch_threads, unless_out_of_memory
from .field import disagreement, field_sd, gain_field, resize
from .fusion import Basis, fuse
from .geometry import HEAD_EXTENT, Box, Plane, choose_planes, slices_of
from .known_fields import ask
from .network import CELL, GetNet
from .preparation import Prepared, joint_part
from .refinement import Posterior, refine_together
from .sampling import SampledLogImage
from .verdict import Evidence, judge
from .voxels import checked, usable_mask

LOG = logging.getLogger(__name__)
CPU = torch.device("cpu")

SMOOTHNESS = 100.0
"""Default smoothness for a head, mm: half waves of the field shorter than this are suppressed."""
MIN_SMOOTHNESS, MAX_SMOOTHNESS = 1 / 20, 4.0
"""Limits of the smoothness, as fractions of the object's extent: the basis cannot resolve less, and with more only the
constant is left."""
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
class Options:
    """The options that change a result.

    Parameters
    ----------
    smoothness : float, optional
        Detail of the field finer than this is suppressed, mm; default: 100 mm for a head, scaled to the size of other
        objects.
    refine : bool
        Refine the network's field with the image's own tissues; otherwise use it as it is.
    precision : {"auto", "float32", "bfloat16"}
        Precision of the network; ``auto`` means bfloat16 if the device supports it.
    batch_size : int
        Number of slices that the network processes at a time, or fewer if the device has not enough memory; changes
        results by rounding only.
    uncertainty : bool
        Also return the map of the field's standard deviation.
    """

    smoothness: float | None = None
    refine: bool = True
    precision: str = "auto"
    batch_size: int = BATCH_SIZE
    uncertainty: bool = False

    def __post_init__(self) -> None:
        if self.smoothness is not None and not self.smoothness > 0:
            raise GetNetError(f"smoothness must be above 0 mm, not {self.smoothness}")
        if self.precision not in PRECISIONS:
            raise GetNetError(f"precision must be auto, float32 or bfloat16, not {self.precision!r}")
        if self.batch_size < 1:
            raise GetNetError(f"batch_size must be at least 1, not {self.batch_size}")


@dataclass(frozen=True)
class CorrectedVolume:
    """A corrected volume and its field.

    Parameters
    ----------
    corrected : ndarray, float32
        Image divided by field, with the shape of the image.
    field : ndarray, float32
        Bias field, positive, on the image's spatial grid; its geometric mean over the foreground is 1.
    foreground : ndarray of bool
        The voxels with signal from which the field was estimated, on the same grid.
    device : torch.device
        Device on which the field was estimated.
    verdict : str
        ``corrected``, ``nothing to correct`` or ``doubtful``.
    reasons : tuple of str
        Why the result is doubtful, each with what to do.
    field_sd_median, field_sd_p95 : float
        Standard deviation of the estimated log field: median and 95th percentile over the foreground.
    uncertainty : ndarray, float32, optional
        Map of that standard deviation, if asked for.
    """

    corrected: NDArray[np.float32]
    field: NDArray[np.float32]
    foreground: NDArray[np.bool_]
    device: torch.device = CPU
    verdict: str = CORRECTED
    reasons: tuple[str, ...] = ()
    field_sd_median: float = float("nan")
    field_sd_p95: float = float("nan")
    uncertainty: NDArray[np.float32] | None = None


def correct_volume(
    image: ArrayLike,
    voxel_size: tuple[float, ...],
    network: GetNet,
    mask: ArrayLike | None = None,
    options: Options | None = None,
) -> CorrectedVolume:
    """Estimate the bias field of an image, and divide the image by it.

    Parameters
    ----------
    image : array_like, shape (X, Y), (X, Y, Z) or (X, Y, Z, T)
        Magnitudes of any scale. The volumes of a series share one field, estimated from their mean.
    voxel_size : tuple of float
        Voxel size along the two or three spatial axes, mm.
    network : GetNet
        Trained network, on the device to use. If that device has not enough memory for the volume, the CPU is used, and
        a warning is logged.
    mask : array_like, optional, spatial shape
        The field is fitted where the mask is above 0. A mask is not needed; the network always sees the whole image.
    options : Options, optional

    Returns
    -------
    CorrectedVolume

    Raises
    ------
    ValueError
        The image has no usable signal, or shapes do not fit.
    """
    return correct_together([image], voxel_size, network, mask, options)[0]


@default_arithmetic()
def correct_together(
    images: Sequence[ArrayLike],
    voxel_size: tuple[float, ...],
    network: GetNet,
    mask: ArrayLike | None = None,
    options: Options | None = None,
) -> list[CorrectedVolume]:
    """Estimate one common bias field for images of the same object on the same grid, and divide them by it.

    The network's fields are averaged, and the tissues of each image are evidence for the common field.

    Parameters
    ----------
    images : sequence of array_like
        As for `correct_volume`, all with the same spatial shape, acquired with the same coil in the same position.
    voxel_size, network, mask, options
        As for `correct_volume`.

    Returns
    -------
    list of CorrectedVolume
        One for each image, all with the same field, whose geometric mean over the joint foreground is 1.

    Raises
    ------
    ValueError
        An image has no usable signal, or shapes do not fit.
    """
    options = options or Options()
    arrays = [checked(image) for image in images]
    if not arrays or any(image.shape[:3] != arrays[0].shape[:3] for image in arrays):
        raise GetNetError(f"images with one field must be of one shape, not {[image.shape[:3] for image in arrays]}")
    spatial = arrays[0].shape[:3]
    sizes = [float(v) for v in voxel_size]
    if len(sizes) != len(spatial) or not all(np.isfinite(v) and v > 0 for v in sizes):
        raise GetNetError(f"voxel_size must be {len(spatial)} sizes above 0 mm, not {voxel_size}")
    voxel = (sizes[0], sizes[1], sizes[2] if len(sizes) > 2 else max(sizes))
    inside = None if mask is None else usable_mask(mask, spatial)
    device = next(network.parameters()).device
    estimated = unless_out_of_memory(partial(estimate, arrays, voxel, network, inside, options))
    if estimated is None:
        LOG.warning("%s has no memory left for an image of %s voxels: corrected on the CPU", device, arrays[0].shape)
        device, substitute = CPU, network.copied_to_cpu()
        estimated = unless_out_of_memory(partial(estimate, arrays, voxel, substitute, inside, options))
    if estimated is None:
        raise MemoryError(f"out of memory for an image of {arrays[0].shape} voxels; give the job more")
    return [corrected(image, one, device) for image, one in zip(arrays, estimated, strict=True)]


def corrected(image: NDArray[np.float32], estimated: Estimation, device: torch.device) -> CorrectedVolume:
    """Divide an image by its field, and determine the verdict."""
    field, evidence = estimated.field, estimated.evidence
    verdict, reasons = judge(evidence)
    return CorrectedVolume(
        image / (field if image.ndim < 4 else field[..., None]),
        field,
        estimated.chosen,
        device,
        verdict,
        reasons,
        evidence.sd_median,
        evidence.sd_p95,
        estimated.uncertainty,
    )


def divide_by_measured(image: ArrayLike, voxel_size: tuple[float, ...], field: NDArray[np.float32]) -> CorrectedVolume:
    """Divide an image by a field that was measured instead of estimated, and judge the result.

    Parameters
    ----------
    image, voxel_size
        As for `correct_volume`.
    field : ndarray, float32, spatial shape
        The measured field, above 0. Its uncertainty is unknown.

    Returns
    -------
    CorrectedVolume
    """
    array, sizes = checked(image), [*voxel_size, max(voxel_size)]
    voxel = (sizes[0], sizes[1], sizes[2])
    prepared = Prepared.of(array, voxel, None, CPU)
    where, whole = (x.numpy().reshape(field.shape, order="F") for x in (prepared.chosen, prepared.foreground))
    evidence = prepared.evidence.with_field(prepared.mean, field, where, 0.0, 0.0, voxel, whole)
    volume = corrected(array, Estimation(field, where, evidence, None), CPU)
    return replace(volume, field_sd_median=float("nan"), field_sd_p95=float("nan"))


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
class Stages:
    """The steps of the estimation, for pictures and benchmarks.

    Parameters
    ----------
    box : Box
        Box around the object, in the part of the volume that was used.
    planes : list of Plane
        Positions of the slices that the network saw, for one volume after the other.
    log_gain, weights : list of Tensor, each shape (S, 16, 16)
        The network's log gains for the slices of each plane, and the weights of the cells.
    network, refined : Posterior
        The log field of the network alone, and the refined one (the same without a refinement).
    """

    box: Box
    planes: list[Plane]
    log_gain: list[Tensor]
    weights: list[Tensor]
    network: Posterior
    refined: Posterior

    def disagreement(self, inside: Sequence[Tensor], voxel: tuple[float, float, float]) -> float:
        """Compare the volumes' fields as `field.disagreement` does; 0 for one volume."""
        count = len(self.planes) // len(inside)
        parts = [slice(i, i + count) for i in range(0, len(self.planes), count)] if len(inside) > 1 else []
        cells = [(self.log_gain[part], self.weights[part]) for part in parts]
        of = self.network
        return disagreement(of.basis, self.planes[:count], cells, inside, voxel, STIFFNESS, of.error_sd)


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
    device = next(network.parameters()).device
    device = device if has_float64(device) else CPU  # everything but the network needs float64
    inside = None if mask is None else torch.from_numpy(mask).to(device).reshape((*spatial, 1)[:3])
    prepared = [Prepared.of(image, voxel, inside, device) for image in images]
    part = joint_part([one.part for one in prepared])
    fit_mask = None if inside is None else inside[part]
    first, *others = (one.volume[part] for one in prepared)
    stages = estimate_log_field(first, voxel, network, fit_mask, options, others)
    posterior, conflict = stages.refined, stages.disagreement([first > 0, *(x > 0 for x in others)], voxel)
    basis = posterior.basis.moved([along.start * size for along, size in zip(part, voxel, strict=True)])
    of_images = [(one.mean, one.evidence, one.chosen, one.foreground) for one in prepared]
    del first, others, prepared  # the memory is needed again
    chosen = of_images[0][2]
    for _, _, another, _ in of_images[1:]:
        chosen = chosen | another
    field = gain_field(basis, posterior.theta.to(device), voxel, chosen)
    median, p95, coarse = field_sd(basis, posterior.root, voxel, chosen)
    uncertainty = resize(coarse, tuple(chosen.shape)).reshape(spatial, order="F") if options.uncertainty else None
    gain = field.cpu().numpy().reshape(spatial, order="F")
    estimations = []
    for mean, evidence, *places in of_images:
        where, whole = (place.cpu().numpy().reshape(spatial, order="F") for place in places)
        found = replace(evidence, conflict=conflict).with_field(mean, gain, where, median, p95, voxel, whole)
        estimations.append(Estimation(gain, where, found, uncertainty))
    return estimations


def estimate_log_field(
    volume: Tensor,
    voxel: tuple[float, float, float],
    network: GetNet,
    mask: Tensor | None,
    options: Options,
    others: Sequence[Tensor] = (),
) -> Stages:
    """Estimate the log field of a volume, or of several that share one.

    Parameters
    ----------
    volume : Tensor, shape (X, Y, Z), float32
        Magnitudes, 0 in the background.
    voxel : tuple of float
        mm.
    network : GetNet
    mask : Tensor of bool, optional, shape (X, Y, Z)
        The voxels to which the field is fitted.
    options : Options
    others : sequence of Tensor, shape (X, Y, Z)
        Further volumes that share the field.

    Returns
    -------
    Stages
    """
    volumes = [volume, *others]
    box = Box.around(torch.stack([v.bool() for v in volumes]).any(0) if others else volume.bool(), voxel)
    length = options.smoothness or SMOOTHNESS * box.extent / HEAD_EXTENT
    basis = Basis.over(box, min(max(length, MIN_SMOOTHNESS * box.extent), MAX_SMOOTHNESS * box.extent))
    planes = choose_planes(tuple(volume.shape), voxel, box, SLICES)
    fitted = volumes if mask is None else [v * mask for v in volumes]

    def extract_slices(of: list[Tensor]) -> Tensor:
        return torch.cat([slices_of(one, plane, voxel, box) for one in of for plane in planes])

    slices = extract_slices(volumes)
    planes = planes * len(volumes)
    counted = slices if mask is None else extract_slices(fitted)
    shares = F.avg_pool2d((counted > 0).float(), CELL)[:, 0]
    log_gain, log_spread = ask(network, slices, options.precision, options.batch_size, len(volumes))
    counts = [len(plane.index) for plane in planes]
    cells = list(log_gain.split(counts))
    weights = list((shares * torch.exp(-2 * log_spread)).split(counts))
    theta = fuse(basis, planes, cells, weights, STIFFNESS).cpu()
    expected = float((log_spread.exp() * shares).sum() / shares.sum().clamp_min(1e-6)) * SD_OF_ABSOLUTE * FUSED_ERROR
    alone = Posterior.before_refinement(basis, theta, expected)
    refined = alone
    if options.refine:
        with torch_threads(1):  # the last bits of products depend on their number
            points = [SampledLogImage.of(one, voxel, box) for one in fitted]
        refined = refine_together(points, box, alone, expected)
    return Stages(box, planes, cells, weights, alone, refined)
