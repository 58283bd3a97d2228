"""The pictures of an image: before, after, field, and the outline of the foreground."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray
from PIL import Image

from getnet_bids.bids.names import Name
from getnet_bids.errors import GetNetError, reason_of
from getnet_bids.images import magnitudes, voxel_size
from getnet_bids.marks import check_marked, write_marked

from .measures import Sample, measure, remarks, rounded, sample
from .mosaic import anatomical, arrange

LOG = logging.getLogger(__name__)
JPEG_QUALITY = 70
"""Quality of the JPEG files."""
MIN_COLOUR_RANGE = 1.1
"""Smallest range of the field's colour scale: a tenth up and down, so that a flat field looks flat."""
COLOURS = (
    (68, 1, 84),
    (71, 45, 123),
    (59, 82, 139),
    (44, 114, 142),
    (33, 145, 140),
    (40, 174, 128),
    (94, 201, 98),
    (173, 220, 48),
    (253, 231, 37),
)
"""Nine colours of viridis (van der Walt and Smith, 2015; public domain), which is perceptually uniform; colours between
them are interpolated linearly."""


@dataclass(frozen=True)
class Pictures:
    """Paths of the pictures of an image.

    Parameters
    ----------
    before, after, field, outline : Path
    """

    before: Path
    after: Path
    field: Path
    outline: Path

    @classmethod
    def of(cls, name: Name, output_dir: Path, desc: str = "preproc") -> Pictures:
        """Determine the paths of an image's pictures.

        Parameters
        ----------
        name : Name
            Name of the raw image.
        output_dir : Path
            The derivative dataset.
        desc : str
            Value of the ``desc`` entity of the corrected image.

        Examples
        --------
        >>> [path.name for path in Pictures.of(Name.parse("sub-01_T1w.nii.gz"), Path("out")).all][1:3]
        ['sub-01_mod-T1w_desc-preproc_after.jpg', 'sub-01_mod-T1w_desc-preproc_field.jpg']
        """
        folder = output_dir / f"sub-{name.entities['sub']}" / "figures"

        def path(suffix: str, extension: str = ".jpg") -> Path:
            return folder / str(name.derived(suffix, extension, mod=name.suffix, desc=desc))

        return cls(path("before"), path("after"), path("field"), path("foreground", ".png"))

    @property
    def all(self) -> list[Path]:
        """All paths."""
        return [self.before, self.after, self.field, self.outline]


def draw_pictures(
    image: SpatialImage,
    after: NDArray[np.floating],
    field: NDArray[np.floating],
    foreground: NDArray[np.bool_],
    pictures: Pictures,
    metadata: dict[str, Any],
) -> dict[str, Any]:
    """Measure an image and draw its pictures.

    Parameters
    ----------
    image : SpatialImage
        The image before correction, in memory.
    after, field : ndarray
        The corrected image and the field.
    foreground : ndarray of bool, spatial shape
    pictures : Pictures
        Paths of the pictures; their folder is created.
    metadata : dict
        Metadata of the raw image.

    Returns
    -------
    dict
        For the sidecar: the measures, remarks, and the layout and scales of the pictures; not the last if a user's
        file lies in the way of a picture, which causes a warning.
    """
    before = magnitudes(image)
    before = before.reshape(before.shape[:4])
    after = after.reshape(before.shape)
    space = before.shape[:3]
    foreground, field = foreground.reshape(space), field.reshape(space)
    taken = sample(before, after, field, foreground)
    size = voxel_size(image)
    millilitres = float(np.count_nonzero(foreground) * np.prod(size) / 1000)
    measures = measure(taken, millilitres)

    mosaic = arrange(foreground, size, image.affine, sides_known(image))
    low, high = window(taken)
    reach = field_reach(measures)
    span = 2 * np.log(reach)

    def grey(values: NDArray[np.floating]) -> NDArray[np.uint8]:
        seen = np.fmin(np.fmax(values, low), high)  # NaN counts as black
        return ((seen - low) * (255 / (high - low))).astype(np.uint8)

    def colour(values: NDArray[np.floating]) -> NDArray[np.uint8]:
        return (1 + np.clip(0.5 + np.log(values) / span, 0, 1) * 254).astype(np.uint8)

    drawn = {
        pictures.before: mosaic.draw(anatomical(before, image.affine), grey),
        pictures.after: mosaic.draw(anatomical(after, image.affine), grey),
        pictures.field: coloured(mosaic.draw(anatomical(field, image.affine), colour)),
    }
    found = {"Measures": measures, "Remarks": remarks(measures, metadata)}
    try:
        for path in pictures.all:
            check_marked(path)
    except (GetNetError, OSError) as error:
        LOG.warning("no pictures: %s", reason_of(error))
        return found
    pictures.before.parent.mkdir(parents=True, exist_ok=True)
    for path, canvas in drawn.items():
        mosaic.write_labels(canvas)
        write_marked(path, packed(canvas, "JPEG", quality=JPEG_QUALITY))
    border = mosaic.outline(anatomical(foreground, image.affine)).convert("1").convert("P")
    border.putpalette([0, 0, 0] * 255 + [255, 176, 0])
    write_marked(pictures.outline, packed(border, "PNG", transparency=0))
    figures = {
        "Columns": mosaic.columns,
        "Planes": mosaic.planes,
        "Window": [rounded(low), rounded(high)],
        "FieldColours": [rounded(1 / reach), rounded(reach)],
    }
    return {**found, "Figures": figures}


def packed(canvas: Image.Image, kind: str, **options: Any) -> bytes:
    """Return a picture as the bytes of a file, since Pillow does not notice a full disk when it writes a file."""
    file = BytesIO()
    canvas.save(file, kind, **options)
    return file.getvalue()


def window(taken: Sample) -> tuple[float, float]:
    """Return the intensities of black and white, which are the same for both pictures."""
    bright = max(taken.percentiles[99])
    dark = min(0.0, *taken.percentiles[1])
    return dark, 1.05 * bright if bright > dark else dark + 1.0


def field_reach(measures: dict[str, Any]) -> float:
    """Return the largest value of the field's colour scale; the smallest is its reciprocal.

    Examples
    --------
    >>> field_reach({"FieldP1": 0.8, "FieldP99": 1.2}), field_reach({"FieldP1": 0.99, "FieldP99": 1.01})
    (1.25, 1.1)
    """
    reach = max(measures["FieldP99"], 1 / measures["FieldP1"], MIN_COLOUR_RANGE)
    return float(np.ceil(reach * 20 - 1e-9) / 20)


def coloured(indices: Image.Image) -> Image.Image:
    """Convert the gray levels 1 to 255 to the field's colours; 0, outside the slices, stays black."""
    stops = np.linspace(1, 255, len(COLOURS))
    table = np.stack([np.interp(np.arange(1, 256), stops, channel) for channel in zip(*COLOURS, strict=True)], axis=1)
    canvas = indices.convert("P")
    canvas.putpalette([0, 0, 0, *np.round(table).astype(np.uint8).ravel().tolist()])
    return canvas.convert("RGB")


def sides_known(image: SpatialImage) -> bool:
    """Return whether a header says which side is left."""
    header = image.header
    if not isinstance(header, Nifti1Header):
        return True
    return bool(int(header["qform_code"]) > 0 or int(header["sform_code"]) > 0)
