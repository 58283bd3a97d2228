"""The options that change a result."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real

from getnet_bids.errors import GetNetError

from . import BATCH_SIZE, PRECISIONS


@dataclass(frozen=True)
class Options:
    """The options that change a result.

    Parameters
    ----------
    smoothness : float, optional
        Smoothness of the field, mm: it has no half waves shorter than a third to a half of this. Default: 100 mm for a
        head, scaled to the size of other objects.
    refine : bool
        Refine the network's field with the image's own tissues; otherwise use it as it is.
    precision : {"auto", "float32", "bfloat16"}
        Precision of the network; ``auto`` means bfloat16 if the device supports it.
    batch_size : int
        Number of slices that the network processes at a time, or fewer if the device has not enough memory; changes
        results by rounding only.
    uncertainty : bool
        Also return the map of the field's standard deviation.

    Raises
    ------
    GetNetError
        An option has a value that it cannot have.

    Examples
    --------
    >>> Options(smoothness=60).smoothness
    60
    >>> Options(smoothness="60")
    Traceback (most recent call last):
        ...
    getnet_bids.errors.GetNetError: smoothness must be a number above 0 (mm), not '60'
    """

    smoothness: float | None = None
    refine: bool = True
    precision: str = "auto"
    batch_size: int = BATCH_SIZE
    uncertainty: bool = False

    def __post_init__(self) -> None:
        smoothness: object = self.smoothness
        if smoothness is not None and not (isinstance(smoothness, Real) and float(smoothness) > 0):
            raise GetNetError(f"smoothness must be a number above 0 (mm), not {smoothness!r}")
        if self.precision not in PRECISIONS:
            raise GetNetError(f"precision must be auto, float32 or bfloat16, not {self.precision!r}")
        batch_size: object = self.batch_size
        if not isinstance(batch_size, Integral) or int(batch_size) < 1:
            raise GetNetError(f"batch_size must be a whole number from 1 on, not {batch_size!r}")
