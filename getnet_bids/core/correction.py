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

from .device import at_once, torch_threads, unless_out_of_memory
from .foreground import find_foreground
from .fusion import Basis, fuse
from .geometry import Box, choose_planes, slices_of, support
from .network import CELL, GetNet
from .refine import refine_field
from .voxels import checked, mean_volume, scaled, usable_mask

LOG = logging.getLogger(__name__)
CPU = torch.device("cpu")

HEAD = 220.0
"""Extent of a head, mm. Lengths given for a head are scaled by the object's extent over this."""
SMOOTHNESS = 70.0
"""Half wave length below which a head's field is suppressed, mm."""
STIFFNESS = 1e-4
"""Weight of the roughness penalty in the fusion."""
SLICES, SLICES_ALONE = 10, 24
"""Slices along the object's longest extent: for a start to be refined, and for a field of the network alone."""
ANSWERS = 0.8, 1.2
"""Smallest and largest share of a field that the network is believed to have found."""
LEAST = 64
"""A field is estimated from at least so many voxels."""
SLAB = 2**18
"""Voxels of the field that are computed at a time, so that they stay in the processor's cache."""


@dataclass(frozen=True)
class Options:
    """All that changes a result.

    Parameters
    ----------
    smoothness : float, optional
        Details of the field finer than this are suppressed, mm; default 70 mm for a head, and for other objects in
        proportion to their extent.
    refine : bool
        Sharpen the histogram from where the network's field leaves it.
    precision : {"auto", "float32", "bfloat16"}
        Of the network; ``auto`` takes bfloat16 where the processor has it.
    batch_size : int
        Slices at a time, fewer where the device has no memory for them; changes results by rounding alone.
    """

    smoothness: float | None = None
    refine: bool = True
    precision: str = "auto"
    batch_size: int = 32

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
    """

    corrected: NDArray[np.float32]
    field: NDArray[np.float32]
    foreground: NDArray[np.bool_]
    device: torch.device = CPU


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
    field, chosen = estimated
    corrected = image / (field if image.ndim < 4 else field[..., None])
    return CorrectedVolume(corrected, field, chosen, device)


def estimate(
    image: NDArray[np.float32],
    voxel: tuple[float, float, float],
    network: GetNet,
    mask: NDArray[np.bool_] | None,
    options: Options,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Estimate the gain field of an image.

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
    field : ndarray, float32, spatial shape
    chosen : ndarray of bool, spatial shape
        The voxels that it was estimated from.
    """
    spatial = image.shape[:3]
    device = next(network.parameters()).device
    seen = torch.from_numpy(scaled(mean_volume(image))).to(device)
    seen = seen[:, :, None] if seen.ndim == 2 else seen
    part = support(seen)  # a margin of 0 tells nothing, and must not change where the object's border is
    foreground = torch.zeros_like(seen, dtype=torch.bool)
    foreground[part] = find_foreground(seen[part], voxel)
    few = at_once(seen.permute(2, 1, 0), 1)
    for values, kept in zip(seen.split(few, 2), foreground.split(few, 2), strict=True):
        values.mul_(kept.view(torch.uint8))
    inside = None if mask is None else torch.from_numpy(mask).to(device).reshape(seen.shape)
    chosen = foreground if inside is None else foreground & inside
    if int(torch.count_nonzero(chosen)) < LEAST:
        what = "; look whether it is a magnitude image of an object"
        if mask is not None:
            what = " inside the mask; leave the mask out, or give the right one"
        raise GetNetError(f"fewer than {LEAST} voxels have signal above the noise{what}")
    fitted = None if inside is None else inside[part]
    basis, theta = estimate_log_field(seen[part], voxel, network, fitted, options)
    basis = basis.moved([along.start * size for along, size in zip(part, voxel, strict=True)])
    del seen, foreground  # the memory is needed again
    field = gain_field(basis, theta, voxel, chosen).cpu().numpy().reshape(spatial, order="F")
    return field, chosen.cpu().numpy().reshape(spatial, order="F")


