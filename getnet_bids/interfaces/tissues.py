"""Segmentation of an image into tissues: the user's own, by template and Atropos, or into classes of intensity."""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nipype import logging
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiObject,
    OutputMultiObject,
    SimpleInterface,
    Str,
    TraitedSpec,
    isdefined,
    traits,
)

from getnet_bids.columns import TISSUES
from getnet_bids.errors import GetNetError
from getnet_bids.labels import table_of, tissues_by_label

from .n4 import itk_threads
from .templates import BUNDLED

if TYPE_CHECKING:
    import numpy as np
    from nibabel.spatialimages import SpatialImage
    from numpy.typing import NDArray

ITERATIONS = 4
"""Iterations of Atropos; a few are enough, since the priors are a good start."""


@contextmanager
def temporary_files() -> Iterator[None]:
    """Redirect temporary files to a folder that is removed afterwards, since antspyx leaves Atropos's files there."""
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
        Number of classes for k-means, or the prior probability of each class.

    Returns
    -------
    list of ndarray, float32, shape (X, Y, Z)
        Probabilities of the tissues in the order of the priors, or of classes from dark to bright.
    """
    import ants
    import nibabel as nib
    import numpy as np

    from getnet_bids.masks import bounding_box

    box = bounding_box(inside)
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


LOGGER = logging.getLogger("nipype.interface")
LABEL_OF_TISSUE = {"GM": 1, "WM": 2, "CSF": 3}
"""Labels in the dseg, as in fMRIPrep and in BIDS's standard list."""
MIN_EXTENT = 100.0
"""Smallest extent of a human head or brain, mm, along all axes but one, which may be that of a slab."""
VOLUME_RANGE = (0.5, 1.8)
"""Smallest and largest volume of a human brain, relative to the template's."""
MIN_INFORMATION = 0.35
"""Smallest mutual information of a brain and the template, nats."""
NO_BRAIN = "not taken for a human brain, since {}: intensity classes instead of tissues"
UNLIKELY = "segmented as a human brain as asked, though {}"


class TissueSegmentationInputSpec(BaseInterfaceInputSpec):
    """Inputs of `TissueSegmentation`."""

    input_image = File(exists=True, mandatory=True, desc="the image before correction")
    bias_images = InputMultiObject(
        File(exists=True),
        desc="fields of the methods to compare; the input is divided by their geometric mean before segmentation",
    )
    method = traits.Enum(
        "auto",
        "derivatives",
        "atropos",
        "classes",
        usedefault=True,
        desc="derivatives: the existing segmentation; atropos: template and Atropos; classes: intensity classes of the "
        "foreground; auto: the first that is possible",
    )
    dseg = File(exists=True, desc="existing labels")
    dseg_table = File(
        exists=True,
        desc="names of these labels; default: the table that belongs to dseg by its name, but only as an input is it "
        "part of the hash",
    )
    probsegs = InputMultiObject(File(exists=True), desc="existing tissue probabilities")
    brain_mask = File(exists=True, desc="existing brain mask, used by atropos in place of the template's")
    template = Str(BUNDLED, usedefault=True, desc="bundled (nilearn's MNI152), or the name of a TemplateFlow template")
    n_classes = traits.Range(
        low=2, high=8, value=3, usedefault=True, desc="number of classes for an image that does not show a brain"
    )
    num_threads = traits.Int(
        1, usedefault=True, nohash=True, desc="threads of ITK, fixed for a process; -1: ITK's default"
    )


class TissueSegmentationOutputSpec(TraitedSpec):
    """Outputs of `TissueSegmentation`."""

    dseg = File(exists=True, desc="labels: 1 GM, 2 WM, 3 CSF; or classes from dark to bright")
    dseg_tsv = File(exists=True, desc="names of the labels")
    tissue_maps = OutputMultiObject(File(exists=True), desc="probability of each tissue or class")
    tissue_names = traits.List(Str, desc="CSF, GM, WM; or class 1, class 2 ...")
    brain_mask = File(exists=True, desc="brain mask; undefined if there is none")
    method = traits.Enum("derivatives", "atropos", "classes", desc="method of the segmentation")
    note = Str(desc="remark for the reader; undefined if there is none")


