"""Measure how inhomogeneous each tissue is before and after each correction, as a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiObject,
    SimpleInterface,
    Str,
    TraitedSpec,
    isdefined,
    traits,
)

from getnet_bids.columns import ENTIRE, UNCORRECTED, comparison_columns, descriptions
from getnet_bids.errors import GetNetError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PURE_SHARE = 0.9
"""A voxel belongs to a tissue if its probability is above this."""
MAX_PROBABILITY = 1.5
"""Largest value of a map of probabilities, which may exceed 1 by interpolation."""


class InhomogeneityMetricsInputSpec(BaseInterfaceInputSpec):
    """Inputs of `InhomogeneityMetrics`."""

    input_image = File(exists=True, mandatory=True, desc="the image before correction")
    methods = traits.List(Str, mandatory=True, desc="names of the corrections")
    corrected_images = InputMultiObject(File(exists=True), mandatory=True, desc="the corrected image of each")
    bias_images = InputMultiObject(File(exists=True), desc="the field of each")
    seconds = InputMultiObject(traits.Float, desc="the time of each")
    tissue_maps = InputMultiObject(File(exists=True), desc="probability map of each tissue, 0 to 1")
    tissue_names = InputMultiObject(Str, desc="names of the tissues; CJV is computed if there are GM and WM")
    original_image = File(exists=True, desc="the image without bias field, if it is known")


class InhomogeneityMetricsOutputSpec(TraitedSpec):
    """Outputs of `InhomogeneityMetrics`."""

    out_tsv = File(exists=True, desc="one row for each method and region")
    out_json = File(exists=True, desc="descriptions of the columns")
    out_table = File(exists=True, desc="relative MAE in the form of the paper's Table 1, if the original is known")


class InhomogeneityMetrics(SimpleInterface):
    """Measure each tissue before and after each correction.

    All measures are those of `getnet_bids.core.metrics`, over the same voxels for every method: those with a
    probability above 0.9 for a tissue, and the foreground before correction for the entire image.

    Examples
    --------
    >>> from getnet_bids.interfaces import InhomogeneityMetrics
    >>> metrics = InhomogeneityMetrics(methods=["GetNet", "N4"], tissue_names=["CSF", "GM", "WM"])
    """

    input_spec = InhomogeneityMetricsInputSpec
    output_spec = InhomogeneityMetricsOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        import json
        from pathlib import Path

        from getnet_bids import images
        from getnet_bids.files import write_text
        from getnet_bids.masks import foreground_of

        inputs = self.inputs
        check_methods(inputs.methods)
        check_lengths(inputs.methods, inputs, "corrected_images", "bias_images", "seconds")
        if isdefined(inputs.tissue_maps) != isdefined(inputs.tissue_names):
            raise GetNetError("tissue_maps and tissue_names belong together; give both or neither")
        image = images.read(inputs.input_image)
        regions = {ENTIRE: foreground_of(image, inputs.input_image), **tissue_regions(image, inputs)}
        volumes = {UNCORRECTED: volume_like(image, inputs.input_image)}
        fields, seconds = {}, {}
        for i, method in enumerate(inputs.methods):
            volumes[method] = volume_like(image, inputs.corrected_images[i])
            if isdefined(inputs.bias_images):
                fields[method] = volume_like(image, inputs.bias_images[i])
            if isdefined(inputs.seconds):
                seconds[method] = inputs.seconds[i]
        original = volume_like(image, inputs.original_image) if isdefined(inputs.original_image) else None

        rows = measure(volumes, regions, fields, seconds, original)
        described = descriptions(comparison_columns(inputs.methods))
        texts = {"out_tsv": as_tsv(rows, list(described)), "out_json": json.dumps(described, indent=2) + "\n"}
        if original is not None:
            texts["out_table"] = table_one(rows)
        for name, text in texts.items():
            file = {"out_tsv": "metrics.tsv", "out_json": "metrics.json", "out_table": "table1.tsv"}[name]
            write_text(Path(runtime.cwd, file), text)
            self._results[name] = str(Path(runtime.cwd, file))
        return runtime


def check_methods(names: list[str]) -> None:
    """Raise an error for methods whose rows in a table could not be told apart."""
    for name in names:
        if name == UNCORRECTED:
            raise GetNetError(f"{UNCORRECTED!r} stands for the image before correction; name the method otherwise")
        if names.count(name) > 1:
            raise GetNetError(f"there are two methods {name!r}; name them differently")


def check_lengths(names: list[str], inputs: Any, *lists: str) -> None:
    """Raise an error for lists that differ in length from the names."""
    for name in lists:
        values = getattr(inputs, name)
        if isdefined(values) and len(values) != len(names):
            raise GetNetError(
                f"{name} has {len(values)} entries for {len(names)} names ({', '.join(names)}); give one each"
            )


def volume_like(image: Any, path: str) -> NDArray[np.float32]:
    """Read an image that must have the same grid as another; for a series return its mean."""
    from getnet_bids import images
    from getnet_bids.masks import check_position

    given = images.read(path)
    voxels = images.magnitudes(given, path)
    voxels = voxels.reshape(voxels.shape[:4])
    if voxels.shape[:3] != image.shape[:3]:
        raise GetNetError(f"has shape {voxels.shape}, the image {image.shape}; resample it to the image", path)
    check_position(given, image, path)
    return voxels.mean(3) if voxels.ndim == 4 else voxels


def tissue_regions(image: Any, inputs: Any) -> dict[str, NDArray[np.bool_]]:
    """Return the voxels of each tissue of the inputs ``tissue_maps``, by name; tissues without voxels are left out."""
    if not isdefined(inputs.tissue_maps):
        return {}
    check_lengths(inputs.tissue_names, inputs, "tissue_maps")
    names_and_maps = zip(inputs.tissue_names, inputs.tissue_maps, strict=True)
    regions = {}
    for name, path in names_and_maps:
        probability = volume_like(image, path)
        check_probabilities(probability, path)
        regions[name] = probability > PURE_SHARE
    return {name: region for name, region in regions.items() if region.any()}


def check_probabilities(values: NDArray[np.floating], path: str) -> None:
    """Raise an error for a probability map whose values are clearly not 0 to 1, such as percentages."""
    import numpy as np

    greatest = float(np.fmax.reduce(values, axis=None))
    if greatest > MAX_PROBABILITY:
        raise GetNetError(f"holds values up to {greatest:g}, but probabilities are 0 to 1; scale it to 0 to 1", path)


def measure(
    volumes: dict[str, NDArray[np.float32]],
    regions: dict[str, NDArray[np.bool_]],
    fields: dict[str, NDArray[np.float32]],
    seconds: dict[str, float],
    original: NDArray[np.float32] | None = None,
) -> list[dict[str, Any]]:
    """Measure each volume in each region.

    Parameters
    ----------
    volumes : dict of ndarray
        Images by method.
    regions : dict of ndarray of bool
        Regions by name, including `ENTIRE`.
    fields : dict of ndarray
        Fields by method.
    seconds : dict of float
        Times by method.
    original : ndarray, optional
        The image without bias field.

    Returns
    -------
    list of dict
        A row for each method and region, by column.
    """
    from getnet_bids.core import metrics

    entire = regions[ENTIRE]
    common = {method: volume / float(volume[entire].mean(dtype=float)) for method, volume in volumes.items()}
    rows = []
    for method, volume in volumes.items():
        scaled = volume if original is None else metrics.best_scale(volume, original, entire) * volume
        calm = {name: metrics.denoised(volume, region) for name, region in regions.items()}
        for name, region in regions.items():
            row = {
                "method": method,
                "region": name,
                "voxels": int(region.sum()),
                "cv": metrics.cv(volume, region),
                "cv_noise_controlled": metrics.cv(calm[name], region),
                "seconds": seconds.get(method),
            }
            if original is not None:
                row["relative_mae"] = metrics.relative_mae(scaled, original, region, scale="none")
            if method in fields:
                row["field_p95_p5"] = metrics.field_range(fields[method], region)
            for other in common:
                if other != method:
                    row[f"disagreement_with_{other}"] = metrics.disagreement(
                        common[method], common[other], region, scale="none"
                    )
            rows.append(row)
        if {"GM", "WM"} <= regions.keys():
            gray, white = regions["GM"], regions["WM"]
            rows.append(
                {
                    "method": method,
                    "region": "GM+WM",
                    "voxels": int((gray | white).sum()),
                    "cjv": metrics.cjv(volume, gray, white),
                    "cjv_noise_controlled": metrics.cjv(calm["GM"] + calm["WM"], gray, white),
                    "seconds": seconds.get(method),
                }
            )
    return rows


def as_tsv(rows: list[dict[str, Any]], columns: list[str]) -> str:
    r"""Format rows as a TSV table as in BIDS.

    Examples
    --------
    >>> as_tsv([{"a": 0.123456, "b": "x"}, {"a": None}], ["a", "b"])
    'a\tb\n0.12346\tx\nn/a\tn/a\n'
    >>> as_tsv([{"a": float("nan")}], ["a"])
    'a\nn/a\n'
    """

    def text(value: Any) -> str:
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return "n/a"
        return f"{value:.5g}" if isinstance(value, float) else str(value)

    lines = ["\t".join(columns)]
    lines += ["\t".join(text(row.get(column)) for column in columns) for row in rows]
    return "\n".join(lines) + "\n"


def table_one(rows: list[dict[str, Any]]) -> str:
    """Write the relative MAE in the form of Table 1 of Simko et al. 2019: a row per method, a column per region."""
    measured = [row for row in rows if "relative_mae" in row]
    regions = list(dict.fromkeys(row["region"] for row in measured))
    table: dict[str, dict[str, Any]] = {}
    for row in measured:
        name = "Gain" if row["method"] == UNCORRECTED else row["method"]
        line = table.setdefault(name, {"method": name, "seconds": row["seconds"]})
        line[row["region"]] = row["relative_mae"]
    return as_tsv(list(table.values()), ["method", *regions, "seconds"])
