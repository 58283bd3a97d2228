"""GetNet intensity correction of MR images.

>>> import getnet_bids
>>> result = getnet_bids.correct("sub-01_T1w.nii.gz")  # doctest: +SKIP
>>> result.image.to_filename("corrected.nii.gz")  # doctest: +SKIP
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from dataclasses import field as of_dataclass
from typing import TYPE_CHECKING, Any

from .core import CORRECTED
from .errors import GetNetError, errors_about

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from .batch import CorrectedBatch, correct_batch
    from .core.options import Options

__version__ = "1.0.0rc1"
__all__ = ["CorrectedBatch", "Correction", "GetNetError", "Options", "correct", "correct_batch"]

# Otherwise each new nipype interface would ask a server for nipype's latest version.
os.environ.setdefault("NO_ET", "1")


@dataclass(frozen=True, eq=False)
class Correction:
    """A corrected image, its bias field, and a verdict on the result.

    Parameters
    ----------
    image : nibabel, SimpleITK or ANTs image, or ndarray
        The corrected image, float32, of the same kind as the input and with its header; a nibabel image for a path.
    field : same kind as `image`
        The bias field, float32, positive, on the image's spatial grid; its geometric mean over the foreground is 1.
        `image` times `field` is the input.
    foreground : ndarray of bool, spatial shape of the image
        The voxels from which the field was estimated.
    verdict : {"corrected", "nothing to correct", "doubtful"}
        With ``nothing to correct``, the field varies by less than its uncertainty; the image is still divided by it.
    reasons : tuple of str
        Why the result is doubtful: sentences, each with what to do.
    field_sd_median, field_sd_p95 : float
        Standard deviation of the estimated log field, which is about the relative uncertainty of the field: median and
        95th percentile over the foreground.
    known_fields_found : float
        Fraction of known fields, multiplied onto the image's slices as a test, which the network found: 1 if it tells
        shading from anatomy.
    uncertainty : same kind as `field`, optional
        Map of that standard deviation, with ``Options(uncertainty=True)``.
    """

    image: Any = of_dataclass(repr=False)
    field: Any = of_dataclass(repr=False)
    foreground: NDArray[np.bool_] = of_dataclass(repr=False)
    verdict: str = CORRECTED
    reasons: tuple[str, ...] = ()
    field_sd_median: float = float("nan")
    field_sd_p95: float = float("nan")
    known_fields_found: float = float("nan")
    uncertainty: Any = of_dataclass(default=None, repr=False)


def correct(
    image: Any,
    *,
    voxel_size: float | Sequence[float] | None = None,
    mask: Any = None,
    bvals: str | os.PathLike[str] | Sequence[float] | None = None,
    weights: str | os.PathLike[str] | None = None,
    device: str | torch.device = "auto",
    options: Options | None = None,
) -> Correction:
    """Correct the bias field of an MR image.

    Parameters
    ----------
    image : str, path, nibabel, SimpleITK or ANTs image, or array_like, shape (X, Y), (X, Y, Z) or (X, Y, Z, T)
        A magnitude image in any orientation. The volumes of a 4-D image share one field.
    voxel_size : float or sequence of float, optional
        Voxel size of an array along its spatial axes, mm; images have their own.
    mask : same kinds as `image`, optional
        The field is fitted where the mask is above 0. A mask is not needed, and the field is evaluated everywhere.
    bvals : str, path or sequence of float, optional
        The b-values of a diffusion series, s/mm2, or a file of them. The field is then estimated from the mean of the
        volumes with b up to 50, or of the lowest shell if there are none, instead of the mean of all volumes.
    weights : str or path, optional
        File of the network's weights; default: the package's own.
    device : str or torch.device
        ``auto`` (CUDA if available, otherwise the CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    options : Options, optional
        The options that change the result.

    Returns
    -------
    Correction

    Raises
    ------
    GetNetError
        The image, mask, weights or device cannot be used; the message says why.
    OSError
        A file does not exist or cannot be read.
    """
    from . import images, masks
    from .containers import as_mask, as_nibabel
    from .core.correction import correct_volume
    from .core.device import default_arithmetic
    from .headers import add_header_reasons
    from .weights import load_network

    with default_arithmetic():
        name = image if isinstance(image, str | os.PathLike) else None
        source, in_kind = as_nibabel(images.read(image) if name is not None else image, voxel_size)
        inside = None
        if mask is not None:
            path = mask if isinstance(mask, str | os.PathLike) else None
            given = images.read(mask) if path is not None else mask
            inside = masks.mask_for(source, as_mask(given, source, in_space=voxel_size is None), path)
        voxels = images.magnitudes(source, name)
        size = images.voxel_size(source, name)
        voxels = voxels.reshape(voxels.shape[:4])
        averaged = voxels
        if bvals is not None:
            from .bvals import bvals_of, volumes_for_field

            chosen, _ = volumes_for_field(math.prod(voxels.shape[3:]), bvals_of(bvals), name)
            averaged = voxels if chosen is None else voxels[..., chosen]
        network = load_network(weights, device)
        with errors_about(name) if name is not None else nullcontext():
            volume = correct_volume(averaged, size, network, inside, options)
        volume = add_header_reasons(volume, source, size, options.smoothness if options is not None else None)
        corrected = volume.corrected if averaged is voxels else voxels / volume.field[..., None]
    return Correction(
        in_kind(corrected.reshape(source.shape)),
        in_kind(volume.field),
        volume.foreground,
        volume.verdict,
        volume.reasons,
        volume.field_sd_median,
        volume.field_sd_p95,
        volume.known_fields_found,
        None if volume.uncertainty is None else in_kind(volume.uncertainty),
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    # These need torch, which takes seconds to import, so they are imported only on demand.
    if name == "Options":
        from .core.options import Options

        return Options
    if name in ("CorrectedBatch", "correct_batch"):
        from . import batch

        return getattr(batch, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
