"""What must not change a field, and how much it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import nibabel as nib
import numpy as np
import torch
from nibabel.spatialimages import SpatialImage
from scipy import ndimage

from getnet_bids import Correction
from getnet_bids.core.network import reduced_precision
from getnet_bids.images import magnitudes
from tests.phantoms.scanned import Mask, Subject, Volume, correct, image_of, onto

SCALES = (1e-6, 0.3, 1e3, 1e6)
SIZES = (0.7, 0.8, 1.25, 1.5, 2.0)
"""Of voxels, over the subject's own."""
MARGIN = 0.2
"""Of 0 around an image: so much of its length, along each axis."""
GROWTH = 3
"""Voxels by which a mask is grown, or shrunk."""


@dataclass(frozen=True)
class Change:
    """How far a field is from another, after the factor that brings them nearest: shares of 1.

    Parameters
    ----------
    spread, most : float
        Standard deviation and greatest absolute value of the logarithm of their ratio, over the foreground: the voxels
        that the field was estimated from, those outside of a mask apart.
    brain : float
        Its standard deviation over the brain.
    """

    spread: float
    most: float
    brain: float


def change(field: Volume, reference: Volume, where: Mask, brain: Mask) -> Change:
    """Compare two fields."""
    ratio = np.log(field.astype(np.float64) / reference)
    ratio -= ratio[where].mean()
    return Change(float(ratio[where].std()), float(np.abs(ratio[where]).max()), float(ratio[brain].std()))


def worst(changes: list[Change]) -> Change:
    """Return the greatest of each figure."""
    return Change(*(max(getattr(c, name) for c in changes) for name in ("spread", "most", "brain")))


Fields = Iterator[tuple[Volume, Correction]]
"""Each a field on the subject's grid, and the correction whose field it should be."""


@dataclass(frozen=True)
class Invariance:
    """Something that must not change a field.

    Parameters
    ----------
    name : str
    goal : float or None
        The greatest change allowed, a share of 1.
    fields : callable
        Takes a subject and gives `Fields`.
    """

    name: str
    goal: float | None
    fields: Callable[[Subject], Fields]

    def measure(self, subject: Subject) -> Change:
        """Return the worst change of a subject's field."""
        changes = [
            change(field, magnitudes(reference.field), reference.foreground, subject.brain)
            for field, reference in self.fields(subject)
        ]
        return worst(changes)


def field_of(image: SpatialImage, mask: Mask | None = None) -> Volume:
    """Correct an image, and give its field."""
    return magnitudes(correct(image, mask).field)


def turned(subject: Subject, orientations: Sequence[Sequence[tuple[int, int]]]) -> Fields:
    """Exchange and turn the axes, as NIfTI allows: for each axis, the one that it becomes and its direction."""
    for orientation in orientations:
        there = np.array(orientation)
        back = np.empty_like(there)
        back[there[:, 0]] = np.column_stack([range(3), there[:, 1]])
        field = correct(subject.image.as_reoriented(there)).field.as_reoriented(back)
        np.testing.assert_allclose(field.affine, subject.image.affine, atol=1e-6)
        yield magnitudes(field), subject.reference


FLIPS = [[(axis, -1 if axis == flipped else 1) for axis in range(3)] for flipped in range(3)]
ORDERS = {(1, 2, 0): 1, (2, 0, 1): 1, (1, 0, 2): -1, (0, 2, 1): -1, (2, 1, 0): -1}
"""Of the axes, and the direction that makes a turn of each and not its mirror image."""
TURNS = [list(zip(order, (1, 1, sign), strict=True)) for order, sign in ORDERS.items()]


def scaled(subject: Subject) -> Fields:
    """Multiply all voxels."""
    for factor in SCALES:
        volume = magnitudes(subject.image) * np.float32(factor)
        yield field_of(nib.Nifti1Image(volume, subject.image.affine)), subject.reference


def padded(subject: Subject) -> Fields:
    """Add a margin of 0: half of it at each end, or all at one."""
    volume, affine = magnitudes(subject.image), subject.image.affine
    whole = [round(MARGIN * n) for n in volume.shape]
    for before in ([n // 2 for n in whole], whole, [0, 0, 0]):
        wide = np.pad(volume, [(b, n - b) for b, n in zip(before, whole, strict=True)])
        size = np.diag(affine)[:3]
        field = correct(image_of(wide, size, affine[:3, 3] - size * before)).field
        inner = tuple(slice(b, b + n) for b, n in zip(before, volume.shape, strict=True))
        yield magnitudes(field)[inner], subject.reference


def rescanned(subject: Subject, size: float, seed: int = 1) -> Fields:
    """Scan the head with voxels of another size, over the subject's own."""
    image = subject.scan(size * subject.voxel, seed)
    yield onto(correct(image).field, subject.image), subject.reference


def masked(subject: Subject) -> Fields:
    """Return the brain as mask, and then a larger and a smaller one."""
    reference = correct(subject.image, subject.brain)
    for change_of in (ndimage.binary_dilation, ndimage.binary_erosion):
        yield field_of(subject.image, change_of(subject.brain, iterations=GROWTH)), reference


ROUNDING = 1e-4 if reduced_precision("auto", torch.device("cpu")) else 1e-5
"""What rounding may change: more where the network runs in bfloat16, whose steps are large."""
INVARIANCES = (
    Invariance("axes flipped", 0.01, partial(turned, orientations=FLIPS)),
    Invariance("axes turned by 90 degrees", 0.01, partial(turned, orientations=TURNS)),
    Invariance(f"values times {SCALES[0]:g} to {SCALES[-1]:g}", ROUNDING, scaled),
    Invariance(f"{MARGIN:.0%} more of 0 around", 0.01, padded),
    Invariance(f"brain mask {GROWTH} voxels larger, smaller", 0.01, masked),
    Invariance("other noise alone", None, partial(rescanned, size=1.0)),
    *(Invariance(f"voxels {size:g} times as long", 0.02, partial(rescanned, size=size)) for size in SIZES),
)
