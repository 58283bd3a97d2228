"""Templates of the human brain with tissue priors, and their registration to an image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from getnet_bids.columns import TISSUES
from getnet_bids.errors import GetNetError, one_line

if TYPE_CHECKING:
    import numpy as np
    from nibabel.spatialimages import SpatialImage
    from numpy.typing import NDArray


BUNDLED = "bundled"
"""Name of the template that needs no download: MNI152 (2009a, symmetric) without skull, from nilearn."""
RESOLUTION = 2
"""Voxel size of templates, mm; registration at 1 mm takes eight times as long and is not better."""
TEMPLATE_FILES = (("T1w", {}), ("mask", {"desc": "brain"}), *(("probseg", {"label": tissue}) for tissue in TISSUES))
"""Files of a template: suffix and entities."""


@dataclass(frozen=True)
class Template:
    """A template and its priors on the same grid.

    Parameters
    ----------
    name : str
    image : SpatialImage
        T1-weighted, with or without skull.
    brain : SpatialImage
        Mask, 0 or 1.
    priors : tuple of SpatialImage
        Probabilities of `TISSUES`, 0 to 1.
    """

    name: str
    image: SpatialImage
    brain: SpatialImage
    priors: tuple[SpatialImage, ...]


def load_template(name: str = BUNDLED) -> Template:
    """Load a template.

    Parameters
    ----------
    name : str
        `BUNDLED`, or TemplateFlow's name such as ``MNI152NLin2009cAsym``.

    Returns
    -------
    Template

    Raises
    ------
    ValueError
        TemplateFlow has no such template, or lacks some of its images.
    FileNotFoundError
        The template is not in TemplateFlow's folder and cannot be downloaded.
    """
    return bundled() if name == BUNDLED else of_templateflow(name)


def bundled() -> Template:
    """Load nilearn's MNI152; its CSF prior is the part of the brain that is neither gray nor white matter."""
    import nibabel as nib
    import numpy as np
    from nilearn import datasets

    image = datasets.load_mni152_template(resolution=RESOLUTION)
    brain = datasets.load_mni152_brain_mask(resolution=RESOLUTION).get_fdata() > 0
    gray, white = (
        np.clip(load(resolution=RESOLUTION).get_fdata(), 0, 1) * brain
        for load in (datasets.load_mni152_gm_template, datasets.load_mni152_wm_template)
    )
    maps = (brain, np.clip(brain - gray - white, 0, 1), gray, white)
    mask, *priors = (nib.Nifti1Image(tissue.astype(np.float32), image.affine) for tissue in maps)
    return Template(BUNDLED, image, mask, tuple(priors))


def of_templateflow(name: str) -> Template:
    """Load a TemplateFlow template from its folder or, if there is a network, from the archive."""
    import nibabel as nib
    from templateflow import api, conf

    label, _, cohort = name.partition(":cohort-")
    folder = Path(conf.TF_HOME, f"tpl-{label}")
    if not folder.is_dir():
        known = ", ".join(sorted(path.name.removeprefix("tpl-") for path in Path(conf.TF_HOME).glob("tpl-MNI152*")))
        raise GetNetError(
            f"TemplateFlow has no template {label!r}; it has {known} and others, and there is {BUNDLED!r}"
        )
    whole = []
    for resolution in (RESOLUTION, 1, None):
        fixed = {"tpl": label, **({"cohort": cohort} if cohort else {}), **({"res": resolution} if resolution else {})}
        found = [path for suffix, entities in TEMPLATE_FILES if (path := find(folder, suffix, fixed | entities))]
        if len(found) == len(TEMPLATE_FILES):
            # Files that were never fetched exist as well, but are empty.
            whole.append((not all(path.stat().st_size for path in found), found))
    if not whole:
        raise GetNetError(
            f"template {name} has not one T1w, brain mask and probseg of {', '.join(TISSUES)} on one grid"
        )
    paths = min(whole, key=lambda one: one[0])[1]
    try:
        for path in paths:
            if not path.stat().st_size:
                api.get(label, raise_empty=True, **entities_of(path, for_api=True))
    except Exception as error:
        raise FileNotFoundError(
            f"template {name} is not whole in {conf.TF_HOME} and cannot be downloaded ({one_line(error)[:120]} ...). "
            f"Where there is a network run `python -c \"from templateflow.api import get; get('{label}')\"`, copy that "
            f"folder here and set TEMPLATEFLOW_HOME to it, or use the template {BUNDLED!r}"
        ) from None
    image, brain, *priors = (nib.Nifti1Image.from_filename(path) for path in paths)
    return Template(name, image, brain, tuple(priors))