def estimate_log_field(
    volume: Tensor, voxel: tuple[float, float, float], network: GetNet, mask: Tensor | None, options: Options
) -> tuple[Basis, Tensor]:
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
    basis : Basis
    theta : Tensor, shape `basis.count`
        The coefficients, up to a constant.
    """
    box = Box.around(volume.bool(), voxel)
    basis = Basis.over(box, options.smoothness or SMOOTHNESS * box.extent / HEAD)
    planes = choose_planes(tuple(volume.shape), voxel, box, SLICES if options.refine else SLICES_ALONE)
    fitted = volume if mask is None else volume * mask

    def pictures(of: Tensor) -> Tensor:
        return torch.cat([slices_of(of, plane, voxel, box) for plane in planes])

    def ask(slices: Tensor) -> Tensor:
        log_gain, log_spread = run_network(network, slices, options)
        counts = [len(plane.index) for plane in planes]
        weights = shares * torch.exp(-2 * log_spread)
        return fuse(basis, planes, list(log_gain.split(counts)), list(weights.split(counts)), STIFFNESS)

    shown = pictures(volume)
    shares = F.avg_pool2d(((shown if mask is None else pictures(fitted)) > 0).float(), CELL)[:, 0]
    theta = ask(shown)
    if options.refine:
        return refine_field(fitted, voxel, box, basis, theta)
    there = fitted > 0
    gain = gain_field(basis, theta, voxel, there)
    left = gain_field(basis, ask(pictures(volume / gain)), voxel, there)
    with torch_threads(1):  # or the last bits of sums would depend on their number
        return basis, theta / answer(gain.log_(), left.log_(), there)


def answer(found: Tensor, left: Tensor, where: Tensor) -> float:
    """Tell how much of a field the network finds, from what it still finds where its field is divided out.

    Were nothing but the field to answer to, it would find none the second time. NeedNet's equation asks that
    G(v k) / G(v) be k, for whatever image v: what an image itself is taken for is in both, and cancels.

    Parameters
    ----------
    found, left : Tensor, same shape
        Log fields of the image, and of the image divided by the first.
    where : Tensor of bool, same shape

    Returns
    -------
    float
        1 if all of it was found, less if the network's field is too weak; within `ANSWERS`.

    Examples
    --------
    >>> field, anatomy = torch.tensor([-0.2, 0.0, 0.2]), torch.tensor([0.01, -0.02, 0.01])
    >>> first = 0.9 * field + anatomy
    >>> round(answer(first, 0.9 * (field - first) + anatomy, torch.ones(3, dtype=torch.bool)), 3)
    0.9
    """
    x, y = found[where].double(), left[where].double()
    x -= x.mean()
    energy = float(x.square().sum())
    share = float((x * (x - y)).sum()) / energy if energy > 0 else 1.0
    return min(max(share, ANSWERS[0]), ANSWERS[1])


def gain_field(basis: Basis, theta: Tensor, voxel: tuple[float, float, float], chosen: Tensor) -> Tensor:
    """Evaluate the gain field on the whole grid, a slab of some slices at a time.

    Parameters
    ----------
    basis : Basis
    theta : Tensor, shape `basis.count`
        Coefficients of its logarithm.
    voxel : tuple of float
        mm.
    chosen : Tensor of bool, shape (X, Y, Z)
        Over these its geometric mean is 1, and it goes nowhere beyond the values that it has there.

    Returns
    -------
    Tensor, shape (X, Y, Z), float32
        The first axis is the fastest in memory.
    """
    slabs = chosen.permute(2, 1, 0).view(torch.uint8)  # with which everything is many times faster
    position = [(np.arange(n, dtype=np.float64) + 0.5) * v for n, v in zip(chosen.shape, voxel, strict=True)]
    x, y, z = (basis.along(axis, p, theta.device) for axis, p in enumerate(position))
    lines = (z @ torch.einsum("yj,ijk->kyi", y, theta).flatten(1)).float().unflatten(1, (len(y), -1))
    x = x.T.float()
    field = torch.empty(slabs.shape, device=chosen.device)
    some = at_once(slabs, SLAB // slabs[0].numel())
    # Differences from the field in one of the chosen voxels: what is not chosen counts 0 in sums and at both ends.
    slab = int(slabs.flatten(1).amax(1).argmax())
    row, column = divmod(int(slabs[slab].flatten().argmax()), slabs.shape[2])
    lines[..., 0] -= lines[slab, row] @ x[:, column]
    ends: list[Tensor] = []
    total = theta.new_zeros(())
    with torch_threads(1):  # on several the last bits depend on how many
        for inside, part in zip(slabs.split(some), lines.split(some), strict=True):
            counted = torch.mm(part.flatten(0, 1), x, out=field[: len(part)].flatten(0, 1)).mul_(inside.flatten(0, 1))
            total += counted.sum(1).double().sum()
            ends.append(torch.stack(counted.aminmax()))
        mean = (total / torch.count_nonzero(chosen)).float()
        lines[..., 0] -= mean
        # Where there is no signal the field is extrapolated: not beyond what it reaches where there is.
        low, high = (torch.stack(ends).T - mean).tolist()
        low, high = min(low), max(high)
        for part, gain in zip(lines.split(some), field.split(some), strict=True):
            torch.mm(part.flatten(0, 1), x, out=gain.flatten(0, 1)).clamp_(low, high).exp_()
    return field.permute(2, 1, 0)


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
        return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return precision == "bfloat16"
