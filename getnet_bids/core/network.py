"""GetNet: a slice of 256x256 pixels in, its gain field on 16x16 cells out.

The network of Simko et al., "A Generalized Network for MRI Intensity Normalization" (MIDL 2019), is a modified
ResNet. The paper leaves its layers open; these are chosen so that a CPU serves a whole head in about a second:
2.5 million parameters, 0.54 billion multiply-adds a slice, and no normalisation layer, so that a slice's result
does not depend on the batch that it is in.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

SLICE = 256
"""Side of a slice, pixels."""
CELLS = 16
"""Side of the grid that the gain is given on, cells."""
CELL = SLICE // CELLS
"""Side of a cell, pixels."""


@dataclass(frozen=True)
class GetNetConfig:
    """What fixes the network's layers.

    Parameters
    ----------
    widths : tuple of int
        Channels at 64x64, 32x32, 16x16 and 8x8.
    depths : tuple of int
        Residual blocks at each of these.
    bound : float
        The natural logarithm of the gain stays within plus and minus this.
    """

    widths: tuple[int, int, int, int] = (32, 64, 96, 160)
    depths: tuple[int, int, int, int] = (1, 2, 3, 3)
    bound: float = 3.0


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a skip; starts as the identity."""

    def __init__(self, width: int, context: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.context = nn.Linear(width, width) if context else None
        nn.init.kaiming_normal_(self.conv1.weight, nonlinearity="relu")
        for parameter in (self.conv1.bias, *self.conv2.parameters()):
            nn.init.zeros_(cast(Tensor, parameter))

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, C, H, W) to features of the same shape."""
        h = self.conv1(F.relu(x))
        if self.context is not None:
            h = h + self.context(x.mean((2, 3)))[:, :, None, None]
        return x + self.conv2(F.relu(h))


class GetNet(nn.Module):
    """Slices to gain fields (Simko et al. 2019, section 2).

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
        nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(cast(Tensor, self.head.bias))

    def forward(self, slices: Tensor) -> Tensor:
        """Give the gain field of each slice.

        Parameters
        ----------
        slices : Tensor, shape (N, 1, 256, 256)
            Magnitudes of any scale; the background is 0, and values that are negative or not finite count as 0.

        Returns
        -------
        Tensor, shape (N, 16, 16)
            The gain, positive and finite, each slice's with a scale of its own.
        """
        return self.log_gain(slices)[0].exp()

    def log_gain(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """Give the natural logarithm of the gain and how far it may be off.

        Parameters
        ----------
        slices : Tensor, shape (N, 1, 256, 256)
            As for `forward`.

        Returns
        -------
        log_gain : Tensor, shape (N, 16, 16), float32
            Within plus and minus ``config.bound``.
        log_spread : Tensor, shape (N, 16, 16), float32
            Natural logarithm of the expected absolute error of `log_gain`, within -7 and 1.
        """
        if slices.ndim != 4 or slices.shape[1:] != (1, SLICE, SLICE):
            raise ValueError(f"slices must have shape (N, 1, {SLICE}, {SLICE}), not {tuple(slices.shape)}")
        x = self.stem(normalise(slices).to(self.stem.weight.dtype))
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        x = F.interpolate(self.up(x), scale_factor=2, mode="bilinear", align_corners=False)
        x = self.head(F.relu(self.merge(x + features[2]))).float()
        bound = self.config.bound
        return bound * torch.tanh(x[:, 0] / bound), -3 + 4 * torch.tanh(x[:, 1] / 4)


def normalise(slices: Tensor) -> Tensor:
    """Free slices of their scale: two channels, 0 in the background and the mean of what is above 0 at 1.

    Parameters
    ----------
    slices : Tensor, shape (N, 1, H, W)
        Magnitudes; negative and not finite values count as 0.

    Returns
    -------
    Tensor, shape (N, 2, H, W), float32
        The slice over its mean (at most 20), and a logarithm of that.

    Examples
    --------
    >>> import torch
    >>> normalise(torch.tensor([[[[0.0, 2.0], [4.0, 6.0]]]]))[0, 0]
    tensor([[0.0000, 0.5000],
            [1.0000, 1.5000]])
    """
    x = torch.nan_to_num(slices.float(), nan=0.0, posinf=0.0, neginf=0.0).clamp_min_(0)
    x.div_(x.amax((1, 2, 3), keepdim=True).clamp_min(torch.finfo(torch.float32).tiny))
    count = torch.count_nonzero(x, (1, 2, 3)).clamp_min(1)[:, None, None, None]
    mean = x.sum((1, 2, 3), keepdim=True) / count
    x.div_(mean.clamp_min(1e-6)).clamp_max_(20)
    return torch.cat([x, (x / 0.05).log1p_().div_(3)], 1)


def save_weights(network: GetNet, path: Path, notes: dict[str, str] | None = None) -> None:
    """Write a network's weights as safetensors in float16, with its configuration in the file's metadata.

    Parameters
    ----------
    network : GetNet
        The network.
    path : Path
        The file to write.
    notes : dict of str, optional
        More metadata: where the weights come from.
    """
    state = {name: tensor.detach().half().contiguous() for name, tensor in network.state_dict().items()}
    path.write_bytes(save(state, {"config": json.dumps(asdict(network.config)), **(notes or {})}))


def load_weights(path: Path) -> GetNet:
    """Read a network written by `save_weights`, ready for inference in float32 on the CPU.

    Parameters
    ----------
    path : Path
        A safetensors file.

    Returns
    -------
    GetNet
        In evaluation mode, gradients off.

    Raises
    ------
    ValueError
        The file is not a GetNet's weights.
    """
    try:
        with safe_open(path, framework="pt") as file:
            config = json.loads((file.metadata() or {})["config"])
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        config = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
        network = GetNet(GetNetConfig(**config))
        network.load_state_dict(state)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: not the weights of a GetNet ({error})") from error
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval().requires_grad_(False)
