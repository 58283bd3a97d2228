"""The trained weights that come with the package, and networks made of weights."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from getnet_bids.core.network import GetNet


def default_weights() -> Path:
    """Return the path of the weights that come with the package.

    Returns
    -------
    Path
        A safetensors file; its model card lies beside it.

    Raises
    ------
    FileNotFoundError
        The package was installed without them.
    """
    path = Path(__file__).with_name("getnet.safetensors")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: the package's weights are missing; install getnet_bids again")
    return path


def load_network(weights: str | os.PathLike[str] | None = None, device: str | torch.device = "auto") -> GetNet:
    """Return the network with some weights on a device; the same again is not read again.

    Parameters
    ----------
    weights : str or path, optional
        A safetensors file as `getnet-train` writes; default the package's own.
    device : str or torch.device
        As for `getnet_bids.core.device.resolve_device`.

    Returns
    -------
    GetNet
        In evaluation mode.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is not the weights of a GetNet, or the device is not there.
    """
    from getnet_bids.core.device import resolve_device

    path = default_weights() if weights is None else Path(weights).resolve()
    where = str(resolve_device(device))
    return _loaded(path, path.stat().st_mtime_ns, where)


@lru_cache(maxsize=4)
def _loaded(path: Path, modified: int, device: str) -> GetNet:
    from getnet_bids.core.network import load_weights

    return load_weights(path).to(device)