class TissueSegmentation(SimpleInterface):
    """Segment an image once, so that all methods are judged with the same labels.

    The image to segment is the input divided by the geometric mean of the methods' fields, ``v / sqrt(g1 g2)``, which
    is equally close to the results of both methods, so that the labels favour neither. An existing segmentation takes
    precedence.

    The brain is found by registering a template to the image (an affine transform with several starting points, then
    SyN, compared in and just around the template's brain, so that a skull does not matter), and is segmented by Atropos
    with the template's priors. If the object is too small, the fit is poor or the volume is not that of a human brain,
    the foreground is divided into classes of intensity, which are named as such.

    Examples
    --------
    >>> from getnet_bids.interfaces import TissueSegmentation
    >>> segmentation = TissueSegmentation(input_image="sub-01_T1w.nii.gz")  # doctest: +SKIP
    """

    input_spec = TissueSegmentationInputSpec
    output_spec = TissueSegmentationOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        import nibabel as nib
        import numpy as np

        from getnet_bids import images
        from getnet_bids.masks import foreground_of

        from .inhomogeneity import volume_like

        inputs = self.inputs
        source = images.read(inputs.input_image)
        volume = volume_like(source, inputs.input_image)
        for path in inputs.bias_images if isdefined(inputs.bias_images) else []:
            volume = volume / volume_like(source, path) ** (1 / len(inputs.bias_images))
        image = nib.Nifti1Image(np.nan_to_num(volume.reshape((*volume.shape, 1)[:3])), source.affine)
        given = isdefined(inputs.dseg) or isdefined(inputs.probsegs)
        method = "derivatives" if inputs.method == "auto" and given else inputs.method
        itk_threads(inputs.num_threads)

        maps = None
        if method == "derivatives":
            maps = given_maps(
                image,
                inputs.dseg if isdefined(inputs.dseg) else None,
                inputs.probsegs if isdefined(inputs.probsegs) else None,
                inputs.dseg_table if isdefined(inputs.dseg_table) else None,
            )
        inside = foreground_of(image, inputs.input_image)
        if method in ("auto", "atropos"):
            mask = inside_of(inputs.brain_mask, image) if isdefined(inputs.brain_mask) else None
            maps, why = tissues_of(image, inside, inputs.template, must=method == "atropos", mask=mask)
            method = "atropos" if maps else "classes"
            if why is not None:
                self._results["note"] = (UNLIKELY if maps else NO_BRAIN).format(why)
                LOGGER.info("%s: %s", Path(inputs.input_image).name, self._results["note"])
        brain = maps is not None
        if maps is None:
            # From dark to bright.
            maps = {f"class {i}": data for i, data in enumerate(atropos(image, inside, inputs.n_classes), 1)}
        self._results["method"] = method
        self._write(Path(runtime.cwd), source, maps, brain)
        return runtime

    def _write(self, folder: Path, source: SpatialImage, maps: dict[str, NDArray[np.float32]], brain: bool) -> None:
        import numpy as np

        from getnet_bids import images
        from getnet_bids.files import write_text

        names = list(maps)
        index = LABEL_OF_TISSUE if brain else {name: i for i, name in enumerate(names, 1)}
        stack = np.stack([maps[name].reshape(source.shape[:3]) for name in names])
        inside = stack.sum(0) > 0.5
        labels = np.array([index[name] for name in names])[stack.argmax(0)] * inside
        written = {"dseg": labels, **({"brain_mask": inside} if brain else {})}
        for name, data in written.items():
            path = folder / f"{name}.nii.gz"
            images.write(whole_numbers(source, data), path)
            self._results[name] = str(path)
        self._results["tissue_maps"] = []
        for name, data in zip(names, stack, strict=True):
            path = folder / f"label-{name.replace(' ', '')}_probseg.nii.gz"
            images.write(images.like(source, data), path)
            self._results["tissue_maps"].append(str(path))
        table = "".join(f"{i}\t{name}\n" for name, i in sorted(index.items(), key=lambda one: one[1]) if name in names)
        write_text(folder / "dseg.tsv", "index\tname\n" + table)
        self._results["dseg_tsv"] = str(folder / "dseg.tsv")
        self._results["tissue_names"] = names


def whole_numbers(image: SpatialImage, data: NDArray[Any]) -> SpatialImage:
    """Make an image of bytes with the header of another; `images.like` is for float32."""
    import numpy as np

    from getnet_bids import images

    header = images.like(image, np.asarray(data, np.float32)).header
    header.set_data_dtype(np.uint8)
    return type(image)(data.astype(np.uint8), image.affine, header)


def inside_of(mask: str, image: SpatialImage) -> NDArray[np.bool_]:
    """Read a mask and resample it to an image's grid; it may have another grid in the same scanner space."""
    from getnet_bids import images

    inside = map_on_grid(images.read(mask), image, 0, mask) > 0.5
    if not inside.any():
        raise GetNetError("has no voxel inside the image; give the brain mask of this image", mask)
    return inside


