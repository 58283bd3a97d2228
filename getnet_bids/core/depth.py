"""How deep points lie below a body's surface: what is outside of the skull has other tissues than what is inside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .geometry import HEAD, Box
from .sampling import SampledLogImage

DEPTHS = 10.0, 25.0
"""Between these depths below the surface, in 220ths of the extent, the inner histogram takes over from the outer."""
CUT = 0.2
"""A body ends at the grid's end in a cut if its section there has more than this share of its largest section."""


def inner_share(points: SampledLogImage, box: Box) -> NDArray[np.float64]:
    """Compute how much each point belongs to the body's inside rather than to what lies near its surface.

    An end of the grid that the body crosses in a large section is no surface: there a neck, or the view, is cut.

    Returns
    -------
    ndarray, shape of the grid
        0 near the surface, 1 from `DEPTHS` on.
    """
    inside = ndimage.binary_fill_holes(points.inside.cpu().numpy())
    spacing = [float(np.diff(p).mean()) if len(p) > 1 else 1.0 for p in points.position]
    padded = np.pad(inside, [(1, 1) if n > 1 else (0, 0) for n in inside.shape])
    for axis in range(3):
        sections = padded.sum(tuple(a for a in range(3) if a != axis))
        for end, beside in ((0, 1), (-1, -2)):
            if len(sections) > 2 and sections[beside] > CUT * sections.max():
                np.moveaxis(padded, axis, 0)[end] = np.moveaxis(padded, axis, 0)[beside]
    if padded.all():
        return np.ones(inside.shape)
    depth = ndimage.distance_transform_edt(padded, sampling=spacing)
    depth = depth[tuple(slice(1, -1) if n > 1 else slice(None) for n in inside.shape)] * (HEAD / box.extent)
    return np.clip((depth - DEPTHS[0]) / (DEPTHS[1] - DEPTHS[0]), 0, 1)
