"""Which tissue each label of a segmentation stands for: by its table, or else by the lists of BIDS or FreeSurfer."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection
from pathlib import Path

from .errors import GetNetError
from .files import read_bytes, text_of

BIDS_LABELS = {1: "GM", 2: "WM", 3: "CSF", 8: "GM", 9: "GM"}
"""Tissues in BIDS's standard list, where 8 and 9 are cortical and subcortical GM; 0, 4 to 7, 10, 11 are none."""
NAMES = {
    **dict.fromkeys(("GM", "GRAYMATTER", "CGM", "CORTICALGRAYMATTER", "SGM", "SUBCORTICALGRAYMATTER"), "GM"),
    **dict.fromkeys(("WM", "WHITEMATTER"), "WM"),
    **dict.fromkeys(("CSF", "CEREBROSPINALFLUID"), "CSF"),
}
"""Tissue of each name and abbreviation in that list, letters only, in capitals."""
FREESURFER_LABELS = {
    **dict.fromkeys((2, 7, 16, 28, 41, 46, 60, 77, 85, 251, 252, 253, 254, 255), "WM"),
    **dict.fromkeys((3, 8, 10, 11, 12, 13, 17, 18, 26, 42, 47, 49, 50, 51, 52, 53, 54, 58), "GM"),
    **dict.fromkeys((4, 5, 14, 15, 24, 43, 44), "CSF"),
}
"""Tissues in aseg."""
FREESURFER_WM = (range(3000, 5003), range(13000, 15000))
"""White matter in wmparc; all other labels of 1000 and more (aparc+aseg) are cortex."""
FREESURFER_NAMES = {2: "LEFTCEREBRALWHITEMATTER", 41: "RIGHTCEREBRALWHITEMATTER"}
"""Names by which a table is recognised as FreeSurfer's, as which fMRIPrep writes it."""
FREESURFER_DESCS = ("aseg", "aparcaseg")
"""Values of ``desc`` in fMRIPrep's names of FreeSurfer's segmentations."""


def table_of(dseg: Path) -> Path | None:
    """Find the table of a segmentation's labels, as by BIDS's inheritance principle.

    This is a TSV file with the same suffix, and no entity that the segmentation does not have. It is searched for in
    the segmentation's folder first, then in those above, up to the dataset's. Within a folder, most entities count.

    Parameters
    ----------
    dseg : Path
        The segmentation; folders above its own are searched only if one of them is its subject's.

    Returns
    -------
    Path or None

    Examples
    --------
    >>> table_of(Path("nowhere/sub-01/anat/sub-01_dseg.nii.gz")) is None
    True
    """
    *entities, suffix = stem_of(dseg).split("_")
    depth = next((i for i, folder in enumerate(dseg.parents) if folder.name in entities[:1]), -1)
    # Other tables of the dataset, such as fMRIPrep's own dseg.tsv, do not hold for FreeSurfer's labels.
    needed = {f"desc-{desc}" for desc in FREESURFER_DESCS}.intersection(entities)
    for folder in list(dseg.parents)[: depth + 2]:
        found = []
        for table in folder.glob("*.tsv"):
            *own, kind = stem_of(table).split("_")
            if kind == suffix and needed <= set(own) <= set(entities):
                found.append((len(own), table))
        if found:
            return max(found)[1]
    return None


def stem_of(path: Path) -> str:
    """Return a file's name without the extension of an image or table.

    Examples
    --------
    >>> stem_of(Path("sub-01_dseg.nii.gz"))
    'sub-01_dseg'
    """
    return re.sub(r"\.(nii(\.gz)?|mg[hz]|tsv)$", "", path.name)


def tissues_by_label(labels: Collection[int], table: Path | None) -> dict[int, str]:
    """Return the tissues of those labels that stand for CSF, GM or WM.

    Parameters
    ----------
    labels : collection of int
        All labels of a segmentation.
    table : Path or None
        Its table. Without one, the labels are FreeSurfer's if 41, 42, or 1000 or more is among them (right-hemisphere
        labels of aseg, cortex of aparc+aseg), and BIDS's otherwise.

    Returns
    -------
    dict of str

    Raises
    ------
    GetNetError
        The table names no tissue.
    OSError
        The table cannot be read.

    Examples
    --------
    >>> tissues_by_label([0, 1, 2, 3, 4], None)
    {1: 'GM', 2: 'WM', 3: 'CSF'}
    >>> tissues_by_label([4, 41, 1035, 3035], None)
    {4: 'CSF', 41: 'WM', 1035: 'GM', 3035: 'WM'}
    """
    rows = {} if table is None else rows_of(table)
    freesurfer = any(label in (41, 42) or label >= 1000 for label in labels)
    if table is not None:
        freesurfer = any(rows.get(label, [""])[0] == name for label, name in FREESURFER_NAMES.items())
    if freesurfer:
        meaning = {label: freesurfer_tissue(label) for label in labels}
    elif table is None:
        meaning = {label: BIDS_LABELS.get(label) for label in labels}
    else:
        named = {label: next((NAMES[word] for word in words if word in NAMES), None) for label, words in rows.items()}
        if not any(named.values()):
            text = "names no CSF, GM or WM; it needs a column index and a column name (Gray Matter), abbreviation (GM) "
            raise GetNetError(text + "or mapping (1), as in BIDS", table)
        meaning = {label: named.get(label) for label in labels}
    return {label: tissue for label, tissue in meaning.items() if tissue}


def freesurfer_tissue(label: int) -> str | None:
    """Return the tissue of a label of FreeSurfer's, or None."""
    if any(label in part for part in FREESURFER_WM):
        return "WM"
    return "GM" if label >= 1000 else FREESURFER_LABELS.get(label)


def rows_of(table: Path) -> dict[int, list[str]]:
    """Read a table of labels; return name, abbreviation and mapped tissue of each, letters only, in capitals."""
    words = {}
    for row in csv.DictReader(io.StringIO(text_of(read_bytes(table)), newline=""), delimiter="\t"):
        label = whole(row.get("index"))
        texts = [row.get("name"), row.get("abbreviation"), BIDS_LABELS.get(whole(row.get("mapping")) or 0)]
        if label is not None:
            letters = (re.sub("[^A-Z]", "", (text or "").upper()) for text in texts)
            words[label] = [word.replace("GREY", "GRAY") for word in letters]
    return words


def whole(text: str | None) -> int | None:
    """Read a whole number.

    Examples
    --------
    >>> whole("2"), whole("2.0"), whole("2.5"), whole("n/a")
    (2, 2, None, None)
    """
    try:
        number = float(text or "")
    except ValueError:
        return None
    return int(number) if number.is_integer() else None
