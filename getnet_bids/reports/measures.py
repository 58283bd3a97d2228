"""Measures of an image and its field, over a sample of the foreground."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_SAMPLE = 400_000
"""Largest number of voxels of the grid in a sample."""
MIN_SAMPLE = 5_000
"""Smallest number of foreground voxels in a sample; if there are fewer, more of the grid is sampled."""
BINS = 96
PERCENTILES = (0.5, 1, 50, 99, 99.5)
"""Number of bins of the histogram, and the percentiles that are computed."""
EXTREME_RANGE = 20.0
"""Ratio of the field's 99th to its 1st percentile from which a field counts as extreme. For comparison, the receive
field of a head coil, measured relative to the body coil, spans 7 to 10 over head and neck at 3 T, and the estimated
field of a head with its neck at 7 T spans 17."""
CV_INCREASE = 1.2
"""Ratio of the coefficients of variation after and before the correction from which there is a remark."""


@dataclass(frozen=True)
class Sample:
    """Values over the sampled foreground.

    Parameters
    ----------
    before, after, field : ndarray, one dimension
        Values of the same voxels; for a series, the mean over the finite values of its volumes.
    """

    before: NDArray[np.floating]
    after: NDArray[np.floating]
    field: NDArray[np.floating]

    @cached_property
    def percentiles(self) -> dict[float, tuple[float, float]]:
        """The `PERCENTILES` before and after the correction."""
        both = [np.percentile(values, PERCENTILES).tolist() for values in (self.before, self.after)]
        return dict(zip(PERCENTILES, zip(*both, strict=True), strict=True))


def sample(
    before: NDArray[np.floating],
    after: NDArray[np.floating],
    field: NDArray[np.floating],
    foreground: NDArray[np.bool_],
) -> Sample:
    """Sample a foreground: every voxel, or every second, third, ... along each axis of a large image.

    Parameters
    ----------
    before, after : ndarray, shape (X, Y), (X, Y, Z) or (X, Y, Z, T)
    field : ndarray, shape of the space
    foreground : ndarray of bool, shape of the space
        At least one voxel.

    Returns
    -------
    Sample
    """
    step = 1
    while np.prod([-(-n // step) for n in foreground.shape]) > MAX_SAMPLE:
        step += 1
    while True:
        every = (slice(None, None, step),) * foreground.ndim
        chosen = np.ascontiguousarray(foreground[every])
        if step == 1 or np.count_nonzero(chosen) >= MIN_SAMPLE:
            break
        step -= 1

    def values(volume: NDArray[np.floating]) -> NDArray[np.floating]:
        inside = volume[every][chosen]
        if inside.ndim == 1:
            return inside
        finite = np.isfinite(inside)
        return np.where(finite, inside, 0).sum(1) / np.maximum(finite.sum(1), 1)

    return Sample(values(before), values(after), field[every][chosen])


def measure(taken: Sample, foreground_ml: float) -> dict[str, Any]:
    """Compute the measures of an image before and after its correction, and of the field.

    Parameters
    ----------
    taken : Sample
    foreground_ml : float
        Volume of the foreground.

    Returns
    -------
    dict
        For the sidecar, by the names of `columns.MEASURES`.
    """
    low, p1, p5, median, p95, p99, high = np.percentile(taken.field, (0, 1, 5, 50, 95, 99, 100))
    return {
        "FieldMinimum": rounded(low),
        "FieldP1": rounded(p1),
        "FieldP5": rounded(p5),
        "FieldMedian": rounded(median),
        "FieldP95": rounded(p95),
        "FieldP99": rounded(p99),
        "FieldMaximum": rounded(high),
        "FieldCV": variation(taken.field),
        "CVBefore": variation(taken.before),
        "CVAfter": variation(taken.after),
        "MedianBefore": rounded(taken.percentiles[50][0]),
        "MedianAfter": rounded(taken.percentiles[50][1]),
        "ForegroundVolume": rounded(foreground_ml),
        "Histogram": histogram(taken),
    }


def histogram(taken: Sample) -> dict[str, Any]:
    """Count the intensities before and after in the same bins, leaving out 0.5 % at either end.

    Examples
    --------
    >>> counts = histogram(Sample(np.arange(1000.0), np.arange(1000.0) / 2, np.full(1000, 2.0)))
    >>> counts["From"], counts["To"], sum(counts["Before"]), sum(counts["After"])
    (2.4975, 994.005, 992, 995)
    """
    low, high = min(taken.percentiles[0.5]), max(taken.percentiles[99.5])
    if not high - low > 1e-5 * abs(low):  # otherwise float32 could not distinguish the bins
        high = low + max(1e-3 * abs(low), 1e-6)
    counts = [np.histogram(values, BINS, (low, high))[0].tolist() for values in (taken.before, taken.after)]
    return {"From": rounded(low), "To": rounded(high), "Before": counts[0], "After": counts[1]}


def variation(values: NDArray[np.floating]) -> float | None:
    """Compute the coefficient of variation; None if the mean is 0."""
    mean = values.mean(dtype=np.float64)
    return rounded(values.std(dtype=np.float64) / abs(mean)) if mean else None


def rounded(value: float) -> float:
    """Round to six significant digits.

    Examples
    --------
    >>> rounded(1234.56789), rounded(np.float32(0.1))
    (1234.57, 0.1)
    """
    return float(f"{float(value):.6g}")


def remarks(measures: dict[str, Any], metadata: dict[str, Any]) -> list[str]:
    """Return remarks on a result that a reader should know before using it.

    Parameters
    ----------
    measures : dict
        As returned by `measure`.
    metadata : dict
        Metadata of the raw image.

    Returns
    -------
    list of str
        Remarks, each with what to do; usually none.

    Examples
    --------
    >>> flat = {"FieldP1": 0.9, "FieldP99": 1.1, "CVBefore": 0.4, "CVAfter": 0.3}
    >>> remarks(flat, {"ImageType": ["ORIGINAL", "PRIMARY", "M", "NORM"]})[0][:45]
    'the scanner has normalised the source already'
    """
    found = []
    kinds = metadata.get("ImageType")
    if isinstance(kinds, list) and "NORM" in kinds:
        found.append(
            "the scanner has normalised the source already (its ImageType has NORM), and the field is that of the "
            "remaining shading: check whether there is any, or correct the image before normalisation"
        )
    ratio = measures["FieldP99"] / measures["FieldP1"]
    if ratio >= EXTREME_RANGE:
        found.append(
            f"the field is extreme, its 99th percentile {ratio:.1f} times its 1st: check whether a coil failed, or "
            "whether the field follows anatomy"
        )
    before, after = measures["CVBefore"], measures["CVAfter"]
    if before and after and after > CV_INCREASE * before:
        found.append(
            f"the foreground varies much more after the correction (CV {after:.3f}) than before ({before:.3f}): "
            "compare the two carefully"
        )
    return found
