"""A correction of a tiny head whose field is known: does it come out on this machine as it does on others."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

VOXEL = 5.0
"""Size of a voxel, mm."""
SHAPE = (32, 38, 34)
EXPECTED = 0.011
"""Error of the field that algorithm 5 leaves, standard deviation of log(field) - log(truth) over the head."""
TOLERANCE = 0.005
"""What precision, processor and versions of libraries may change of it."""


@dataclass(frozen=True)
class SelfTest:
    """What came out.

    Parameters
    ----------
    before, error : float
        Error of the field, without correction and with it.
    device : str
        Where it was computed.
    precision : str
        That the network ran in.
    loading, computing : float
        Seconds.
    """

    before: float
    error: float
    device: str
    precision: str
    loading: float
    computing: float

    @property
    def passed(self) -> bool:
        """Whether the error is at most the expected one."""
        return self.error <= EXPECTED + TOLERANCE


def known_head() -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_]]:
    """Make a head of three tissues with 2 % noise under a known gain.

    Returns
    -------
    image : ndarray, float32, shape `SHAPE`
    gain : ndarray, float64
        Positive.
    inside : ndarray of bool
        The head.
    """
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, size) for size in SHAPE], indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    folds = 0.08 * np.sin(9 * x) * np.sin(8 * y) * np.sin(7 * z)
    tissue = np.select([radius < 0.2, radius + folds < 0.6, radius < 0.8], [300.0, 900.0, 650.0], 0.0)
    gain = np.exp(0.3 * x - 0.2 * y * z + 0.25 * z)
    noise = np.random.default_rng(2019).normal(0, 18, (2, *SHAPE))
    return np.hypot(tissue * gain + noise[0], noise[1]).astype(np.float32), gain, radius < 0.8


def self_test(device: str = "auto") -> SelfTest:
    """Correct the head and compare its field with the truth.

    Parameters
    ----------
    device : str
        As for `getnet_bids.core.device.resolve_device`.

    Raises
    ------
    GetNetError
        The device or the weights cannot be used.
    """
    from getnet_bids.core.correction import Options, correct_volume
    from getnet_bids.core.inference import reduced_precision
    from getnet_bids.core.metrics import field_error
    from getnet_bids.weights import load_network

    from .worker import device_text

    image, gain, inside = known_head()
    started = time.monotonic()
    network = load_network(None, device)
    loaded = time.monotonic()
    result = correct_volume(image, (VOXEL,) * 3, network, options=Options())
    return SelfTest(
        before=field_error(np.ones_like(gain), gain, inside),
        error=field_error(result.field, gain, inside),
        device=device_text(result.device),
        precision="bfloat16" if reduced_precision("auto", result.device) else "float32",
        loading=loaded - started,
        computing=time.monotonic() - loaded,
    )
