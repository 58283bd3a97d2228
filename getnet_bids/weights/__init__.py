"""The trained weights of the package, and networks with given weights."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from getnet_bids.errors import GetNetError

if TYPE_CHECKING:
    import torch

    from getnet_bids.core.network import GetNet


def default_weights() -> Path:
    """Return the path of the package's weights.

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
    """Return a network with given weights on a device; the four most recent ones are cached.

    Parameters
    ----------
    weights : str or path, optional
        A safetensors file as written by `getnet-train`; default: the package's own.
    device : str or torch.device
        As for `getnet_bids.core.device.resolve_device`.

    Returns
    -------
    GetNet
        In evaluation mode.

    Raises
    ------
    FileNotFoundError
        The file does not exist.
    ValueError
        The file does not contain weights of a GetNet, or the device is not available.
    """
    from getnet_bids.core.device import resolve_device

    path = default_weights() if weights is None else Path(weights).resolve()
    if path.is_dir():
        raise GetNetError("is a folder; give a file of weights", path)
    where = str(resolve_device(device))
    return _loaded(path, path.stat().st_mtime_ns, where)


@lru_cache(maxsize=4)
def _loaded(path: Path, modified: int, device: str) -> GetNet:
    from getnet_bids.core.network import load_weights

    return load_weights(path).to(device)
