"""Check that the input is a BIDS dataset, and write the files at the top of the output."""

from __future__ import annotations

import os
from pathlib import Path
from stat import S_ISREG
from typing import Any

from getnet_bids import __version__
from getnet_bids.files import locked, write_text

from .citation import citations
from .discovery import entries
from .metadata import read_object
from .sidecars import write_json

IGNORED = (
    "*.html\nfigures\n*_biasfield.*\n*_metrics.*\n"
    "*_desc-preproc_dwi.bv*\n*_desc-preproc_aslcontext.tsv\n*_boldref.*\n*_dwiref.*\n*_aslref.*\n"
)
DESCRIPTIONS = (
    "desc_id\tdescription\n"
    "desc-preproc\tCorrected for intensity non-uniformity by GetNet; also the bias field that was divided out.\n"
)
ABOUT_DESCRIPTIONS = '{\n  "Description": "Meaning of the values of the desc entity."\n}\n'

README = """\
# Intensity-corrected MR images

Made by getnet_bids, which estimates the smooth shading (bias field, gain field, intensity non-uniformity) of MR
images with a network, GetNet, and divides the images by it.

For each image that was corrected, under the same subject, session and name as in the source dataset:

| file | content |
|---|---|
| `*_desc-preproc_<suffix>.nii.gz` | the corrected image, float32, on the grid and with the header of the source |
| `*_mod-<suffix>_desc-preproc_biasfield.nii.gz` | the bias field that it was divided by, on the same grid |

All volumes of a diffusion, functional or perfusion series share one field, and so do the images of a set that a map is
computed from (MP2RAGE's inversions, echoes, flip angles), whose field is named after the entities that they share.
Gradient files and volume types are copied beside the series. `Reference` in the sidecar says what such a field was
estimated from, and `Volumes` from which volumes (`null`: all). `*_boldref`, `*_dwiref` and `*_aslref` are corrected
means without the series.

The field is positive and has a geometric mean of 1 over the foreground, so that the corrected image keeps the
source's overall brightness. Corrected image times field is the source image. BIDS has no suffix for such a field
yet; `biasfield` is listed in `.bidsignore`.

Each image's JSON file names its source and has, under `GetNet`, the hashes of the source, the weights and the
options, sizes, software versions, device and seconds. From these a later run knows what is done already.
`Verdict` is `corrected`, `nothing to correct` (the field varies by less than its uncertainty; the image is still
divided by it) or `doubtful`; `Reasons` then say why, and what to do. `FieldSDMedian` and `FieldSDP95` are the standard
deviation of the estimated log field, which is about the field's relative uncertainty: median and 95th percentile over
the foreground; with `--uncertainty` there is a map of it, `*_stat-std_biasfield.nii.gz`. `KnownFieldsFound` is the
fraction of known fields, multiplied onto the image's slices as a test, which the network found. `Measures` are computed
over the foreground (in a large image, over every second, third, ... voxel along each axis): the field's percentiles and
coefficient of variation (`FieldMinimum`, `FieldP1`, `FieldP5`, `FieldMedian`, `FieldP95`, `FieldP99`, `FieldMaximum`,
`FieldCV`), the image's coefficient of variation and median before and after (`CVBefore`, `CVAfter`, `MedianBefore`,
`MedianAfter`), the foreground's volume in ml (`ForegroundVolume`), and the counts of the intensities before and after
in equal bins from `From` to `To` (`Histogram`). `Figures` has the scales of the pictures: intensities of black and
white (`Window`), fields of the first and last colour (`FieldColours`).
`SkullStrippedDetermination` says how `SkullStripped` was determined: from the source's metadata, or by measurement: an
image counts as stripped if at most 2 % of its outermost voxels and two thirds of all voxels are not background.

`sub-<label>.html` shows each image of a subject before and after, its field, and any failures; its pictures are in
`sub-<label>/figures`. The group level adds `desc-inu_metrics.tsv`, with a row for each image, method and tissue, and
`group_metrics.html`, which shows distributions and outliers.

With `--compare n4` there are also N4's correction (`desc-N4`) and field of the same images, a segmentation (`dseg` with
the table of its labels, `label-*_probseg`, `desc-brain_mask`; with `desc-<suffix>` if images of one session differ
only in their contrast), `mod-<suffix>_desc-inu_metrics.tsv`, which says how uniform each tissue is before and after
each correction, and a figure in `sub-<label>/figures`. A `Note` in a sidecar mentions a segmentation into classes by
intensity, if the image does not show a human brain.

Do not give this dataset to fMRIPrep with `--derivatives`, but the one that `--for fmriprep` makes beside it: fMRIPrep
would misinterpret images of several contrasts and runs, and segmentations.

`logs/<run>/status.tsv` has a row for each image of a run, `logs/<run>/getnet_bids.toml` the options of the run, and
`logs/CITATION.md` the citations.
"""

BIDS_VERSION = "1.10.0"
DESCRIPTION = "dataset_description.json"
USERS = ("Name", "Authors", "License")
"""Entries of the description that are written once."""
HAND_OVER = "HandOver"
"""Key in the description of a dataset that is made for another program."""
GROUP_TABLE, GROUP_PAGE = "desc-inu_metrics.tsv", "group_metrics.html"
REPORTS = (GROUP_TABLE, GROUP_TABLE.replace(".tsv", ".json"), GROUP_PAGE)
"""Files that the group level writes at the top of a derivative dataset."""


