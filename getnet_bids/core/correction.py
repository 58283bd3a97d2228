"""Correct a volume: estimate its field, divide it by the field, and judge the result."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from getnet_bids.errors import GetNetError

from . import CORRECTED
from .device import default_arithmetic, unless_out_of_memory
from .estimation import Estimation, estimate
from .network import GetNet
from .options import Options
from .preparation import Prepared
from .verdict import judge
from .voxels import checked, usable_mask

LOG = logging.getLogger(__name__)
CPU = torch.device("cpu")


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
    known_fields_found : float
        Fraction of known fields, multiplied onto the image's slices, which the network found.
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
    known_fields_found: float = float("nan")
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
    options = Options() if options is None else options
    if not isinstance(options, Options):
        raise GetNetError(f"options must be getnet_bids.Options(...), not {type(options).__name__}")
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
        evidence.found,
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
    nan = float("nan")
    return replace(volume, field_sd_median=nan, field_sd_p95=nan, known_fields_found=nan)