def find(folder: Path, suffix: str, entities: dict[str, Any]) -> Path | None:
    """Find the file with exactly these entities; TemplateFlow's own search would first index all templates."""
    for path in sorted(folder.rglob(f"*_{suffix}.nii.gz")):
        have = entities_of(path)
        have.pop("suffix")
        if {**have, "res": int(have.get("res", 0))} == {**entities, "res": entities.get("res", 0)}:
            return path
    return None


def entities_of(path: Path, for_api: bool = False) -> dict[str, Any]:
    """Parse a file's name.

    Examples
    --------
    >>> entities_of(Path("tpl-A_res-02_desc-brain_mask.nii.gz"))
    {'tpl': 'A', 'res': '02', 'desc': 'brain', 'suffix': 'mask'}
    >>> entities_of(Path("tpl-A_res-02_T1w.nii.gz"), for_api=True)
    {'desc': None, 'suffix': 'T1w', 'extension': '.nii.gz', 'resolution': 2}
    """
    *parts, suffix = path.name.removesuffix(".nii.gz").split("_")
    entities: dict[str, Any] = dict(part.split("-", 1) for part in parts)
    if not for_api:
        return {**entities, "suffix": suffix}
    del entities["tpl"]
    resolution = {"resolution": int(entities.pop("res"))} if "res" in entities else {}
    return {"desc": None, **entities, "suffix": suffix, "extension": ".nii.gz", **resolution}


BRAIN_MARGIN = 6.0
"""Distance from the template's brain, mm, within which images are compared."""
START_RESOLUTION, REGISTRATION_RESOLUTION = 4.0, 2.0
"""Voxel sizes, mm, at which starting points are tried, and at which the best is refined."""
START_SHIFTS = (0.0, 25.0, 50.0)
"""Starting heights of the brain's centre above that of the foreground, mm, since a neck lowers the latter."""
MASK_GROWTH = 1.5
"""Dilation of the registered mask, mm, since a template's edge lies within the CSF around the brain."""


@dataclass(frozen=True)
class TemplateRegistration:
    """A template registered to an image.

    Parameters
    ----------
    brain : ndarray of bool, shape of the image
    priors : tuple of ndarray, float32, shape of the image
        Probabilities of CSF, GM and WM; outside the template's brain that of CSF is 1, so that the sum is 1.
    volume : float
        Volume of the template's brain after the affine transform, relative to that before.
    information : float
        Mutual information of image and template in and just around the brain, nats.
    """

    brain: NDArray[np.bool_]
    priors: tuple[NDArray[np.float32], ...]
    volume: float
    information: float