def tissues_of(
    image: SpatialImage,
    inside: NDArray[np.bool_],
    template: str,
    must: bool,
    mask: NDArray[np.bool_] | None = None,
) -> tuple[dict[str, NDArray[np.float32]] | None, str | None]:
    """Segment a brain, in a mask if there is one; for other images return no maps (unless `must`), and the reason."""
    from .templates import load_template, register_template

    why = not_a_head(image, inside)
    if must and min(image.shape) == 1:
        raise GetNetError("a template cannot be registered to a single slice; let the segmentation be auto")
    if why is None or must:
        with tempfile.TemporaryDirectory() as folder:
            registration = register_template(image, inside, load_template(template), Path(folder))
        if not VOLUME_RANGE[0] < registration.volume < VOLUME_RANGE[1]:
            why = f"a brain there would have {registration.volume:.2f} times the template's volume"
        elif registration.information < MIN_INFORMATION:
            why = f"the template fits poorly (mutual information {registration.information:.2f} nats)"
        if why is None or must:
            brain = registration.brain if mask is None else mask
            return dict(zip(TISSUES, atropos(image, brain, registration.priors), strict=True)), why
    return None, why


def not_a_head(image: SpatialImage, inside: NDArray[np.bool_]) -> str | None:
    """Return the reason why an image cannot show a whole human brain, from its size only."""
    from getnet_bids import images
    from getnet_bids.core.signs import sides

    lengths = sides(inside, images.voxel_size(image))
    if sorted(lengths)[0] < 0.5 * MIN_EXTENT or sorted(lengths)[1] < MIN_EXTENT:
        return "it measures " + " x ".join(f"{side:.0f}" for side in lengths) + " mm"
    return None


def given_maps(
    image: SpatialImage, dseg: str | None, probsegs: list[str] | None, table: str | None = None
) -> dict[str, NDArray[np.float32]]:
    """Read a user's tissue maps and resample them to an image's grid.

    Parameters
    ----------
    image : SpatialImage, shape (X, Y, Z)
    dseg : str or None
        Labels, with the meaning that `getnet_bids.labels.tissues_by_label` finds.
    probsegs : list of str or None
        Probabilities, with ``label-CSF``, ``label-GM`` and ``label-WM`` in their names. They take precedence.
    table : str or None
        Table of the labels; default: `getnet_bids.labels.table_of`.

    Returns
    -------
    dict of ndarray, float32, shape (X, Y, Z)
        Probabilities by tissue, in the order of `TISSUES`, of those that exist.

    Raises
    ------
    GetNetError
        No tissue is found, or none overlaps the image; a map has several volumes, or values far above 1.
    """
    import numpy as np

    from getnet_bids import images

    from .inhomogeneity import check_probabilities

    maps = {}
    if probsegs:
        for path in probsegs:
            label = re.search(r"(?:^|_)label-([A-Za-z]+)_", os.path.basename(path))
            if label and label[1] in TISSUES:
                given = images.read(path)
                check_probabilities(np.asarray(given.dataobj), path)
                maps[label[1]] = np.clip(map_on_grid(given, image, 1, path), 0, 1)
        name = probsegs[0]
        if not maps:
            text = "the names of tissue probabilities must contain label-CSF_, label-GM_ or label-WM_; rename the files"
            raise GetNetError(text, name)
    elif dseg is not None:
        name = dseg
        given = images.read(dseg)
        present = [int(label) for label in np.unique(np.rint(given.dataobj)) if np.isfinite(label)]
        meaning = tissues_by_label(present, Path(table) if table else table_of(Path(dseg)))
        labels = np.rint(map_on_grid(given, image, 0, dseg))
        for tissue in TISSUES:
            wanted = [label for label, meant in meaning.items() if meant == tissue]
            maps[tissue] = np.isin(labels, wanted).astype(np.float32)
    else:
        raise GetNetError("give dseg or probsegs, or another method than derivatives")
    maps = {tissue: maps[tissue] for tissue in TISSUES if tissue in maps and maps[tissue].any()}
    if not maps:
        raise GetNetError("holds no CSF, GM or WM where the image is; give the segmentation of this image", name)
    return maps


def map_on_grid(given: SpatialImage, image: SpatialImage, order: int, name: str) -> NDArray[np.float32]:
    """Return a map of one volume on an image's grid, resampled in scanner space if the grids differ."""
    import nibabel as nib
    import numpy as np
    from nibabel.processing import resample_from_to

    from getnet_bids.masks import MAX_CORNER_DISTANCE, corner_distance

    if (volumes := math.prod(given.shape[3:])) != 1:
        raise GetNetError(f"has {volumes} volumes; give a file of one volume", name)
    data = np.asarray(given.dataobj, dtype=np.float32).reshape((*given.shape, 1)[:3])
    shape = (*image.shape, 1)[:3]
    if data.shape == shape and corner_distance(image.affine, given.affine, shape) <= MAX_CORNER_DISTANCE:
        return data
    solid = nib.Nifti1Image(data, given.affine)
    return np.asarray(resample_from_to(solid, (shape, image.affine), order=order).dataobj, dtype=np.float32)
