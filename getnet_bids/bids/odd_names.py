"""Images whose place, suffix or extension keeps them from being taken, and what to do: none is passed over silently."""

from __future__ import annotations

import re
from collections.abc import Collection

from .names import ON_REQUEST, PLACES, SERIES, WEIGHTED

EXTENSIONS = (".nii.gz", ".nii")
FOREIGN = (
    *(".img", ".hdr", ".img.gz", ".mgz", ".mgh", ".nrrd", ".nhdr", ".mha", ".mhd", ".mnc", ".dcm", ".ima", ".head"),
    *(".nii.bz2", ".nii.xz", ".nii.zst", ".nii.zip", ".nii.gz.zip"),
)
"""Extensions of images that BIDS does not know."""
MEANT = {
    "t1": "T1w",
    "t1weighted": "T1w",
    "mprage": "T1w",
    "t2": "T2w",
    "t2weighted": "T2w",
    "t2star": "T2starw",
    "pd": "PDw",
    "t2flair": "FLAIR",
    **{suffix.lower(): suffix for suffix in (*WEIGHTED, *ON_REQUEST, *SERIES)},
}
"""Suffixes that were meant by others, in lower case."""
VALID = {
    *("T1map", "T2map", "T2starmap", "R1map", "R2map", "R2starmap", "PDmap", "MTRmap", "MTsat", "MTVmap", "MWFmap"),
    *("Chimap", "S0map", "M0map", "T1rho", "R1rho", "PDT2map", "TB1map", "RB1map", "defacemask"),
    *("dseg", "probseg", "mask", "photo"),
}
"""Other suffixes of BIDS that an ``anat`` folder holds: maps and masks, which are not corrected."""


def odd_extension(file: str, files: Collection[str], suffixes: Collection[str]) -> str:
    """Return why a file's extension keeps an image of the kind asked for from being taken, or an empty text.

    Parameters
    ----------
    file : str
        Its name.
    files : collection of str
        All of its folder.
    suffixes : collection of str
        Those asked for.

    Returns
    -------
    str

    Examples
    --------
    >>> odd_extension("sub-01_T1w.NII.GZ", [], ["T1w"])
    'its extension must be .nii.gz, in lower case; rename it'
    >>> odd_extension("sub-01_T1w.img", [], ["T1w"])
    'its extension is .img; BIDS has .nii.gz and .nii: convert it'
    """
    stem, dot, rest = file.partition(".")
    suffix, extension = stem.rpartition("_")[2], dot + rest
    if extension in EXTENSIONS or MEANT.get(suffix.lower()) not in suffixes:
        return ""
    lower = extension.lower()
    if lower in EXTENSIONS:
        return f"its extension must be {lower}, in lower case; rename it"
    if lower in FOREIGN and not any(stem + known in files for known in EXTENSIONS):
        return f"its extension is {extension}; BIDS has .nii.gz and .nii: convert it"
    return ""


def odd_suffix(file: str, suffixes: Collection[str]) -> str:
    """Return why an image's suffix keeps it from being taken where another was meant, or an empty text.

    Parameters
    ----------
    file : str
        Its name.
    suffixes : collection of str
        Those asked for.

    Returns
    -------
    str

    Examples
    --------
    >>> odd_suffix("sub-01_t1w.nii.gz", ["T1w"])
    'not a BIDS name: its suffix is t1w, not T1w; rename it'
    >>> odd_suffix("sub-01_T1w_defaced.nii.gz", ["T1w"])
    "not a BIDS name: its suffix is 'defaced', which BIDS does not have; rename it"
    >>> odd_suffix("sub-01_T1map.nii.gz", ["T1w"]), odd_suffix("sub-01_T2w.nii.gz", ["T1w"])
    ('', '')
    """
    stem, dot, rest = file.partition(".")
    suffix = stem.rpartition("_")[2]
    if dot + rest not in EXTENSIONS or suffix in (*WEIGHTED, *ON_REQUEST) or suffix in VALID:
        return ""
    meant = MEANT.get(suffix.lower())
    if meant is not None:
        return f"not a BIDS name: its suffix is {suffix}, not {meant}; rename it" if meant in suffixes else ""
    return f"not a BIDS name: its suffix is {suffix!r}, which BIDS does not have; rename it"


def misplaced(folder: str, files: Collection[str]) -> dict[str, str]:
    """Find images that lie beside the folder in which they belong, and folders that are named as BIDS does not.

    Parameters
    ----------
    folder : str
        Of the dataset, a subject or a session: its path from the root.
    files : collection of str
        Its content.

    Returns
    -------
    dict of str
        The reason by path.

    Examples
    --------
    >>> misplaced("sub-05", ["sub-05_T1w.nii.gz", "sub-05_T1w.json", "func", "Anat"])
    {'sub-05/sub-05_T1w.nii.gz': 'not in a folder anat; move it there', 'sub-05/Anat': 'the folder must be called anat'}
    """
    found = {}
    for file in files:
        path = f"{folder}/{file}".lstrip("/")
        suffix = file.partition(".")[0].rpartition("_")[2]
        if file.lower().endswith(EXTENSIONS) and suffix.lower() in MEANT:
            found[path] = f"not in a folder {PLACES[MEANT[suffix.lower()]][0]}; move it there"
        elif folder and re.fullmatch("anat(omy|omical|omicals|s)?", file.lower()) and file != "anat":
            found[path] = "the folder must be called anat"
        elif not folder and is_misnamed(file, "sub"):
            found[path] = "not a subject's folder: its name must begin with sub-"
        elif folder and "/" not in folder and is_misnamed(file, "ses"):
            found[path] = "not a session's folder: its name must begin with ses-"
    return found


def is_misnamed(folder: str, key: str) -> bool:
    """Return whether a name looks like that of a subject's or session's folder and does not begin as one.

    Examples
    --------
    >>> is_misnamed("sub_01", "sub"), is_misnamed("sub-01", "sub"), is_misnamed("sub-01.html", "sub")
    (True, False, False)
    """
    # Of folders that begin as they should, each file within is named.
    return not folder.startswith(f"{key}-") and bool(re.fullmatch(f"{key}[-_][^.]+", folder, re.IGNORECASE))
