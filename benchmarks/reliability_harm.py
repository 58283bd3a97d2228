"""What images without shading get from us, and images that are corrected already: for benchmarks/reliability.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from accuracy import Case
from accuracy_methods import n4
from reliability_heads import NOISE, correct, image_of, synthetic

from getnet_bids.core.metrics import cv, field_error
from getnet_bids.images import magnitudes
from getnet_bids.training.evaluation.brainweb import VOXEL, Volume

Figure = tuple[str, str, float, float | None]
"""What it is, of which image, the value, and the most that it should be: shares of 1."""
GOAL = 0.01
SUBJECTS, FIELDS = ("04", "20", "41"), ("smooth40", "coil")
BY_N4 = (("04", "T1w", "none"), ("20", "T2w", "none"), ("41", "PDw", "none"), ("04", "T1w", "smooth40"))
"""A minute each."""


def field_of(volume: Volume) -> Volume:
    """Correct a volume of 1 mm, and give its field."""
    return magnitudes(correct(image_of(volume, np.ones(3), np.zeros(3))).field)


def of_synthetic(voxel: float = 1.0) -> Iterator[Figure]:
    """Measure the synthetic head, its voxels of some size, mm."""
    plain, shaded = synthetic(voxel, shaded=False), synthetic(voxel)
    yield "no field: CV of ours", plain.name, cv(magnitudes(plain.reference.field), plain.brain), GOAL
    again = correct(shaded.reference.image)
    yield "corrected by us: CV of the second field", shaded.name, cv(magnitudes(again.field), shaded.brain), GOAL


def of_heads(models: Path, contrasts: tuple[str, ...]) -> Iterator[Figure]:
    """Measure simulated heads without a field, and those that we have corrected."""
    for subject in SUBJECTS:
        for contrast in contrasts:
            for kind in ("none", *FIELDS):
                head, _, image = Case(subject, contrast, kind, NOISE, 0).simulate(models)
                name, field = f"{subject} {contrast} {kind}", field_of(image)
                if kind == "none":
                    yield "no field: CV of ours", name, cv(field, head.brain), GOAL
                again = field_of(image / field)
                yield "corrected by us: CV of the second field", name, cv(again, head.brain), GOAL


def of_n4(models: Path) -> Iterator[Figure]:
    """Measure heads that N4 has corrected; where it leaves something of the field, ours should not be flat."""
    for subject, contrast, kind in BY_N4:
        head, truth, image = Case(subject, contrast, kind, NOISE, 0).simulate(models)
        first = n4(image, VOXEL)
        second, name = field_of(image / first), f"{subject} {contrast} {kind}"
        yield "corrected by N4: CV of our field", name, cv(second, head.brain), GOAL
        yield "corrected by N4: error that it left", name, field_error(first, truth, head.brain), None
        yield "corrected by N4, then by us: error left", name, field_error(first * second, truth, head.brain), None
