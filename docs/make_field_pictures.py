"""Make the pictures of the page on reading a field from getnet-demo's brain: ``python docs/make_field_pictures.py``.

Each case is an image whose field or defect is known. GetNet's verdict on it is printed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import nibabel as nib
import numpy as np
from make_pictures import chosen, grey, reduced, save, side_by_side
from make_pictures import field as draw_field
from numpy.typing import NDArray
from scipy import ndimage

import getnet_bids
from getnet_bids.cli.demo import brain, known_gain
from getnet_bids.reports.mosaic import anatomical, arrange

Volume = NDArray[np.float32]
VOXEL = (2.0, 2.0, 2.0)
NOISE = 0.02


@dataclass(frozen=True)
class Case:
    """An image to correct: its name, the voxels, the true field if known, and options that are not the default."""

    name: str
    image: Volume
    truth: Volume | None = None
    options: dict[str, float] = field(default_factory=dict)


def cases(original: Volume) -> Iterator[Case]:
    """Yield images of a brain of brightness 1 with various fields and defects."""
    inside = original > 0
    rng = np.random.default_rng(2019)

    def noisy(image: Volume, share: float = NOISE) -> Volume:
        return np.hypot(image + share * rng.normal(size=image.shape), share * rng.normal(size=image.shape)) * inside

    coil = known_gain("sub-coil", original.shape, inside)
    coil /= np.exp(np.log(coil[inside]).mean())
    shaded = noisy(original * coil)
    yield Case("good", shaded, coil)
    plain = noisy(original)
    yield Case("flat", plain / getnet_bids.correct(plain, voxel_size=VOXEL, device="cpu").field)
    yield Case("anatomy", shaded, coil, {"smoothness": 8.0})
    yield Case("offset", np.where(inside, shaded, 0) + 0.7, coil)
    yield Case("clipped", np.minimum(shaded, 0.9), coil)
    stripes = np.where(np.arange(original.shape[2]) % 2, 1.1, 0.9).astype(np.float32)
    yield Case("slices", shaded * stripes, coil)
    steep = coil**3.5
    yield Case("steep", noisy(original * steep / np.percentile(steep[inside], 90)), steep)


def picture(case: Case, affine: NDArray[np.float64]) -> str:
    """Draw the image, its field, the corrected image and the true field; return a line with the verdict."""
    options = getnet_bids.Options(precision="float32", **case.options)
    result = getnet_bids.correct(case.image, voxel_size=VOXEL, device="cpu", options=options)
    where = ndimage.binary_fill_holes(result.foreground)

    def turned(volume: NDArray) -> NDArray:
        return anatomical(volume, affine)

    mosaic = chosen(arrange(result.foreground, VOXEL, affine), [(2, 2), (1, 2)], 1.4)
    white = np.percentile(case.image[result.foreground], 99)
    after_white = np.percentile(result.image[result.foreground], 99)
    panels = [
        ("image", grey(mosaic, turned(case.image), white)),
        ("field", draw_field(mosaic, turned(result.field), turned(where))),
        ("corrected", grey(mosaic, turned(result.image), after_white)),
    ]
    if case.truth is not None:
        panels.append(("true field", draw_field(mosaic, turned(case.truth), turned(where))))
    save(reduced(side_by_side(panels, [1])), f"field-{case.name}.png")
    return f"{case.name}: {result.verdict}, SD {result.field_sd_median:.3f}; {'; '.join(result.reasons)}"


def main() -> None:
    """Make all pictures."""
    template, _ = brain()
    original = template.get_fdata(dtype=np.float32)[::2, ::2, ::2]
    original /= np.percentile(original[original > 0], 99)
    for case in cases(original):
        print(picture(case, template.affine @ np.diag([2.0, 2, 2, 1])))


if __name__ == "__main__":
    nib.imageglobals.logger.setLevel("ERROR")
    main()
