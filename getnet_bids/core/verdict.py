"""What a result is worth: corrected, nothing to correct, or doubtful for reasons that are named."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from getnet_bids.errors import GetNetError

from .voxels import constant_background

NEGATIVE_REFUSED, NEGATIVE_DOUBTFUL = 0.1, 0.01
"""Share of the sum of absolute values that is negative: an image is refused, or doubtful, from here on."""
CLIPPED = 0.01
"""Share of the foreground that has the brightest value: from here on the image is clipped."""
STRONGEST = 0.6
"""Standard deviation of the log field beyond what coils and dielectric effects do."""
WEAKEST = 0.01
"""A field that varies less than this (standard deviation of the log) is nothing to correct, however surely known."""
UNSURE = 0.12
"""Median standard deviation of the estimate (log) from which on it tells little."""
NOISY = 0.25
"""Noise over the foreground's mean from which on the estimate is doubtful."""
UNEQUAL = 0.03
"""Relative difference of odd and even slices from which on it is named."""
SIGNIFICANT = 4.0
"""Standard errors that this difference must be at least."""
LINES = 64
"""Voxels along an axis that are enough to measure by."""


@dataclass(frozen=True)
class Evidence:
    """What is measured of an image and its field, for the verdict.

    Parameters
    ----------
    negative : float
        Share of the sum of absolute values that is negative; the background apart, and no voxel counting for more than
        the 99.9th percentile.
    background : float
        The constant value of the background, 0 if there is none.
    clipped : float
        Share of the foreground at the brightest value.
    field_sd : float
        Standard deviation of the log field over the foreground.
    sd_median, sd_p95 : float
        Standard deviation of the estimate of the log field: median and 95th percentile over the foreground.
    noise : float
        Standard deviation of the noise over the foreground's mean.
    unequal : float
        Largest relative difference of odd and even slices.
    """

    negative: float
    background: float
    clipped: float = 0.0
    field_sd: float = 0.0
    sd_median: float = 0.0
    sd_p95: float = 0.0
    noise: float = 0.0
    unequal: float = 0.0

    @classmethod
    def of_image(cls, volume: NDArray[np.float32]) -> Evidence:
        """Measure a volume before it is corrected.

        Raises
        ------
        GetNetError
            It is mostly negative.
        """
        background = constant_background(volume)
        negative = negative_share(volume[volume != background]) if volume.min() < 0 else 0.0
        if negative > NEGATIVE_REFUSED:
            raise GetNetError(
                f"{negative:.0%} of its signal is negative, as after a z-score or in a phase image: a bias field is a "
                "factor of magnitudes; correct the image first, and normalise it afterwards"
            )
        return cls(negative, background)

    def with_field(
        self,
        volume: NDArray[np.float32],
        field: NDArray[np.float32],
        chosen: NDArray[np.bool_],
        sd_median: float,
        sd_p95: float,
    ) -> Evidence:
        """Add what is measured of the field and of the foreground."""
        part = sparse(volume.shape)
        where = chosen[part] if chosen[part].any() else chosen
        values, field_values = (x[part][where] if where is not chosen else x[chosen] for x in (volume, field))
        mean = float(values.mean(dtype=np.float64))
        return replace(
            self,
            clipped=float(np.count_nonzero(values >= volume.max()) / values.size) if values.size > 1000 else 0.0,
            field_sd=float(np.log(field_values).std(dtype=np.float64)),
            sd_median=sd_median,
            sd_p95=sd_p95,
            noise=noise_sd(volume, chosen) / mean if mean > 0 else 0.0,
            unequal=odd_even_difference(volume, chosen),
        )


def negative_share(values: NDArray[np.float32]) -> float:
    """Compute the share of the sum of absolute values that is negative.

    No value counts for more than the 99.9th percentile of those that are not 0, so that a spike decides nothing.

    Examples
    --------
    >>> round(negative_share(np.array([3, -1, 0, 3, 1], np.float32)), 4)
    0.125
    >>> negative_share(np.array([1] * 5000 + [-1e30], np.float32)) < 0.001
    True
    """
    size = np.abs(values[values != 0])
    if not size.size:
        return 0.0
    limit = float(np.percentile(size, 99.9, method="lower"))
    scaled = np.clip(values, -limit, limit) / np.float32(limit)
    return -float(np.minimum(scaled, 0).sum(dtype=np.float64)) / float(np.abs(scaled).sum(dtype=np.float64))


