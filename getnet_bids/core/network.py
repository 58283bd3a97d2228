"""GetNet, which maps a slice of 256x256 pixels to its gain field on 16x16 cells, and how it is run over many slices.

The network of Simko et al., "A Generalized Network for MRI Intensity Normalization" (MIDL 2019), is a modified
ResNet. The paper does not specify its layers; these are chosen so that a CPU processes a whole head in about a second:
3.9 million parameters, 0.76 billion multiply-adds per slice, and no normalisation layer, so that the result for a slice
does not depend on the other slices of its batch.
"""

from __future__ import annotations

import hashlib
import json
import math
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from getnet_bids.errors import GetNetError

from .device import has_float64, unless_out_of_memory

SLICE = 256
"""Side of a slice, pixels."""
CELLS = 16
"""Side of the grid of the gain, cells."""
CELL = SLICE // CELLS
"""Side of a cell, pixels."""
MAX_PIXEL = 1e35
"""Limit to which brighter pixels are set, so that the sum of a row does not exceed float32."""
MAX_LAYER_SIZE = 1024
"""Largest width and depth, so that a damaged file cannot fill the memory."""
FORMAT = "1"
"""Format of the weights' files; files of another format are refused."""
READ_ERRORS = (SafetensorError, AttributeError, KeyError, RecursionError, RuntimeError, TypeError, ValueError)
"""Errors that are raised for a file with other content."""
MAX_REASON = 300
"""Number of characters of an error that are passed on, since torch lists every tensor that does not fit."""


@dataclass(frozen=True)
class GetNetConfig:
    """The configuration of the network's layers.

    Parameters
    ----------
    widths : tuple of int
        Number of channels at 64x64, 32x32, 16x16 and 8x8.
    depths : tuple of int
        Number of residual blocks at each of these.
    bound : float
        Limit of the absolute natural logarithm of the gain.
    """

    widths: tuple[int, int, int, int] = (32, 64, 96, 160)
    depths: tuple[int, int, int, int] = (1, 3, 5, 5)
    bound: float = 3.0

    def __post_init__(self) -> None:
        for numbers in (self.widths, self.depths):
            if len(numbers) != 4 or not all(isinstance(n, int) and 1 <= n <= MAX_LAYER_SIZE for n in numbers):
                raise ValueError(
                    f"widths and depths must be four whole numbers from 1 to {MAX_LAYER_SIZE}, not {numbers}"
                )
        if not 0 < self.bound < math.inf:
            raise ValueError(f"bound must be above 0, not {self.bound}")


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a skip connection; initialised as the identity."""

    def __init__(self, width: int, context: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.context = nn.Linear(width, width) if context else None
        if not self.conv1.weight.is_meta:  # otherwise torch would load its compiler, which takes a second
            nn.init.kaiming_normal_(self.conv1.weight, nonlinearity="relu")
        for parameter in (self.conv1.bias, *self.conv2.parameters()):
            nn.init.zeros_(cast(Tensor, parameter))

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, C, H, W) to features of the same shape."""
        h = self.conv1(F.relu(x))
        if self.context is not None:
            # As a matrix product its last bits would depend on the number of threads.
            context = (x.mean((2, 3))[:, None] * self.context.weight).sum(2) + self.context.bias
            h += context[:, :, None, None]
        return self.conv2(F.relu_(h)).add_(x)


