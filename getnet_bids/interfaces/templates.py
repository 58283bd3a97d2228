"""Templates of the human brain with tissue priors: nilearn's bundled MNI152, or any of TemplateFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from getnet_bids.errors import one_line

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage

BUNDLED = "bundled"
"""Name of the template that needs no download: MNI152 (2009a, symmetric) without skull, from nilearn."""
RESOLUTION = 2
"""mm; registration at 1 mm takes eight times as long and does not place the priors better."""
TISSUES = ("CSF", "GM", "WM")


@dataclass(frozen=True)
class Template:
    """A template and its priors, all on one grid.

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
        TemplateFlow has no such template, or not all that is needed of it.
    FileNotFoundError
        It is not in TemplateFlow's folder and cannot be downloaded.
    """
    return bundled() if name == BUNDLED else of_templateflow(name)


def bundled() -> Template:
    """Load nilearn's MNI152; its CSF prior is what of the brain is neither gray nor white."""
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
    """Load a template of TemplateFlow, from its folder or, if there is a network, from its archive."""
    import nibabel as nib
    from templateflow import api, conf

    label, _, cohort = name.partition(":cohort-")
    if label not in api.templates():
        known = ", ".join(t for t in api.templates() if t.startswith("MNI152"))
        raise ValueError(f"TemplateFlow has no template {label!r}; it has {known} and others, and there is {BUNDLED!r}")
    wanted: list[dict[str, Any]] = [{"suffix": "T1w", "desc": None}, {"suffix": "mask", "desc": "brain"}]
    wanted += [{"suffix": "probseg", "label": tissue, "desc": None} for tissue in TISSUES]
    choice = {"extension": ".nii.gz", "cohort": cohort or None}
    whole = []
    for resolution in (RESOLUTION, 1, None):
        found = [api.ls(label, resolution=resolution, **choice, **entities) for entities in wanted]
        if all(len(paths) == 1 for paths in found):
            # Files that were never fetched are there, but empty.
            there = all(paths[0].is_file() and paths[0].stat().st_size > 0 for paths in found)
            whole.append((not there, [{"resolution": resolution, **choice, **entities} for entities in wanted]))
    if not whole:
        raise ValueError(f"template {name} has not one T1w, brain mask and probseg of {', '.join(TISSUES)} on one grid")
    try:
        paths = [api.get(label, **entities) for entities in min(whole, key=lambda one: one[0])[1]]
    except Exception as error:
        raise FileNotFoundError(
            f"template {name} is not whole in {conf.TF_HOME} and cannot be downloaded ({one_line(error)[:120]} ...). "
            f"Where there is a network run `python -c \"from templateflow.api import get; get('{label}')\"`, copy that "
            f"folder here and set TEMPLATEFLOW_HOME to it, or use the template {BUNDLED!r}"
        ) from None
    image, brain, *priors = (nib.load(path) for path in paths)
    return Template(name, image, brain, tuple(priors))