def sparse(shape: tuple[int, ...], whole: int | None = None) -> tuple[slice, ...]:
    """Choose some `LINES` or more voxels along each axis, evenly, and all along the axis `whole`."""
    return tuple(slice(None, None, 1 if axis == whole else max(1, n // LINES)) for axis, n in enumerate(shape))


def noise_sd(volume: NDArray[np.float32], chosen: NDArray[np.bool_]) -> float:
    """Estimate the noise from second differences along the axis with the most voxels, in the chosen voxels.

    The median of their size over .6745 is their standard deviation, and that is sqrt(6) times the noise's; most voxels
    are far from borders, so that the median is hardly touched by them (Donoho and Johnstone, Biometrika 1994).
    """
    axis = int(np.argmax(volume.shape))
    part = sparse(volume.shape, axis)
    rows, inside = np.moveaxis(volume[part], axis, 0), np.moveaxis(chosen[part], axis, 0)
    if len(rows) < 3:
        return 0.0
    second = rows[:-2] - 2 * rows[1:-1] + rows[2:]
    second = np.abs(second[inside[:-2] & inside[1:-1] & inside[2:]])
    return float(np.median(second)) / 0.6745 / 6**0.5 if second.size else 0.0


def odd_even_difference(volume: NDArray[np.float32], chosen: NDArray[np.bool_]) -> float:
    """Measure how much brighter odd slices are than even ones, along the axis where that is most.

    Returns
    -------
    float
        Relative difference; each slice is compared with the mean of its neighbours where all three have signal. 0 if it
        is not significant.
    """
    if volume.ndim < 3:
        return 0.0
    largest = 0.0
    for axis in range(3):
        part = sparse(volume.shape, axis)
        rows, inside = np.moveaxis(volume[part], axis, 0), np.moveaxis(chosen[part], axis, 0)
        if len(rows) < 8:
            continue
        every = inside[:-2] & inside[1:-1] & inside[2:]
        middle = np.where(every, rows[1:-1], 0).sum((1, 2), dtype=np.float64)
        beside = np.where(every, (rows[:-2] + rows[2:]) / 2, 0).sum((1, 2), dtype=np.float64)
        used = beside > 0.1 * beside.max(initial=0)
        ratio = np.log(np.maximum(middle, 1e-30) / np.maximum(beside, 1e-30))
        sign = np.where(np.arange(len(ratio)) % 2, 1.0, -1.0)
        if used.sum() >= 6:
            alternating = (ratio * sign)[used]
            middle_value = float(np.median(alternating))
            error = 1.48 * float(np.median(np.abs(alternating - middle_value))) * 1.25 / len(alternating) ** 0.5
            if abs(middle_value) > SIGNIFICANT * error:
                largest = max(largest, abs(middle_value))
    return largest


def judge(evidence: Evidence) -> tuple[str, tuple[str, ...]]:
    """Turn what was measured into a verdict and its reasons.

    Returns
    -------
    verdict : str
        ``corrected``, ``nothing to correct`` (the field is within its uncertainty of flat) or ``doubtful``.
    reasons : tuple of str
        Plain sentences, each with what to do.

    Examples
    --------
    >>> judge(Evidence(0.0, 0.0, field_sd=0.1, sd_median=0.02))
    ('corrected', ())
    >>> judge(Evidence(0.0, 0.0, field_sd=0.01, sd_median=0.02))[0]
    'nothing to correct'
    >>> judge(Evidence(0.0, 700.0, field_sd=0.1, sd_median=0.02))[0]
    'doubtful'
    """
    reasons = []
    if evidence.negative > NEGATIVE_DOUBTFUL:
        reasons.append(
            f"{evidence.negative:.0%} of its signal is negative: a bias field is a factor of magnitudes; correct the "
            "image before it is normalised or resampled"
        )
    if evidence.background != 0:
        reasons.append(
            f"its background is {evidence.background:g}, not 0: an offset breaks the model; if it was added to all "
            "voxels, subtract it first"
        )
    if evidence.clipped > CLIPPED:
        reasons.append(
            f"{evidence.clipped:.0%} of the foreground has the brightest value: it was clipped; correct the image from "
            "before that"
        )
    if evidence.noise > NOISY:
        reasons.append(f"noise is {evidence.noise:.0%} of the signal: average or denoise the image first")
    if evidence.unequal > UNEQUAL:
        reasons.append(
            f"odd and even slices differ by {evidence.unequal:.0%}, as an interleaved acquisition leaves them: "
            "equalise them first, for no smooth field can"
        )
    if evidence.field_sd > STRONGEST:
        reasons.append(
            f"the field varies by {evidence.field_sd:.0%}, more than coils make it: look at the image, and give a "
            "mask if something beside the object was taken for it"
        )
    if evidence.sd_median > UNSURE:
        reasons.append(
            f"the field is known to {evidence.sd_median:.0%} only: look at the result, and give a mask of the object "
            "if it helps"
        )
    if reasons:
        return "doubtful", tuple(reasons)
    if evidence.field_sd < max(evidence.sd_median, WEAKEST):
        return "nothing to correct", ()
    return "corrected", ()
