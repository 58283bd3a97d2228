"""The verdict on a result: corrected, nothing to correct, or doubtful with reasons."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from getnet_bids.errors import GetNetError

from . import CORRECTED, DOUBTFUL, NOTHING
from .ghosts import NO_GHOST, Ghost, find_ghost
from .noise import noise_sd, sparse
from .signs import (
    Sample,
    background_offset,
    empty_slices,
    negative_share,
    odd_even_difference,
    point_noise,
    slice_spread,
    wrapped_share,
)
from .spikes import stripes
from .voxels import Background

NEGATIVE_REFUSED, NEGATIVE_DOUBTFUL = 0.1, 0.01
"""Negative fraction of the sum of absolute values above which an image is refused, or its result is doubtful."""
MAX_CLIPPED = 0.005
"""Fraction of the foreground at the brightest value above which an image counts as clipped."""
MAX_FIELD_SD = 0.6
"""Standard deviation of the log field above which it is stronger than coils and dielectric effects make it."""
MIN_FIELD_SD = 0.01
"""Standard deviation of the log field below which there is nothing to correct, however well the field is known."""
MAX_ERROR_SD = 0.12
"""Median standard deviation of the estimated log field above which the result is doubtful."""
MIN_FOUND = 0.85
"""Fraction of known fields, multiplied onto the image's slices, below which the result is doubtful. In heads, also
noisy ones and single slices, the network finds .93 and more; where it finds less, it also misses part of the image's
own field."""
MAX_NOISE = 0.25
"""Noise relative to the foreground's mean above which the result is doubtful."""
MAX_POINT_NOISE = 0.06
"""Relative noise of a grid point above which gray and white matter, which differ by about 20 %, overlap."""
MAX_DISAGREEMENT = 2.0
"""Largest difference, in expected standard deviations, between the separate fields of images that share one."""
MAX_OFFSET = 0.1
"""Level of a background that hardly varies, relative to the object, from which it is an offset. The noise that remains
in the mean of a series also hardly varies, but its level is lower."""
MAX_GHOST = 0.025
"""Strength of a ghost, relative to the object, above which the result is doubtful."""
PARTS = {2: "half", 3: "a third", 4: "a quarter"}
"""Fractions in words, by their denominators."""
MAX_STRIPES = 0.02
"""Amplitude of stripes, relative to the signal, above which the result is doubtful."""
MAX_EMPTY = 0.25
"""Fraction of empty slices between others above which the result is doubtful: it is nearly a half if every other slice
is missing, and the field is hardly less exact with a third."""
MAX_WRAPPED = 0.004
"""Number of dark voxels between bright neighbours, relative to that of bright voxels, above which numbers have exceeded
their range."""
ALL_CLIPPED = 0.99
"""Fraction of the foreground at the brightest value from which it has only one value."""
MAX_SLICE_SPREAD = 0.15
"""Standard deviation of the slices' brightness after the correction (log) from which the result is doubtful if all
slices are across one axis. In slabs of heads the field changes by .02 from slice to slice; anatomy by up to .1 (a
heart)."""
MAX_ODD_EVEN = 0.03
"""Relative difference of odd and even slices above which the result is doubtful, provided that half of it is more than
the field's standard deviation: slices deviate from their mean by half the difference, and a smaller deviation does not
matter for a field that is known less well."""


