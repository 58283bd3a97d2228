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

from .errors import GetNetError, errors_about

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from .batch import CorrectedBatch, correct_batch
    from .core.correction import Options

__version__ = "1.0.0rc1"
__all__ = ["CorrectedBatch", "Correction", "GetNetError", "Options", "correct", "correct_batch"]

# Or each nipype interface that is made would ask a server for nipype's newest version.
os.environ.setdefault("NO_ET", "1")


@dataclass(frozen=True, eq=False)
class Correction:
    """A corrected image and what it was divided by.

    Parameters
    ----------
    image : nibabel, SimpleITK or ANTs image, or ndarray
        The corrected image, float32, of the kind given and with its header; of a path a nibabel image.
    field : of the same kind
        The bias field, float32, positive, on the image's spatial grid; its geometric mean over the foreground is 1.
        Image times field is the image given.
    foreground : ndarray of bool, spatial shape of the image
        The voxels that the field was estimated from.
    verdict : {"corrected", "nothing to correct", "doubtful"}
        ``nothing to correct``: the field varies by less than its uncertainty; the image is divided by it nevertheless.
    reasons : tuple of str
        Why it is doubtful: sentences, each with what to do.
    field_sd_median, field_sd_p95 : float
        Standard deviation of the estimate of the log field, about the relative uncertainty of the field: median and
        95th percentile over the foreground.
    uncertainty : of the same kind as the field, optional
        Map of that standard deviation, with ``Options(uncertainty=True)``.
    """

    image: Any = of_dataclass(repr=False)
    field: Any = of_dataclass(repr=False)
    foreground: NDArray[np.bool_] = of_dataclass(repr=False)
    verdict: str = "corrected"
    reasons: tuple[str, ...] = ()
    field_sd_median: float = float("nan")
    field_sd_p95: float = float("nan")
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
    """Correct the intensity of an MR image.

    Parameters
    ----------
    image : str, path, nibabel, SimpleITK or ANTs image, or array_like, shape (X, Y), (X, Y, Z) or (X, Y, Z, T)
        Magnitudes in any orientation. Volumes of a 4-D image share one field.
    voxel_size : float or sequence of float, optional
        Of an array, along its spatial axes, mm; images have their own.
    mask : as `image`, optional
        Above 0 where the field is to be fitted. Not needed, and the field is given everywhere all the same.
    bvals : str, path or sequence of float, optional
        Of a diffusion series, s/mm2, or a file of them: the field is estimated from the mean of the volumes with b up
        to 50, or of the lowest shell where there are none, instead of that of all volumes.
    weights : str or path, optional
        Default the package's own.
    device : str or torch.device
        ``auto`` (CUDA if there is one, else the CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    options : Options, optional
        All that changes the result.

    Returns
    -------
    Correction

    Raises
    ------
    GetNetError
        An image, mask, weights or device that cannot be used; the message says why.
    OSError
        A file that is not there or cannot be read.
    """
    from . import images, masks
    from .containers import as_mask, as_nibabel
    from .core.correction import correct_volume
    from .core.device import default_arithmetic
    from .lengths import with_lengths
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
        taken = voxels
        if bvals is not None:
            from .series import bvals_of, volumes_for_field

            count = math.prod(voxels.shape[3:])
            taken = voxels if count == 1 else voxels[..., volumes_for_field(count, bvals_of(bvals), name)[0]]
        network = load_network(weights, device)
        with errors_about(name) if name is not None else nullcontext():
            volume = correct_volume(taken, size, network, inside, options)
        volume = with_lengths(volume, source, size, options.smoothness if options is not None else None)
        corrected = volume.corrected if taken is voxels else voxels / volume.field[..., None]
    return Correction(
        in_kind(corrected.reshape(source.shape)),
        in_kind(volume.field),
        volume.foreground,
        volume.verdict,
        volume.reasons,
        volume.field_sd_median,
        volume.field_sd_p95,
        None if volume.uncertainty is None else in_kind(volume.uncertainty),
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    # These need torch, which takes seconds to import: only when asked for.
    if name == "Options":
        from .core.correction import Options

        return Options
    if name in ("CorrectedBatch", "correct_batch"):
        from . import batch

        return getattr(batch, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
