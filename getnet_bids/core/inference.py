"""The network run over slices: in which precision, and how many at a time."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from .device import unless_out_of_memory
from .network import GetNet


def run_network(network: GetNet, slices: Tensor, precision: str, batch_size: int) -> tuple[Tensor, Tensor]:
    """Run the network over slices, fewer at a time where its device has no memory for a batch.

    Parameters
    ----------
    network : GetNet
    slices : Tensor, shape (N, 1, 256, 256)
    precision : {"auto", "float32", "bfloat16"}
    batch_size : int
        Largest number of slices at a time.

    Returns
    -------
    log_gain, log_spread : Tensor, each shape (N, 16, 16), float32
    """
    low = reduced_precision(precision, slices.device)

    def run(size: int) -> tuple[Tensor, Tensor]:
        with torch.no_grad(), torch.autocast(slices.device.type, torch.bfloat16, enabled=low):
            gains, spreads = zip(*(network.log_gain(part) for part in slices.split(size)), strict=True)
        return torch.cat(gains), torch.cat(spreads)

    size = min(len(slices), batch_size)
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
