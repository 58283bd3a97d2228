"""The options that change a result."""

from __future__ import annotations

from dataclasses import dataclass

from getnet_bids.errors import GetNetError

from . import BATCH_SIZE, PRECISIONS


@dataclass(frozen=True)
class Options:
    """The options that change a result.

    Parameters
    ----------
    smoothness : float, optional
        Detail of the field finer than this is suppressed, mm; default: 100 mm for a head, scaled to the size of other
        objects.
    refine : bool
        Refine the network's field with the image's own tissues; otherwise use it as it is.
    precision : {"auto", "float32", "bfloat16"}
        Precision of the network; ``auto`` means bfloat16 if the device supports it.
    batch_size : int
        Number of slices that the network processes at a time, or fewer if the device has not enough memory; changes
        results by rounding only.
    uncertainty : bool
        Also return the map of the field's standard deviation.
    """

    smoothness: float | None = None
    refine: bool = True
    precision: str = "auto"
    batch_size: int = BATCH_SIZE
    uncertainty: bool = False

    def __post_init__(self) -> None:
        if self.smoothness is not None and not self.smoothness > 0:
            raise GetNetError(f"smoothness must be above 0 mm, not {self.smoothness}")
        if self.precision not in PRECISIONS:
            raise GetNetError(f"precision must be auto, float32 or bfloat16, not {self.precision!r}")
        if self.batch_size < 1:
            raise GetNetError(f"batch_size must be at least 1, not {self.batch_size}")
