"""File names of raw images and their derivatives, and the reasons why other images are left out."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

ORDER = (
    "sub",
    "ses",
    "task",
    "acq",
    "ce",
    "rec",
    "dir",
    "run",
    "mod",
    "echo",
    "flip",
    "inv",
    "mt",
    "part",
    "chunk",
    "label",
    "desc",
    "stat",
)
"""Entities in the order of the BIDS schema, which does not have ``stat`` yet."""
DERIVED_ONLY = {"mod", "label", "desc", "stat"}
"""Entities of derived images, which a raw image cannot have."""
INDEXED = {"run", "echo", "flip", "inv", "chunk"}
"""Entities whose value is a number."""

WEIGHTED = (
    "T1w",
    "T2w",
    "PDw",
    "T2starw",
    "FLAIR",
    "inplaneT1",
    "inplaneT2",
    "PDT2",
    "angio",
    "FLASH",
    "MP2RAGE",
)
"""Suffixes that are corrected by default: images that are viewed and segmented directly."""
ON_REQUEST = ("UNIT1", "MEGRE", "MESE", "VFA", "IRT1", "MPM", "MTS", "MTR")
"""Suffixes that are corrected only if named: members of a set from which a quantitative map is computed, in which a
common field cancels but separate fields would not; and UNIT1, the ratio of MP2RAGE's two inversion images, in which
the receive field has already cancelled (Marques et al., NeuroImage 2010)."""
SERIES = ("dwi", "bold", "sbref", "asl", "m0scan", "epi")
"""Suffixes of diffusion, functional, perfusion and field-map images, corrected only if named. All volumes of a file
share one field."""
BESIDE = {"dwi": ("dwi.bval", "dwi.bvec"), "asl": ("aslcontext.tsv",)}
"""Suffix and extension of the files that belong to a series in addition to its JSON files: gradients, volume types."""
SUFFIXES = (*WEIGHTED, *ON_REQUEST, *SERIES)
"""All suffixes that can be corrected."""
ALL = "all"
"""Word for all of these except UNIT1, in which there is no field to correct."""
PLACES = {
    **dict.fromkeys((*WEIGHTED, *ON_REQUEST), ("anat",)),
    **{"dwi": ("dwi",), "bold": ("func",), "sbref": ("func", "dwi"), "asl": ("perf",)},
    **{"m0scan": ("perf", "fmap"), "epi": ("fmap",)},
}
"""The folders (BIDS data types) for images of each suffix."""
DATATYPES = ("anat", "dwi", "fmap", "func", "perf")
"""All folders for images."""


def suffix_of(file: str) -> str:
    """Return the suffix of a file's name, whatever its entities and extension are.

    Examples
    --------
    >>> suffix_of("sub-01_desc-preproc_T1w.nii.gz")
    'T1w'
    """
    return file.partition(".")[0].rpartition("_")[2]


def expand(suffixes: Iterable[str]) -> tuple[str, ...]:
    """Replace ``all`` by the suffixes that it stands for.

    Examples
    --------
    >>> expand(["UNIT1", "all"])[:3], expand(["dwi"])
    (('UNIT1', 'T1w', 'T2w'), ('dwi',))
    """
    every = [suffix for suffix in SUFFIXES if suffix != "UNIT1"]
    return tuple(dict.fromkeys(one for suffix in suffixes for one in (every if suffix == ALL else [suffix])))


def datatypes_of(suffixes: Iterable[str]) -> tuple[str, ...]:
    """Return the folders for images of the given suffixes.

    Examples
    --------
    >>> datatypes_of(["T1w", "sbref"])
    ('anat', 'dwi', 'func')
    """
    places = {place for suffix in suffixes for place in PLACES[suffix]}
    return tuple(place for place in DATATYPES if place in places)


@dataclass(frozen=True)
class Name:
    """A parsed file name.

    Parameters
    ----------
    entities : dict of str
        Key to value, in the order of `ORDER`.
    suffix : str
        Such as ``T1w``.
    extension : str
        From the first dot on.

    Examples
    --------
    >>> name = Name.parse("sub-01_ses-a_run-2_T1w.nii.gz")
    >>> str(name.derived(desc="preproc"))
    'sub-01_ses-a_run-2_desc-preproc_T1w.nii.gz'
    >>> str(name.derived("biasfield", mod="T1w", desc="preproc"))
    'sub-01_ses-a_run-2_mod-T1w_desc-preproc_biasfield.nii.gz'
    """

    entities: dict[str, str]
    suffix: str
    extension: str

    @classmethod
    def parse(cls, text: str) -> Name:
        """Parse a file name.

        Parameters
        ----------
        text : str
            File name without folder.

        Returns
        -------
        Name

        Raises
        ------
        ValueError
            The text is not a BIDS name; the message says why.
        """
        stem, dot, rest = text.partition(".")
        *pairs, suffix = stem.split("_")
        entities: dict[str, str] = {}
        for pair in pairs:
            key, dash, value = pair.partition("-")
            if not dash or key not in ORDER:
                raise ValueError(f"{pair!r} is not an entity of an MR image")
            pattern, words = ("[0-9]+", "a number") if key in INDEXED else ("[0-9a-zA-Z+]+", "letters and digits")
            if not re.fullmatch(pattern, value):
                raise ValueError(f"{pair!r}: the value must be {words}; rename it")
            if key in entities:
                raise ValueError(f"{key!r} occurs twice")
            entities[key] = value
        if list(entities) != sorted(entities, key=ORDER.index):
            right = "_".join(f"{k}-{entities[k]}" for k in sorted(entities, key=ORDER.index))
            raise ValueError(f"entities must be in the order {right}")
        if not re.fullmatch("[0-9a-zA-Z]+", suffix):
            raise ValueError(f"{suffix!r} is not a suffix")
        return cls(entities, suffix, dot + rest)

    def derived(self, suffix: str | None = None, extension: str = ".nii.gz", **entities: str) -> Name:
        """Return the name of a derived file, with entities added or replaced."""
        merged = {**self.entities, **entities}
        ordered = {key: merged[key] for key in sorted(merged, key=ORDER.index)}
        return Name(ordered, suffix or self.suffix, extension)

    def __str__(self) -> str:
        pairs = [f"{key}-{value}" for key, value in self.entities.items()]
        return "_".join([*pairs, self.suffix]) + self.extension


NIFTI = (".nii.gz", ".nii")
"""Extensions of images in BIDS."""
FOREIGN = (
    *(".img", ".hdr", ".img.gz", ".mgz", ".mgh", ".nrrd", ".nhdr", ".mha", ".mhd", ".mnc", ".dcm", ".ima", ".head"),
    *(".nii.bz2", ".nii.xz", ".nii.zst", ".nii.zip", ".nii.gz.zip"),
)
"""Extensions of images that BIDS does not have."""
INTENDED_SUFFIX = {
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
"""The intended suffix for common wrong ones, in lower case."""
VALID = {
    *("T1map", "T2map", "T2starmap", "R1map", "R2map", "R2starmap", "PDmap", "MTRmap", "MTsat", "MTVmap", "MWFmap"),
    *("Chimap", "S0map", "M0map", "T1rho", "R1rho", "PDT2map", "TB1map", "RB1map", "defacemask"),
    *("dseg", "probseg", "mask", "photo"),
}
"""Other BIDS suffixes in an ``anat`` folder: maps and masks, which are not corrected."""


def odd_extension(file: str, files: Collection[str], suffixes: Collection[str]) -> str:
    """Return the reason why an image is left out because of its extension, or an empty text.

    Parameters
    ----------
    file : str
        The file's name.
    files : collection of str
        All files of its folder.
    suffixes : collection of str
        The suffixes asked for.

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
    extension = dot + rest
    if extension in NIFTI or INTENDED_SUFFIX.get(suffix_of(file).lower()) not in suffixes:
        return ""
    lower = extension.lower()
    if lower in NIFTI:
        return f"its extension must be {lower}, in lower case; rename it"
    if lower in FOREIGN and not any(stem + known in files for known in NIFTI):
        return f"its extension is {extension}; BIDS has .nii.gz and .nii: convert it"
    return ""