@dataclass(frozen=True)
class Evidence:
    """Measurements of an image and its field for the verdict.

    Parameters
    ----------
    negative : float
        Negative fraction of the sum of absolute values, without the background and with voxels limited to the 99.9th
        percentile.
    background : float
        The constant value of the background; 0 if there is none.
    clipped : float
        Fraction of the foreground at the brightest value.
    field_sd : float
        Standard deviation of the log field over the foreground.
    sd_median, sd_p95 : float
        Standard deviation of the estimated log field: median and 95th percentile over the foreground.
    found : float
        Fraction of known fields, multiplied onto the image's slices, which the network found.
    noise : float
        Standard deviation of the noise, relative to the foreground's mean.
    unequal : float
        Largest relative difference of odd and even slices.
    empty : float
        Fraction of slices that are empty although their neighbours are not.
    wrapped : float
        Number of dark voxels between bright neighbours, relative to that of bright voxels, in whole numbers that use
        the whole range of an integer.
    point_noise : float
        Relative noise of the mean over a cube as large as the spacing of the points on which tissues are judged.
    ghost : Ghost
        The strongest ghost.
    stripes : float
        Amplitude of the stripes that a spike in k-space leaves, relative to the signal.
    offset : float
        Level of a background that hardly varies, relative to the object.
    slice_spread : float
        How much the brightness differs from slice to slice after the correction (log), if all slices are across one
        axis; otherwise 0.
    conflict : float
        Difference between the separate fields of images that share one, relative to what is expected; 0 for one image.
    """

    negative: float
    background: float
    clipped: float = 0.0
    field_sd: float = 0.0
    sd_median: float = 0.0
    sd_p95: float = 0.0
    found: float = 1.0
    noise: float = 0.0
    unequal: float = 0.0
    empty: float = 0.0
    wrapped: float = 0.0
    point_noise: float = 0.0
    ghost: Ghost = NO_GHOST
    stripes: float = 0.0
    offset: float = 0.0
    slice_spread: float = 0.0
    conflict: float = 0.0

    @classmethod
    def of_image(cls, volume: NDArray[np.float32], background: Background) -> Evidence:
        """Measure a volume, including its background, before the correction.

        Raises
        ------
        GetNetError
            Too much of the volume is negative.
        """
        negative = negative_share(volume[~background.inside(volume)]) if volume.min() < 0 else 0.0
        if negative > NEGATIVE_REFUSED:
            raise GetNetError(
                f"{negative:.0%} of its signal is negative, as after a z-score or in a phase image: a bias field is a "
                "factor of magnitudes; correct the image first, and normalise it afterwards"
            )
        return cls(negative, background.value)

    def with_field(
        self,
        volume: NDArray[np.float32],
        field: NDArray[np.float32],
        chosen: NDArray[np.bool_],
        sd_median: float,
        sd_p95: float,
        voxel: tuple[float, ...],
        foreground: NDArray[np.bool_],
        unseen: int | None = None,
    ) -> Evidence:
        """Add the measurements of the field, of the voxels from which it was estimated, and of the background.

        Parameters
        ----------
        volume, field : ndarray, spatial shape
        chosen : ndarray of bool, spatial shape
            The foreground, restricted to the mask if there is one.
        sd_median, sd_p95 : float
        voxel : tuple of float
            mm.
        foreground : ndarray of bool, spatial shape
        unseen : int, optional
            Axis along which the network does not see how the field changes.
        """
        sample = Sample.of(volume, foreground)
        part = sparse(volume.shape)
        few = chosen[part].copy(order="K")
        where = few if few.any() else chosen
        values, field_values = (
            (sample.values[few], field[part][few]) if where is few else (volume[chosen], field[chosen])
        )
        mean, noise = float(values.mean(dtype=np.float64)), noise_sd(volume, foreground)
        return replace(
            self,
            clipped=self.clipped_share(sample.values, few),
            field_sd=float(np.log(field_values).std(dtype=np.float64)),
            sd_median=sd_median,
            sd_p95=sd_p95,
            noise=noise / mean if mean > 0 else 0.0,
            unequal=odd_even_difference(volume, chosen),
            empty=empty_slices(foreground),
            wrapped=wrapped_share(volume),
            point_noise=point_noise(sample, foreground, voxel, noise),
            ghost=find_ghost(volume, foreground, voxel),
            stripes=stripes(volume, foreground),
            offset=background_offset(sample),
            slice_spread=0.0 if unseen is None else slice_spread(sample.values / field[part], few, unseen),
        )

    @staticmethod
    def clipped_share(values: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
        """Compute the fraction of the object at the brightest value of the volume; 0 for a few voxels."""
        signal = values != 0
        if values.size <= 1000 or not signal.any():
            return 0.0
        brightest = signal & (values >= values[signal].max())
        total = np.count_nonzero(where | brightest)
        return float(np.count_nonzero(brightest) / total)


def judge(evidence: Evidence) -> tuple[str, tuple[str, ...]]:
    """Determine the verdict and its reasons from the measurements.

    Returns
    -------
    verdict : str
        ``corrected``, ``nothing to correct`` (the field varies by less than its uncertainty) or ``doubtful``.
    reasons : tuple of str
        Sentences, each with what to do.

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
    elif evidence.offset > MAX_OFFSET:
        reasons.append(
            f"its background lies at {evidence.offset:.0%} of the object and hardly varies: an offset breaks the "
            "model; if it was added to all voxels, subtract it first"
        )
    if evidence.wrapped > MAX_WRAPPED:
        reasons.append(
            "dark voxels lie among the brightest ones: numbers have exceeded the range of their type and began again "
            "at 0; convert the image again, scaled or with a larger type"
        )
    elif evidence.clipped > ALL_CLIPPED:
        reasons.append(
            "all voxels of its foreground have the same value: no field can be seen in it; look whether it is an "
            "image, and not a mask"
        )
    elif evidence.clipped > MAX_CLIPPED:
        reasons.append(
            f"{evidence.clipped:.0%} of the foreground has the brightest value: it was clipped; correct the image from "
            "before that"
        )
    if evidence.noise > MAX_NOISE:
        reasons.append(f"noise is {evidence.noise:.0%} of the signal: average or denoise the image first")
    elif evidence.point_noise > MAX_POINT_NOISE:
        reasons.append(
            f"low signal to noise: {evidence.point_noise:.0%} of noise is left where tissues are told apart; average "
            "more volumes, or denoise the image first"
        )
    if evidence.ghost.strength > MAX_GHOST:
        reasons.append(
            f"a ghost of {evidence.ghost.strength:.0%} lies {PARTS[evidence.ghost.shift.denominator]} of the field of "
            "view beside the object, as echo-planar and accelerated images have it: remove it in the reconstruction, "
            "for it shades the object, too"
        )
    if evidence.stripes > MAX_STRIPES:
        reasons.append(
            f"stripes of {evidence.stripes:.0%} cross the object, as a spike in k-space leaves them: remove the spike "
            "in the reconstruction; if the background has a pattern, set it to 0 instead"
        )
    if evidence.empty > MAX_EMPTY:
        reasons.append(
            f"{evidence.empty:.0%} of its slices are empty between others: the field was estimated across the gaps; "
            "look whether interleaved slices are missing"
        )
    if evidence.unequal > max(MAX_ODD_EVEN, 2 * evidence.sd_median):
        reasons.append(
            f"odd and even slices differ by {evidence.unequal:.0%}, as an interleaved acquisition leaves them: "
            "equalise them first, for no smooth field can"
        )
    if evidence.slice_spread > MAX_SLICE_SPREAD:
        reasons.append(
            f"its slices differ in brightness by {evidence.slice_spread:.0%}, and slices across one axis alone do not "
            "show whether that is shading: look at the result; a field from an image with more slices can be given "
            "(`getnet --apply`)"
        )
    if evidence.conflict > MAX_DISAGREEMENT:
        reasons.append(
            f"its field and that of an image that it shares one with differ {evidence.conflict:.1f} times as much as "
            "expected: they were not measured alike, or one was normalised; correct each by itself"
        )
    if evidence.field_sd > MAX_FIELD_SD:
        reasons.append(
            f"the field varies by {evidence.field_sd:.0%}, more than coils make it: look at the image; if something "
            "beside the object was taken for it, correct this image with `getnet --mask`"
        )
    if evidence.sd_median > MAX_ERROR_SD:
        reasons.append(
            f"the field is known to {evidence.sd_median:.0%} only: look at the result; a mask of the object may help "
            "(`getnet --mask`)"
        )
    if evidence.found < MIN_FOUND:
        reasons.append(
            f"only {evidence.found:.0%} of the shading that was multiplied onto it as a test was found, so part of its "
            "own may remain: look at the result; it may be better if all but the tissue of interest is set to 0 first "
            "(skull-stripped)"
        )
    if reasons:
        return DOUBTFUL, tuple(reasons)
    if evidence.field_sd < max(evidence.sd_median, MIN_FIELD_SD):
        return NOTHING, ()
    return CORRECTED, ()
