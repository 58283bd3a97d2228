"""Templates of the human brain with tissue priors: nilearn's bundled MNI152, or any of TemplateFlow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from getnet_bids.errors import GetNetError, one_line

from .labels import TISSUES

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage

BUNDLED = "bundled"
"""Name of the template that needs no download: MNI152 (2009a, symmetric) without skull, from nilearn."""
RESOLUTION = 2
"""mm; registration at 1 mm takes eight times as long and does not place the priors better."""
WANTED = (("T1w", {}), ("mask", {"desc": "brain"}), *(("probseg", {"label": tissue}) for tissue in TISSUES))
"""Files of a template: suffix and entities."""


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
    folder = Path(conf.TF_HOME, f"tpl-{label}")
    if not folder.is_dir():
        known = ", ".join(sorted(path.name.removeprefix("tpl-") for path in Path(conf.TF_HOME).glob("tpl-MNI152*")))
        raise GetNetError(
            f"TemplateFlow has no template {label!r}; it has {known} and others, and there is {BUNDLED!r}"
        )
    whole = []
    for resolution in (RESOLUTION, 1, None):
        fixed = {"tpl": label, **({"cohort": cohort} if cohort else {}), **({"res": resolution} if resolution else {})}
        found = [path for suffix, entities in WANTED if (path := find(folder, suffix, fixed | entities))]
        if len(found) == len(WANTED):
            # What was never fetched is there as well, but empty.
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
    """Find the file of just these entities; TemplateFlow itself would first index all templates, for many seconds."""
    for path in sorted(folder.rglob(f"*_{suffix}.nii.gz")):
        have = entities_of(path)
        have.pop("suffix")
        if {**have, "res": int(have.get("res", 0))} == {**entities, "res": entities.get("res", 0)}:
            return path
    return None


def entities_of(path: Path, for_api: bool = False) -> dict[str, Any]:
    """Take a file's name apart.

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
