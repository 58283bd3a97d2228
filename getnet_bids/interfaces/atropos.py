"""Atropos through antspyx."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from nibabel.spatialimages import SpatialImage
    from numpy.typing import NDArray

ITERATIONS = 4
"""The priors are a good start."""


@contextmanager
def temporary_files() -> Iterator[None]:
    """Take away what is written to the folder of temporary files: antspyx leaves Atropos's probabilities there."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = before


def atropos(
    image: SpatialImage, inside: NDArray[np.bool_], start: int | tuple[NDArray[np.float32], ...]
) -> list[NDArray[np.float32]]:
    """Run Atropos (Avants et al., Neuroinformatics 2011) in a mask.

    Parameters
    ----------
    image : SpatialImage, shape (X, Y, Z)
    inside : ndarray of bool, shape (X, Y, Z)
    start : int or tuple of ndarray
        Number of classes to find by k-means, or each one's prior probability.

    Returns
    -------
    list of ndarray, float32, shape (X, Y, Z)
        Probabilities: of the priors' tissues in their order, or of classes from dark to bright.
    """
    import ants
    import nibabel as nib
    import numpy as np

    box = tuple(
        slice(used[0], used[-1] + 1) for used in (np.flatnonzero(inside.any(a)) for a in ((1, 2), (0, 2), (0, 1)))
    )
    spacing = [
        float(v) for v, s in zip(nib.affines.voxel_sizes(image.affine), box, strict=True) if s.stop - s.start > 1
    ]

    def as_ants(data: Any) -> Any:
        return ants.from_numpy(np.ascontiguousarray(data[box].squeeze(), dtype=np.float32), spacing=tuple(spacing))

    begin: Any = f"KMeans[{start}]" if isinstance(start, int) else [as_ants(np.clip(prior, 0, 1)) for prior in start]
    radius = "x".join("1" * len(spacing))
    with temporary_files():
        made = ants.atropos(
            a=as_ants(np.asarray(image.dataobj)),
            x=as_ants(inside),
            i=begin,
            m=f"[0.1,{radius}]",
            c=f"[{ITERATIONS},0.001]",
            priorweight=0.0 if isinstance(start, int) else 0.25,
        )
    maps = []
    for probability in made["probabilityimages"]:
        data = np.zeros(inside.shape, np.float32)
        data[box] = probability.numpy().reshape(data[box].shape)
        maps.append(data * inside)
    return maps
