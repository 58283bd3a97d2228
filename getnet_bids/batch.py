"""Correct a batch of torch tensors on its own device."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as of_dataclass

import torch
from torch import Tensor

from .containers import as_sizes
from .core.correction import correct_volume
from .core.options import Options
from .errors import GetNetError, errors_about
from .weights import load_network


@dataclass(frozen=True, eq=False)
class CorrectedBatch:
    """A corrected batch, its bias fields, and the verdicts.

    Parameters
    ----------
    image : Tensor, shape of the batch, float32
        The corrected images.
    field : Tensor, shape of the batch, float32
        Bias fields; `image` times `field` is the input.
    verdicts : list of list of str, B by C
        ``corrected``, ``nothing to correct`` or ``doubtful``.
    reasons : list of list of tuple of str, B by C
        Why each doubtful result is doubtful.
    uncertainty : Tensor or None, shape of the batch, float32
        Standard deviation of each log field (natural logarithm), if `Options.uncertainty` is set.
    """

    image: Tensor = of_dataclass(repr=False)
    field: Tensor = of_dataclass(repr=False)
    verdicts: list[list[str]]
    reasons: list[list[tuple[str, ...]]]
    uncertainty: Tensor | None = of_dataclass(default=None, repr=False)


def correct_batch(
    batch: Tensor,
    voxel_size: float | Sequence[float],
    *,
    mask: Tensor | None = None,
    weights: str | os.PathLike[str] | None = None,
    options: Options | None = None,
) -> CorrectedBatch:
    """Correct each channel of each item of a batch, on the device of the batch.

    The result and the time are those of `getnet_bids.correct` for each image. The function is not differentiable.

    Parameters
    ----------
    batch : Tensor, shape (B, C, X, Y) or (B, C, X, Y, Z)
        Magnitudes of any scale and real type; each channel has its own field.
    voxel_size : float or sequence of float
        Along the two or three spatial axes, mm; the same for all items.
    mask : Tensor, shape (B, 1, ...), optional
        The fields are fitted where the mask is above 0. A mask is not needed.
    weights : str or path, optional
        File of the network's weights; default: the package's own.
    options : Options, optional
        The options that change the result.

    Returns
    -------
    CorrectedBatch
        On the device of the batch.

    Raises
    ------
    GetNetError
        Shapes do not fit, or an item cannot be corrected; the message says which.

    Examples
    --------
    >>> ball = sum(x**2 for x in torch.meshgrid(*[torch.linspace(-1, 1, 32)] * 3, indexing="ij")) < 0.8
    >>> batch = torch.stack([ball, 2 * ball])[:, None].float()
    >>> result = correct_batch(batch, voxel_size=6)
    >>> result.image.shape, torch.allclose(result.image * result.field, batch)
    (torch.Size([2, 1, 32, 32, 32]), True)
    """
    for one in (batch, mask):
        if one is not None and not isinstance(one, Tensor):
            raise GetNetError(f"a batch and its mask are torch tensors, not {type(one).__name__}; see torch.from_numpy")
    if batch.ndim not in (4, 5) or batch.is_complex():
        raise GetNetError(
            f"a batch has shape (B, C, X, Y) or (B, C, X, Y, Z) and holds magnitudes, not {batch.dtype} of shape "
            f"{tuple(batch.shape)}"
        )
    space = batch.shape[2:]
    if mask is not None and mask.shape != (len(batch), 1, *space):
        raise GetNetError(f"the mask of the batch must have shape {(len(batch), 1, *space)}, not {tuple(mask.shape)}")
    sizes = as_sizes(voxel_size, len(space))
    network = load_network(weights, str(batch.device))
    corrected = torch.empty_like(batch, dtype=torch.float32, requires_grad=False)
    field, verdicts, reasons = torch.empty_like(corrected), [], []
    uncertainty = torch.empty_like(corrected) if options is not None and options.uncertainty else None
    # The correction takes arrays in NIfTI's order, first axis fastest; copying them to the CPU costs little time.
    arrays = batch.detach().to("cpu", torch.float32).numpy()
    masks = None if mask is None else mask.detach().cpu().numpy()
    for i, item in enumerate(arrays):
        volumes = []
        for j, image in enumerate(item):
            with errors_about(f"item {i}, channel {j} of the batch"):
                volume = correct_volume(image, tuple(sizes), network, None if masks is None else masks[i, 0], options)
            corrected[i, j] = torch.from_numpy(volume.corrected)
            field[i, j] = torch.from_numpy(volume.field)
            if uncertainty is not None:
                uncertainty[i, j] = torch.from_numpy(volume.uncertainty)
            volumes.append(volume)
        verdicts.append([volume.verdict for volume in volumes])
        reasons.append([volume.reasons for volume in volumes])
    return CorrectedBatch(corrected, field, verdicts, reasons, uncertainty)
