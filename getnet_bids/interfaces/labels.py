"""Tissue maps that a user already has: dseg and probseg of fMRIPrep, sMRIPrep, FreeSurfer-as-BIDS."""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from getnet_bids.columns import TISSUES
from getnet_bids.errors import GetNetError

if TYPE_CHECKING:
    import numpy as np
    from nibabel.spatialimages import SpatialImage
    from numpy.typing import NDArray

BIDS = {1: "GM", 2: "WM", 3: "CSF"}
"""Labels of a dseg without a table, as fMRIPrep and sMRIPrep have them."""
FREESURFER = {
    **dict.fromkeys((2, 7, 16, 28, 41, 46, 60, 77, 85, 251, 252, 253, 254, 255), "WM"),
    **dict.fromkeys((3, 8, 10, 11, 12, 13, 17, 18, 26, 42, 47, 49, 50, 51, 52, 53, 54, 58), "GM"),
    **dict.fromkeys((4, 5, 14, 15, 24, 43, 44), "CSF"),
}
"""Labels of aseg; labels of 1000 and more (aparc+aseg) are cortex."""
NAMES = {"CSF": "CSF", "GM": "GM", "WM": "WM", "GRAY MATTER": "GM", "GREY MATTER": "GM", "WHITE MATTER": "WM"}


def given_maps(image: SpatialImage, dseg: str | None, probsegs: list[str] | None) -> dict[str, NDArray[np.float32]]:
    """Read a user's tissue maps onto an image's grid.

    Parameters
    ----------
    image : SpatialImage, shape (X, Y, Z)
    dseg : str or None
        Labels; a table of the same name with ``index`` and ``name`` tells what they are, otherwise values above 3
        mean FreeSurfer's and others those of fMRIPrep.
    probsegs : list of str or None
        Probabilities, with ``label-CSF``, ``label-GM`` and ``label-WM`` in their names. They go before the dseg.

    Returns
    -------
    dict of ndarray, float32, shape (X, Y, Z)
        Probabilities by tissue, in the order of `TISSUES`; those that are there.

    Raises
    ------
    GetNetError
        No tissue is found, or none of it lies on the image.
    """
    import numpy as np

    from getnet_bids import images

    maps = {}
    if probsegs:
        for path in probsegs:
            label = re.search(r"_label-([A-Za-z]+)_", os.path.basename(path))
            if label and label[1] in TISSUES:
                maps[label[1]] = np.clip(on_grid(images.read(path), image, 1), 0, 1)
        name = probsegs[0]
    elif dseg is not None:
        name = dseg
        labels = np.rint(on_grid(images.read(dseg), image, 0)).astype(int)
        meaning = meaning_of(dseg, int(labels.max()))
        known = np.array([*meaning, 0])
        for tissue in TISSUES:
            wanted = [index for index in known if meaning.get(int(index)) == tissue]
            if wanted:
                maps[tissue] = np.isin(labels, wanted).astype(np.float32)
                if tissue == "GM" and labels.max() >= 1000:
                    maps[tissue][labels >= 1000] = 1
    else:
        raise GetNetError("give dseg or probsegs, or another method than derivatives")
    maps = {tissue: maps[tissue] for tissue in TISSUES if tissue in maps and maps[tissue].any()}
    if not maps:
        raise GetNetError("holds no CSF, GM or WM where the image is; give the segmentation of this image", name)
    return maps


def meaning_of(dseg: str, greatest: int) -> dict[int, str]:
    """Return which tissue each label of a dseg is."""
    table = Path(re.sub(r"\.(nii(\.gz)?|mg[hz])$", ".tsv", dseg))
    if table.is_file():
        with open(table, newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        names = {int(row["index"]): row["name"].strip().upper() for row in rows if row.get("name")}
        meaning = {index: NAMES[name] for index, name in names.items() if name in NAMES}
        if meaning:
            return meaning
    return BIDS if greatest <= 3 else FREESURFER


def on_grid(given: SpatialImage, image: SpatialImage, order: int) -> NDArray[np.float32]:
    """Return a map on an image's grid, resampled in scanner space where the grids differ."""
    import numpy as np
    from nibabel.processing import resample_from_to

    from getnet_bids.masks import corner_distance

    data = np.asarray(given.dataobj, dtype=np.float32)
    shape = (*image.shape, 1)[:3]
    if (*given.shape, 1)[:3] == shape and corner_distance(image.affine, given.affine, shape) <= 0.5:
        return data.reshape(shape)
    return np.asarray(resample_from_to(given, (shape, image.affine), order=order).dataobj, dtype=np.float32)