def register_template(
    image: SpatialImage, inside: NDArray[np.bool_], template: Template, folder: Path
) -> TemplateRegistration:
    """Register a template's brain to an image, first affinely and then by SyN, and transform its mask and priors.

    The images are compared only in and just around the template's brain, so that it matters little whether either has a
    skull; mutual information makes the contrast irrelevant. The affine transform has several starting points.

    Parameters
    ----------
    image : SpatialImage, shape (X, Y, Z)
        The corrected image, in any orientation.
    inside : ndarray of bool, shape (X, Y, Z)
        The foreground.
    template : Template
    folder : Path
        For temporary files.

    Returns
    -------
    TemplateRegistration
    """
    import ants
    import nibabel as nib
    import numpy as np
    from scipy import ndimage

    def as_ants(name: str, data: Any, affine: Any) -> Any:
        path = folder / f"{name}.nii"
        nib.Nifti1Image(np.asarray(data, np.float32), affine).to_filename(path)
        return ants.image_read(str(path))

    moving = as_ants("image", np.asarray(image.dataobj) * inside, image.affine)
    fixed = as_ants("template", template.image.get_fdata(), template.image.affine)
    brain = template.brain.get_fdata() > 0.5
    sizes = nib.affines.voxel_sizes(template.image.affine)
    near = as_ants(
        "near", ndimage.distance_transform_edt(~brain, sampling=sizes) <= BRAIN_MARGIN, template.image.affine
    )

    centre = np.array(image.affine @ [*ndimage.center_of_mass(inside), 1])[:3]
    target = np.array(template.image.affine @ [*ndimage.center_of_mass(brain), 1])[:3]
    still, around, moved = (
        at_resolution(one, START_RESOLUTION, order) for one, order in ((fixed, 0), (near, 1), (moving, 0))
    )
    tries = []
    for i, rise in enumerate(START_SHIFTS):
        # antspyx uses ITK's axes, which point to the left and back.
        shift = (centre + np.array([0, 0, rise]) - target) * [-1, -1, 1]
        start = str(folder / f"start{i}.mat")
        ants.write_transform(ants.create_ants_transform("AffineTransform", dimension=3, translation=shift), start)
        # Rigid first: with a free scale and so few voxels, the brain would easily be fitted to the whole head.
        prefix = folder / f"try{i}"
        found = linear(still, around, moved, "Rigid", [start], prefix, iterations=(200, 100), shrink=(2, 1))
        tries.append((information(still, found["warpedmovout"], around), found["fwdtransforms"]))
    best = max(tries, key=lambda one: one[0])[1]
    fixed, near, moving = (
        at_resolution(one, REGISTRATION_RESOLUTION, order) for one, order in ((fixed, 0), (near, 1), (moving, 0))
    )
    found = linear(fixed, near, moving, "Affine", best, folder / "affine", iterations=(500, 250, 50), shrink=(4, 2, 1))
    matrix = np.reshape(ants.read_transform(found["fwdtransforms"][0]).parameters[:9], (3, 3))
    deformed = ants.registration(
        fixed=fixed,
        moving=moving,
        mask=near,
        mask_all_stages=True,
        type_of_transform="SyN",
        initial_transform=found["fwdtransforms"],
        reg_iterations=(40, 20, 10),
        outprefix=str(folder / "bent"),
        random_seed=1,
    )
    reference = ants.image_read(str(folder / "image.nii"))
    back = deformed["invtransforms"]

    def carry(name: str, data: Any) -> NDArray[np.float32]:
        source = as_ants(name, data, template.image.affine)
        invert = [path.endswith(".mat") for path in back]
        return ants.apply_transforms(reference, source, back, whichtoinvert=invert, interpolator="linear").numpy()

    mask = carry("mask", brain) > 0.5
    mask = ndimage.distance_transform_edt(~mask, sampling=nib.affines.voxel_sizes(image.affine)) <= MASK_GROWTH
    csf, gray, white = (carry(f"prior{i}", prior.get_fdata()) for i, prior in enumerate(template.priors))
    csf = np.clip(1 - gray - white, 0, 1)
    return TemplateRegistration(
        mask & ndimage.binary_fill_holes(inside),
        (csf, gray, white),
        float(abs(np.linalg.det(matrix))),
        information(fixed, deformed["warpedmovout"], near),
    )


def linear(
    fixed: Any, near: Any, moving: Any, kind: str, start: list[str], prefix: Path, iterations: Any, shrink: Any
) -> dict[str, Any]:
    """Register rigidly or affinely, comparing only near the brain."""
    import ants

    return ants.registration(
        fixed=fixed,
        moving=moving,
        mask=near,
        mask_all_stages=True,
        type_of_transform=kind,
        initial_transform=start,
        outprefix=str(prefix),
        aff_iterations=iterations,
        aff_shrink_factors=shrink,
        aff_smoothing_sigmas=tuple(factor // 2 for factor in shrink),
        random_seed=1,
    )


def at_resolution(image: Any, size: float, order: int) -> Any:
    """Resample an antspyx image to cubic voxels of a size in mm, unless it has them already; order 1 is for masks."""
    import ants

    if all(abs(spacing - size) < 0.2 * size for spacing in image.spacing):
        return image
    return ants.resample_image(image, (size,) * 3, False, order)


def information(first: Any, second: Any, near: Any, bins: int = 32) -> float:
    """Compute the mutual information, in nats, of two images over the voxels where a third is above 0.5."""
    import numpy as np

    inside = near.numpy() > 0.5
    joint, _, _ = np.histogram2d(first.numpy()[inside], second.numpy()[inside], bins)
    joint /= joint.sum()
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    used = joint > 0
    return float((joint[used] * np.log(joint[used] / apart[used])).sum())
