"""Outliers: robust z on a logarithmic scale."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

OUTLIER_Z = 3.5
"""Robust z from which a value is an outlier (Iglewicz and Hoaglin 1993)."""
MIN_VALUES = 8
"""Smallest number of values for outliers to be defined."""
MIN_MAD = 0.01
"""Lower limit of the median absolute deviation of the logarithms, for measures that hardly vary."""
RULE = (
    f"An image is an outlier in a measure if its robust z is beyond {OUTLIER_Z}: "
    "z = 0.6745 (ln x - median) / MAD, where the median and the median absolute deviation (MAD, taken as at least "
    f"{MIN_MAD}) are those of ln x over the images with the same suffix, if there are at least {MIN_VALUES}."
)


def robust_z(values: Sequence[float | None]) -> list[float | None]:
    """Compute each value's robust z on a logarithmic scale.

    Parameters
    ----------
    values : sequence of float or None
        Values that are None or not above 0 have no z.

    Returns
    -------
    list of float or None

    Examples
    --------
    >>> [round(z, 1) for z in robust_z([1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 1.0, 4.0])]
    [0.0, 1.3, -1.4, 0.0, 0.7, -0.7, 0.0, 18.7]
    >>> robust_z([1.0, 4.0])
    [None, None]
    """
    logs = [math.log(value) if value is not None and value > 0 else None for value in values]
    known = [value for value in logs if value is not None]
    if len(known) < MIN_VALUES:
        return [None] * len(logs)
    median = statistics.median(known)
    spread = max(statistics.median(abs(value - median) for value in known), MIN_MAD)
    return [None if value is None else 0.6745 * (value - median) / spread for value in logs]