def check_input(root: Path) -> str | None:
    """Return the reason why a folder is not a BIDS dataset, or None."""
    description = root / DESCRIPTION
    try:
        # Not is_file, which since Python 3.14 says no of a file that may not be looked at.
        there = S_ISREG(description.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        there = False
    if not there:
        return f"{root} is not a BIDS dataset: it has no {DESCRIPTION}; use --skip-bids-validation to go on without it"
    content = read_object(description)
    missing = [key for key in ("Name", "BIDSVersion") if not content.get(key)]
    if missing:
        text = f"{description} is not valid: it lacks {' and '.join(missing)}, or is not a JSON object; correct it, or "
        return f"{text}use --skip-bids-validation to go on without it"
    return None


def check_output(raw: Path, out: Path) -> str | None:
    """Return the reason why a folder cannot be used for the output, or None.

    Parameters
    ----------
    raw, out : Path
        The datasets. Within the raw one, only ``derivatives/<name>`` may be written to.

    Returns
    -------
    str or None
    """
    # Not Path.resolve, which raises an error for links in a circle.
    inside, target = Path(os.path.realpath(raw)), Path(os.path.realpath(out))
    allowed = inside / "derivatives"
    if target == inside or (target.is_relative_to(inside) and target.parent != allowed):
        return f"{out} is inside the input; choose a folder outside, or {raw / 'derivatives' / '<name>'}"
    # In this order, since another task may write the description in between, which it does before any result.
    filled = next((entry for entry in entries(target) if entry.startswith("sub-") or entry in REPORTS), None)
    if not (target / DESCRIPTION).exists():
        if filled:
            return (
                f"{out} holds {filled} and no {DESCRIPTION} of getnet_bids, so your own files might be replaced; "
                "choose another folder"
            )
    elif not is_ours((about := read_object(target / DESCRIPTION)).get("GeneratedBy")):
        return f"{out} holds another dataset; choose a folder that is empty or was written by getnet_bids"
    elif HAND_OVER in about:
        return f"{out} holds images handed over to another program, and must hold no others; choose another folder"
    return None


def check_results(out: Path) -> str | None:
    """Return the reason why a folder has no results to report on, or None."""
    if is_ours(read_object(out / DESCRIPTION).get("GeneratedBy")):
        return None
    return f"{out} holds no results of getnet_bids; run the participant level first"


def is_ours(made_by: Any) -> bool:
    """Return whether a dataset's GeneratedBy names this package first."""
    return bool(
        isinstance(made_by, list)
        and made_by
        and isinstance(made_by[0], dict)
        and made_by[0].get("Name") == "getnet_bids"
    )


def prepare_output(raw: Path, out: Path) -> None:
    """Write the files at the top of a derivative dataset; files that a user may have edited are not changed.

    Parameters
    ----------
    raw : Path
        The raw dataset.
    out : Path
        The folder of the derivative dataset; created if it does not exist.
    """
    out.mkdir(parents=True, exist_ok=True)
    # A link to the raw data inside the derivative dataset is kept; otherwise links are resolved.
    linked = raw.absolute().is_relative_to(out.absolute())
    content = description(*((raw.absolute(), out.absolute()) if linked else (raw.resolve(), out.resolve())))
    add_to_description(out, content)
    once = {
        ".bidsignore": IGNORED,
        "descriptions.tsv": DESCRIPTIONS,
        "descriptions.json": ABOUT_DESCRIPTIONS,
        "README.md": README,
        **{f"logs/{name}": text for name, text in citations().items()},
    }
    (out / "logs").mkdir(exist_ok=True)
    for name, text in once.items():
        if not (out / name).exists():
            write_text(out / name, text)


def add_to_description(out: Path, content: dict[str, Any]) -> None:
    """Add entries to a dataset's description.

    All that a user may have edited is kept: other entries, the texts named in `USERS`, links with other names, and all
    but the first of lists of programs and datasets.

    Parameters
    ----------
    out : Path
        The dataset.
    content : dict
        The entries.
    """
    with locked(out / DESCRIPTION):  # another run may add its own entries
        before = read_object(out / DESCRIPTION)
        links = before.get("DatasetLinks")
        merged = {**before, **content, **{key: before[key] for key in USERS if before.get(key)}}
        for key in ("GeneratedBy", "SourceDatasets"):
            if key in content and isinstance(listed := before.get(key), list):
                merged[key] = [*content[key], *listed[1:]]
        merged["DatasetLinks"] = {**(links if isinstance(links, dict) else {}), **content.get("DatasetLinks", {})}
        if merged != before:
            write_json(out / DESCRIPTION, merged)


def description(raw: Path, out: Path) -> dict[str, Any]:
    """Return the description of the derivative dataset.

    Parameters
    ----------
    raw, out : Path
        Absolute paths of the datasets.

    Returns
    -------
    dict
        The content of its ``dataset_description.json``.
    """
    # If one is inside the other, as in DataLad's YODA layout, a relative link stays valid when both are moved.
    inside = out.is_relative_to(raw) or raw.is_relative_to(out)
    link = os.path.relpath(raw, out).replace(os.sep, "/") if inside else raw.resolve().as_uri()
    about = read_object(raw / DESCRIPTION)
    source = {"URL": link}
    if doi := about.get("DatasetDOI"):
        source["DOI"] = str(doi)
    listed = about.get("Authors")
    authors = listed if listed and isinstance(listed, list) else [f"The authors of {about.get('Name') or raw.name}"]
    content: dict[str, Any] = {
        "Name": f"GetNet intensity correction of {about.get('Name') or raw.name}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "Authors": [*authors, "The getnet_bids developers"],
        "GeneratedBy": [
            {
                "Name": "getnet_bids",
                "Version": __version__,
                "Description": "Intensity (bias field) correction of MR images by a network, GetNet.",
            }
        ],
        "SourceDatasets": [source],
        "DatasetLinks": {"raw": link},
    }
    if licence := about.get("License"):
        content["License"] = licence
    return content
