"""The way of one volume: foreground, slices, network, fusion, refinement, field, corrected volume."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from getnet_bids.errors import GetNetError

from .blur import blurred_parts
from .device import at_once, unless_out_of_memory
from .field import field_sd, gain_field, resize
from .foreground import find_foreground
from .fusion import Basis, fuse
from .geometry import HEAD, Box, Plane, choose_planes, slices_of, support
from .network import CELL, GetNet
from .refinement import Posterior, refine_field
from .sampling import SampledLogImage
from .verdict import Evidence, judge
from .voxels import checked, mean_volume, scaled, usable_mask, without_background

LOG = logging.getLogger(__name__)
CPU = torch.device("cpu")

SMOOTHNESS = 100.0
"""Details of a head's field finer than half waves of this length are suppressed, mm."""
ROUGHEST, SMOOTHEST = 1 / 20, 4.0
"""Shares of the object's extent that a smoothness is kept between: a basis cannot resolve less, and of more it has
nothing but the constant."""
STIFFNESS = 1e-3
"""Weight of the roughness penalty in the fusion."""
SLICES = 10
"""Slices along the object's longest extent, and in proportion along the others."""
SD_OF_ABSOLUTE = 1.25
"""Standard deviation over mean absolute value, of a normal distribution."""
MIN_VOXELS = 64
"""A field is estimated from at least so many voxels."""


@dataclass(frozen=True)
class Options:
    """All that changes a result.

    Parameters
    ----------
    smoothness : float, optional
        Details of the field finer than this are suppressed, mm; default 100 mm for a head, and for other objects in
        proportion to their extent.
    refine : bool
        Weigh the network's field against the image's own tissues; otherwise it is taken as it is.
    precision : {"auto", "float32", "bfloat16"}
        Of the network; ``auto`` takes bfloat16 where the processor has it.
    batch_size : int
        Slices at a time, fewer where the device has no memory for them; changes results by rounding alone.
    uncertainty : bool
        Also return the map of the field's standard deviation.
    """

    smoothness: float | None = None
    refine: bool = True
    precision: str = "auto"
    batch_size: int = 32
    uncertainty: bool = False

    def __post_init__(self) -> None:
        if self.smoothness is not None and not self.smoothness > 0:
            raise ValueError(f"smoothness must be above 0 mm, not {self.smoothness}")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ValueError(f"precision must be auto, float32 or bfloat16, not {self.precision!r}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {self.batch_size}")


@dataclass(frozen=True)
class CorrectedVolume:
    """A corrected volume and its field.

    Parameters
    ----------
    corrected : ndarray, float32
        Image over field, shape of the image.
    field : ndarray, float32
        Gain field, positive, on the image's spatial grid; its geometric mean over the foreground is 1.
    foreground : ndarray of bool
        The voxels with signal that the field was estimated from, on the same grid.
    device : torch.device
        Where the field was estimated.
    verdict : str
        ``corrected``, ``nothing to correct`` or ``doubtful``.
    reasons : tuple of str
        Why it is doubtful, each with what to do.
    field_sd_median, field_sd_p95 : float
        Standard deviation of the log field as estimated, median and 95th percentile over the foreground.
    uncertainty : ndarray, float32, optional
        Map of that standard deviation, if asked for.
    """

    corrected: NDArray[np.float32]
    field: NDArray[np.float32]
    foreground: NDArray[np.bool_]
    device: torch.device = CPU
    verdict: str = "corrected"
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
    """Estimate the gain field of an image and divide it out.

    Parameters
    ----------
    image : array_like, shape (X, Y), (X, Y, Z) or (X, Y, Z, T)
        Magnitudes of any scale. Volumes of a series share one field, estimated from their mean.
    voxel_size : tuple of float
        Size along the two or three spatial axes, mm.
    network : GetNet
        Trained, on the device that is to be used. Where that has no memory for the volume, the CPU is taken, and a
        warning is logged.
    mask : array_like, optional, spatial shape
        Where above 0 the field is fitted; needed by nothing. The network sees the whole image all the same.
    options : Options, optional

    Returns
    -------
    CorrectedVolume

    Raises
    ------
    ValueError
        The image has no usable signal, or shapes do not fit.
    """
    options = options or Options()
    image = checked(image)
    spatial = image.shape[:3]
    sizes = [float(v) for v in voxel_size]
    if len(sizes) != len(spatial) or not all(np.isfinite(v) and v > 0 for v in sizes):
        raise GetNetError(f"voxel_size must be {len(spatial)} sizes above 0 mm, not {voxel_size}")
    voxel = (sizes[0], sizes[1], sizes[2] if len(sizes) > 2 else max(sizes))
    inside = None if mask is None else usable_mask(mask, spatial)
    device = next(network.parameters()).device
    estimated = unless_out_of_memory(partial(estimate, image, voxel, network, inside, options))
    if estimated is None:
        LOG.warning("%s has no memory left for an image of %s voxels: corrected on the CPU", device, image.shape)
        device, substitute = CPU, network.copied_to_cpu()
        estimated = unless_out_of_memory(partial(estimate, image, voxel, substitute, inside, options))
    if estimated is None:
        raise MemoryError(f"out of memory for an image of {image.shape} voxels; give the job more")
    field = estimated.field
    corrected = image / (field if image.ndim < 4 else field[..., None])
    verdict, reasons = judge(estimated.evidence)
    return CorrectedVolume(
        corrected,
        field,
        estimated.chosen,
        device,
        verdict,
        reasons,
        estimated.evidence.sd_median,
        estimated.evidence.sd_p95,
        estimated.uncertainty,
    )


