"""The datasets themselves: is the input one, and the files at the top of the output."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from getnet_bids import __version__
from getnet_bids.files import write_text
from getnet_bids.locks import locked

from .discovery import entries
from .metadata import read_object
from .sidecars import write_json
from .texts import ABOUT_DESCRIPTIONS, CITATION, DESCRIPTIONS, IGNORED, README

BIDS_VERSION = "1.10.0"
DESCRIPTION = "dataset_description.json"
REPORTS = ("desc-inu_metrics.tsv", "desc-inu_metrics.json", "group_metrics.html")
"""Files that the group level writes at the top of a derivative dataset."""


def check_input(root: Path) -> str | None:
    """Say what keeps a folder from being a BIDS dataset, or None."""
    description = root / DESCRIPTION
    if not description.is_file():
        return f"{root} is not a BIDS dataset: it has no {DESCRIPTION}; --skip-bids-validation goes on without"
    content = read_object(description)
    missing = [key for key in ("Name", "BIDSVersion") if not content.get(key)]
    if missing:
        return f"{description} is not valid: it lacks {' and '.join(missing)}, or is no JSON object"
    return None


def check_output(raw: Path, out: Path) -> str | None:
    """Say what forbids an output folder, or None.

    Parameters
    ----------
    raw, out : Path
        The datasets. Inside the raw one, only ``derivatives/<name>`` may be written to.

    Returns
    -------
    str or None
    """
    inside, allowed = raw.resolve(), raw.resolve() / "derivatives"
    target = out.resolve()
    if target == inside or (target.is_relative_to(inside) and target.parent != allowed):
        return f"{out} is inside the input; choose a folder outside, or {raw / 'derivatives' / '<name>'}"
    # In this order: another task may write the description between two of these, and it does so before any result.
    filled = next((entry for entry in entries(target) if entry.startswith("sub-") or entry in REPORTS), None)
    if not (target / DESCRIPTION).exists():
        if filled:
            return (
                f"{out} holds {filled} and no {DESCRIPTION} of getnet_bids, so that files of yours might be replaced; "
                "choose another folder"
            )
    elif not is_ours(read_object(target / DESCRIPTION).get("GeneratedBy")):
        return f"{out} holds another dataset; choose a folder that is empty or was written by getnet_bids"
    return None


def check_results(out: Path) -> str | None:
    """Say why a folder holds no results to report on, or None."""
    if is_ours(read_object(out / DESCRIPTION).get("GeneratedBy")):
        return None
    return f"{out} holds no results of getnet_bids; run the participant level first"


def is_ours(made_by: Any) -> bool:
    """Tell whether a dataset's GeneratedBy names this package first."""
    return bool(
        isinstance(made_by, list)
        and made_by
        and isinstance(made_by[0], dict)
        and made_by[0].get("Name") == "getnet_bids"
    )


def prepare_output(raw: Path, out: Path) -> None:
    """Write the files at the top of a derivative dataset; those that a user may have edited are left as they are.

    Parameters
    ----------
    raw : Path
        The dataset that it is made from.
    out : Path
        Its folder; made if need be.
    """
    out.mkdir(parents=True, exist_ok=True)
    content = description(raw.resolve(), out.resolve())
    add_to_description(out, content)
    once = {
        ".bidsignore": IGNORED,
        "descriptions.tsv": DESCRIPTIONS,
        "descriptions.json": ABOUT_DESCRIPTIONS,
        "README.md": README,
        "logs/CITATION.md": CITATION.format(version=__version__),
    }
    (out / "logs").mkdir(exist_ok=True)
    for name, text in once.items():
        if not (out / name).exists():
            write_text(out / name, text)


def add_to_description(out: Path, content: dict[str, Any]) -> None:
    """Put entries into a dataset's description; others stay, and so do links of ``DatasetLinks`` with other names.

    Parameters
    ----------
    out : Path
        The dataset.
    content : dict
        The entries.
    """
    with locked(out / DESCRIPTION):  # another run may add its own
        before = read_object(out / DESCRIPTION)
        links = before.get("DatasetLinks")
        merged = {**before, **content}
        merged["DatasetLinks"] = {**(links if isinstance(links, dict) else {}), **content.get("DatasetLinks", {})}
        if merged != before:
            write_json(out / DESCRIPTION, merged)


def description(raw: Path, out: Path) -> dict[str, Any]:
    """Describe the derivative dataset.

    Parameters
    ----------
    raw, out : Path
        Absolute.

    Returns
    -------
    dict
        The content of its ``dataset_description.json``.
    """
    # Inside the raw dataset, the link still holds after both are moved.
    link = os.path.relpath(raw, out).replace(os.sep, "/") if out.is_relative_to(raw) else raw.as_uri()
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
