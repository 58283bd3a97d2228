"""Which images stand out from the others of a dataset."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

LIMIT = 3.5
"""Robust z from which a value is an outlier (Iglewicz and Hoaglin 1993)."""
LEAST = 8
"""Of fewer values none is called an outlier."""
FLOOR = 0.01
"""Smallest median absolute deviation of the logarithms: a hundredth, so that what hardly varies has no outliers."""
RULE = (
    f"An image is an outlier in a measure if its robust z is beyond {LIMIT}: "
    "z = 0.6745 (ln x - median) / MAD, where the median and the median absolute deviation (MAD, taken as at least "
    f"{FLOOR}) are those of ln x over the images with the same suffix, if there are at least {LEAST}."
)


def robust_z(values: Sequence[float | None]) -> list[float | None]:
    """Give each value's robust z, on the scale of logarithms.

    Parameters
    ----------
    values : sequence of float or None
        Above 0; others have no z.

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
    if len(known) < LEAST:
        return [None] * len(logs)
    median = statistics.median(known)
    spread = max(statistics.median(abs(value - median) for value in known), FLOOR)
    return [None if value is None else 0.6745 * (value - median) / spread for value in logs]