@dataclass(frozen=True)
class Estimation:
    """A field on an image's grid, and what speaks for it.

    Parameters
    ----------
    field : ndarray, float32, spatial shape
    chosen : ndarray of bool, spatial shape
        The voxels that it was estimated from.
    evidence : Evidence
        What the verdict is made of.
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
        Where the object is, in the part of the volume that was looked at.
    planes : list of Plane
        Where the slices that the network saw lie.
    log_gain, weights : list of Tensor, each shape (S, 16, 16)
        The network's answer for each plane's slices, and what each cell counts.
    network, refined : Posterior
        The log field from the network alone, and refined (the same where no refinement was asked for).
    """

    box: Box
    planes: list[Plane]
    log_gain: list[Tensor]
    weights: list[Tensor]
    network: Posterior
    refined: Posterior


def estimate(
    image: NDArray[np.float32],
    voxel: tuple[float, float, float],
    network: GetNet,
    mask: NDArray[np.bool_] | None,
    options: Options,
) -> Estimation:
    """Estimate the bias field of an image.

    Parameters
    ----------
    image : ndarray, shape (X, Y), (X, Y, Z) or (X, Y, Z, T)
    voxel : tuple of float
        mm.
    network : GetNet
    mask : ndarray of bool, optional, spatial shape
    options : Options

    Returns
    -------
    Estimation
    """
    spatial = image.shape[:3]
    device = next(network.parameters()).device
    mean = mean_volume(image)
    evidence = Evidence.of_image(mean)
    volume = torch.from_numpy(scaled(without_background(mean, evidence.background))).to(device)
    volume = volume[:, :, None] if volume.ndim == 2 else volume
    part = support(volume)  # a margin of 0 tells nothing, and must not change where the object's border is
    foreground = torch.zeros_like(volume, dtype=torch.bool)
    foreground[part] = find_foreground(volume[part], voxel)
    if (blurred := blurred_parts(volume[part], foreground[part])) is not None:
        foreground[part] &= ~blurred
    slabs_per_chunk = at_once(volume.permute(2, 1, 0), 1)
    for values, kept in zip(volume.split(slabs_per_chunk, 2), foreground.split(slabs_per_chunk, 2), strict=True):
        values.mul_(kept.view(torch.uint8))
    inside = None if mask is None else torch.from_numpy(mask).to(device).reshape(volume.shape)
    chosen = foreground if inside is None else foreground & inside
    if int(torch.count_nonzero(chosen)) < MIN_VOXELS:
        what = "; look whether it is a magnitude image of an object"
        if mask is not None:
            what = " inside the mask; leave the mask out, or give the right one"
        raise GetNetError(f"fewer than {MIN_VOXELS} voxels have signal above the noise{what}")
    fit_mask = None if inside is None else inside[part]
    stages = estimate_log_field(volume[part], voxel, network, fit_mask, options)
    posterior = stages.refined
    basis = posterior.basis.moved([along.start * size for along, size in zip(part, voxel, strict=True)])
    del volume, foreground  # the memory is needed again
    field = gain_field(basis, posterior.theta.to(device), voxel, chosen)
    median, p95, coarse = field_sd(basis, posterior.root, voxel, chosen)
    uncertainty = resize(coarse, tuple(chosen.shape)).reshape(spatial, order="F") if options.uncertainty else None
    field_array = field.cpu().numpy().reshape(spatial, order="F")
    chosen_array = chosen.cpu().numpy().reshape(spatial, order="F")
    evidence = evidence.with_field(mean, field_array, chosen_array, median, p95, voxel)
    return Estimation(field_array, chosen_array, evidence, uncertainty)