class GetNet(nn.Module):
    """The network that maps slices to gain fields (Simko et al. 2019, section 2).

    Parameters
    ----------
    config : GetNetConfig, optional
        The layers.

    Examples
    --------
    >>> import torch
    >>> gain = GetNet()(torch.rand(2, 1, 256, 256))
    >>> tuple(gain.shape), bool((gain > 0).all())
    ((2, 16, 16), True)
    """

    def __init__(self, config: GetNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or GetNetConfig()
        widths, depths = config.widths, config.depths
        self.stem = nn.Conv2d(2, widths[0], 7, stride=4, padding=3)
        self.stages = nn.ModuleList()
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            down = [] if i == 0 else [nn.Conv2d(widths[i - 1], width, 3, stride=2, padding=1)]
            blocks = [ResidualBlock(width, context=i == len(widths) - 1) for _ in range(depth)]
            self.stages.append(nn.Sequential(*down, *blocks))
        self.up = nn.Conv2d(widths[3], widths[2], 1)
        self.merge = ResidualBlock(widths[2])
        self.head = nn.Conv2d(widths[2], 2, 3, padding=1)
        if not self.head.weight.is_meta:
            nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(cast(Tensor, self.head.bias))

    def forward(self, slices: Tensor) -> Tensor:
        """Compute the gain field of each slice.

        Parameters
        ----------
        slices : Tensor, shape (N, 1, 256, 256)
            Magnitudes of any scale; the background is 0, and values that are negative or not finite count as 0.

        Returns
        -------
        Tensor, shape (N, 16, 16)
            The gain, positive and finite; each slice has its own arbitrary scale.
        """
        return self.log_gain(slices)[0].exp()

    def log_gain(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the natural logarithm of the gain and its expected error.

        Parameters
        ----------
        slices : Tensor, shape (N, 1, 256, 256)
            As for `forward`.

        Returns
        -------
        log_gain : Tensor, shape (N, 16, 16), float32
            Within plus and minus ``config.bound``.
        log_spread : Tensor, shape (N, 16, 16), float32
            Natural logarithm of the expected absolute error of `log_gain`, between -7 and 1.
        """
        if slices.ndim != 4 or slices.shape[1:] != (1, SLICE, SLICE):
            raise ValueError(f"slices must have shape (N, 1, {SLICE}, {SLICE}), not {tuple(slices.shape)}")
        x = self.stem(normalise(slices).to(self.stem.weight.dtype))
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        x = F.interpolate(self.up(x), scale_factor=2, mode="bilinear", align_corners=False)
        x = F.relu(self.merge(x + features[2]))
        with torch.autocast(x.device.type, enabled=False):  # bfloat16 has three digits, too few for the result
            x = self.head(x.to(self.head.weight.dtype)).float()
        bound = self.config.bound
        return bound * torch.tanh(x[:, 0] / bound), -3 + 4 * torch.tanh(x[:, 1] / 4)

    def copied_to_cpu(self) -> GetNet:
        """Return a copy of the network on the CPU."""
        with torch.device("meta"):
            network = GetNet(self.config)
        network.load_state_dict({name: tensor.cpu().clone() for name, tensor in self.state_dict().items()}, assign=True)
        return ready(network)


def ready(network: GetNet) -> GetNet:
    """Prepare a network for inference: channels last, without gradients."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval().requires_grad_(False)


def normalise(slices: Tensor) -> Tensor:
    """Normalise the scale of slices, so that the mean of the values above 0 is 1, in two channels.

    Parameters
    ----------
    slices : Tensor, shape (N, 1, H, W)
        Magnitudes; values that are negative or not finite count as 0.

    Returns
    -------
    Tensor, shape (N, 2, H, W), float32
        The slice divided by its mean (at most 20), and a logarithm of that.

    Examples
    --------
    >>> import torch
    >>> normalise(torch.tensor([[[[0.0, 2.0], [4.0, 6.0]]]]))[0, 0]
    tensor([[0.0000, 0.5000],
            [1.0000, 1.5000]])
    """
    x = torch.nan_to_num(slices.float(), nan=0.0, posinf=0.0, neginf=0.0).clamp_(0, MAX_PIXEL)
    count = torch.sign(x).sum((1, 2, 3)).clamp_min(1)  # exact for slices of less than 2^24 pixels
    rows = x.sum(3)
    if has_float64(x.device):
        mean = rows.sum((1, 2), dtype=torch.float64) / count
    else:
        mean = (rows / count[:, None, None]).sum((1, 2))  # divided first, since the sum may be too large for float32
    out = x.new_empty(len(x), 2, *x.shape[2:])
    level, log_level = out[:, :1], out[:, 1:]
    torch.div(x, mean.float().clamp_min_(torch.finfo(torch.float32).tiny)[:, None, None, None], out=level)
    torch.mul(level.clamp_max_(20), 20, out=log_level).log1p_().div_(3)
    return out


def pack_weights(network: GetNet, notes: dict[str, str] | None = None) -> bytes:
    """Return a network's weights as the content of a safetensors file, in float16.

    Its metadata contain the format, the configuration and a hash of the weights.

    Parameters
    ----------
    network : GetNet
    notes : dict of str, optional
        Further metadata, such as the origin of the weights.
    """
    state = {name: tensor.detach().half().cpu().contiguous() for name, tensor in network.state_dict().items()}
    about = {"format": FORMAT, "config": json.dumps(asdict(network.config)), "sha256": hash_of(state)}
    return save(state, {**(notes or {}), **about})


def load_weights(path: Path) -> GetNet:
    """Read a network from a file with the content of `pack_weights`, ready for inference in float32 on the CPU.

    Parameters
    ----------
    path : Path
        A safetensors file.

    Returns
    -------
    GetNet
        In evaluation mode, without gradients.

    Raises
    ------
    ValueError
        The file does not contain weights of a GetNet, is damaged, or has another format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if about.get("format", FORMAT) != FORMAT:
            raise ValueError(f"its format is {about['format']}, not {FORMAT}: written by another version")
        if about.get("sha256", digest := hash_of(state)) != digest:
            raise ValueError("damaged: its hash is not that of what it holds")
        if not all(tensor.is_floating_point() and tensor.isfinite().all() for tensor in state.values()):
            raise ValueError("it holds values that are not finite")
        stored = json.loads(about["config"]).items()
        config: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in stored}
        with torch.device("meta"):  # allocates no memory on the basis of the file alone
            network = GetNet(GetNetConfig(**config))
        network.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
    except READ_ERRORS as error:
        reason = " ".join(str(error).split())[:MAX_REASON]
        raise GetNetError(
            f"not the weights of a GetNet ({reason}); get the file again, or leave it out", path
        ) from None
    return ready(network)


def hash_of(state: dict[str, Tensor]) -> str:
    """Compute a hash of tensors and their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def run_network(network: GetNet, slices: Tensor, precision: str, batch_size: int) -> tuple[Tensor, Tensor]:
    """Run the network over slices on its device, with smaller batches if that has not enough memory.

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
        On the device of the slices.
    """
    device = next(network.parameters()).device
    low = reduced_precision(precision, device)

    def run(size: int) -> tuple[Tensor, Tensor]:
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16) if low else nullcontext():
            gains, spreads = zip(*(network.log_gain(part.to(device)) for part in slices.split(size)), strict=True)
        return torch.cat(gains).to(slices.device), torch.cat(spreads).to(slices.device)

    size = min(len(slices), batch_size)
    while size > 1:
        done = unless_out_of_memory(partial(run, size))
        if done is not None:
            return done
        size = (size + 1) // 2
    return run(size)


def reduced_precision(precision: str, device: torch.device) -> bool:
    """Return whether the network runs in bfloat16."""
    if precision == "auto":
        if device.type == "cuda":
            return torch.cuda.is_bf16_supported()
        # There is no public function for this; float32 is used if a version of torch lacks this one.
        supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        return device.type == "cpu" and supported is not None and bool(supported())
    return precision == "bfloat16"
