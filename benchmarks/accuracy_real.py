"""Measure real images, whose truth is unknown: the uniformity of each tissue, and the smoothness of the fields."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from accuracy_methods import Method
from label_field import HALF_WAVE

from getnet_bids import images
from getnet_bids.bids.discovery import Source, find_images
from getnet_bids.columns import ENTIRE
from getnet_bids.core import metrics
from getnet_bids.core.geometry import HEAD_EXTENT, Box
from getnet_bids.interfaces import TissueSegmentation
from getnet_bids.interfaces.inhomogeneity import PURE_SHARE, measure, volume_like
from getnet_bids.masks import foreground_of

COMPARED = ("n4", "getnet")
"""Methods by the geometric mean of whose fields an image is divided before segmentation, so that it favours neither."""
COLUMNS = ("cv", "cv_noise_controlled", "cjv", "cjv_noise_controlled", "field_p95_p5")


def real_rows(datasets: list[Path], methods: dict[str, Method], folder: Path) -> Iterator[dict[str, Any]]:
    """Measure the anatomical images of datasets.

    Parameters
    ----------
    datasets : list of Path
        BIDS datasets; only volumes are used.
    methods : dict of Method
        Methods by name.
    folder : Path
        Folder in which fields are kept, so that they are not estimated again.

    Yields
    ------
    dict
        One for each image, region and method.
    """
    for dataset in datasets:
        for source in find_images(dataset).sources:
            place = folder / dataset.resolve().name / str(source.name).partition(".")[0]
            place.mkdir(parents=True, exist_ok=True)
            for row in measure_image(source, methods, place):
                yield {"dataset": dataset.resolve().name, "image": source.relative, **row}


def measure_image(source: Source, methods: dict[str, Method], folder: Path) -> Iterator[dict[str, Any]]:
    """Correct an image by all methods, segment it once, and measure."""
    image = images.read(source.path)
    volume = volume_like(image, str(source.path))
    sizes = images.voxel_size(image)
    paths = {name: kept_field(method, name, image, volume, sizes, folder) for name, method in methods.items()}
    fields = {name: volume_like(image, str(path)) for name, path in paths.items()}
    foreground = foreground_of(image, str(source.path))
    regions, how = segmented(source.path, [str(paths[n]) for n in COMPARED if n in paths], folder)
    corrected = {name: volume / field for name, field in fields.items()}
    extent = Box.around(torch.from_numpy(foreground), (sizes[0], sizes[1], sizes[2])).extent
    for row in measure(corrected, {ENTIRE: foreground, **regions}, fields, {}):
        out = {"segmentation": how, "region": row["region"], "method": row["method"]}
        out |= {column: row.get(column) for column in COLUMNS}
        if row["region"] == ENTIRE:
            length = HALF_WAVE * extent / HEAD_EXTENT
            out["roughness"] = metrics.roughness(fields[row["method"]], sizes, length, foreground)
        yield out


def kept_field(
    method: Method, name: str, image: Any, volume: np.ndarray, sizes: tuple[float, ...], folder: Path
) -> Path:
    """Return the file of a method's field, which is made if there is none with this fingerprint."""
    path = folder / f"{name}-{method.fingerprint.replace(' ', '_').replace('/', '_')[:60]}.nii.gz"
    if not path.exists():
        images.write(nib.Nifti1Image(method.run(volume, sizes).reshape(volume.shape), image.affine), path)
    return path


def segmented(path: Path, fields: list[str], folder: Path) -> tuple[dict[str, np.ndarray], str]:
    """Segment an image; return the voxels of each tissue or class, and the method of the segmentation."""
    outputs = TissueSegmentation(input_image=str(path), bias_images=fields).run(cwd=str(folder)).outputs
    maps = zip(outputs.tissue_names, outputs.tissue_maps, strict=True)
    regions = {name: np.asarray(nib.load(file).dataobj) > PURE_SHARE for name, file in maps}
    return {name: region for name, region in regions.items() if region.any()}, outputs.method