def estimate_log_field(
    volume: Tensor, voxel: tuple[float, float, float], network: GetNet, mask: Tensor | None, options: Options
) -> Stages:
    """Estimate the log field of a volume.

    Parameters
    ----------
    volume : Tensor, shape (X, Y, Z), float32
        Magnitudes, 0 in the background.
    voxel : tuple of float
        mm.
    network : GetNet
    mask : Tensor of bool, optional, shape (X, Y, Z)
        The voxels that the field is fitted to.
    options : Options

    Returns
    -------
    Stages
    """
    box = Box.around(volume.bool(), voxel)
    length = options.smoothness or SMOOTHNESS * box.extent / HEAD
    basis = Basis.over(box, min(max(length, ROUGHEST * box.extent), SMOOTHEST * box.extent))
    planes = choose_planes(tuple(volume.shape), voxel, box, SLICES)
    fitted = volume if mask is None else volume * mask

    def extract_slices(of: Tensor) -> Tensor:
        return torch.cat([slices_of(of, plane, voxel, box) for plane in planes])

    slices = extract_slices(volume)
    counted = slices if mask is None else extract_slices(fitted)
    shares = F.avg_pool2d((counted > 0).float(), CELL)[:, 0]
    log_gain, log_spread = run_network(network, slices, options)
    counts = [len(plane.index) for plane in planes]
    cells = list(log_gain.split(counts))
    weights = list((shares * torch.exp(-2 * log_spread)).split(counts))
    theta = fuse(basis, planes, cells, weights, STIFFNESS).cpu()
    expected = float((log_spread.exp() * shares).sum() / shares.sum().clamp_min(1e-6)) * SD_OF_ABSOLUTE
    alone = Posterior.before_refinement(basis, theta, expected)
    refined = alone
    if options.refine:
        refined = refine_field(SampledLogImage.of(fitted, voxel, box), box, alone, expected)
    return Stages(box, planes, cells, weights, alone, refined)


def run_network(network: GetNet, slices: Tensor, options: Options) -> tuple[Tensor, Tensor]:
    """Run the network over slices, fewer at a time where its device has no memory for a batch.

    Parameters
    ----------
    network : GetNet
    slices : Tensor, shape (N, 1, 256, 256)
    options : Options

    Returns
    -------
    log_gain, log_spread : Tensor, each shape (N, 16, 16), float32
    """
    low = reduced_precision(options.precision, slices.device)

    def run(size: int) -> tuple[Tensor, Tensor]:
        with torch.no_grad(), torch.autocast(slices.device.type, torch.bfloat16, enabled=low):
            gains, spreads = zip(*(network.log_gain(part) for part in slices.split(size)), strict=True)
        return torch.cat(gains), torch.cat(spreads)

    size = min(len(slices), options.batch_size)
    while size > 1:
        done = unless_out_of_memory(partial(run, size))
        if done is not None:
            return done
        size = (size + 1) // 2
    return run(size)


def reduced_precision(precision: str, device: torch.device) -> bool:
    """Whether the network runs in bfloat16."""
    if precision == "auto":
        if device.type == "cuda":
            return torch.cuda.is_bf16_supported()
        # No public function tells this; a torch that lacks this one takes float32.
        supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        return device.type == "cpu" and supported is not None and bool(supported())
    return precision == "bfloat16"