def odd_suffix(file: str, suffixes: Collection[str]) -> str:
    """Return the reason why an image is left out because of a wrong suffix, or an empty text.

    Parameters
    ----------
    file : str
        The file's name.
    suffixes : collection of str
        The suffixes asked for.

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
    _, dot, rest = file.partition(".")
    suffix = suffix_of(file)
    if dot + rest not in NIFTI or suffix in (*WEIGHTED, *ON_REQUEST) or suffix in VALID:
        return ""
    meant = INTENDED_SUFFIX.get(suffix.lower())
    if meant is not None:
        return f"not a BIDS name: its suffix is {suffix}, not {meant}; rename it" if meant in suffixes else ""
    return f"not a BIDS name: its suffix is {suffix!r}, which BIDS does not have; rename it"


def misplaced(folder: str, files: Collection[str]) -> dict[str, str]:
    """Find images that lie outside the folder to which they belong, and folders with wrong names.

    Parameters
    ----------
    folder : str
        Folder of the dataset, a subject or a session, as a path from the root.
    files : collection of str
        Content of the folder.

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
        suffix = suffix_of(file)
        if file.lower().endswith(NIFTI) and suffix.lower() in INTENDED_SUFFIX:
            found[path] = f"not in a folder {PLACES[INTENDED_SUFFIX[suffix.lower()]][0]}; move it there"
        elif folder and re.fullmatch("anat(omy|omical|omicals|s)?", file.lower()) and file != "anat":
            found[path] = "the folder must be called anat"
        elif not folder and is_misnamed(file, "sub"):
            found[path] = "not a subject's folder: its name must begin with sub-"
        elif folder and "/" not in folder and is_misnamed(file, "ses"):
            found[path] = "not a session's folder: its name must begin with ses-"
    return found


def is_misnamed(folder: str, key: str) -> bool:
    """Return whether a name looks like that of a subject's or session's folder but does not begin correctly.

    Examples
    --------
    >>> is_misnamed("sub_01", "sub"), is_misnamed("sub-01", "sub"), is_misnamed("sub-01.html", "sub")
    (True, False, False)
    >>> is_misnamed("Subject 3", "sub"), is_misnamed("subjects", "sub"), is_misnamed("session-pre", "ses")
    (True, False, True)
    """
    # In folders whose name begins correctly, each file is named separately.
    pattern = rf"{key}(ject|sion)?([-_ ][^.]+|\d[^.]*)"
    return not folder.startswith(f"{key}-") and bool(re.fullmatch(pattern, folder, re.IGNORECASE))
