"""File names of raw MR images, and of what is derived from them; the suffixes that can be corrected."""

from __future__ import annotations

import re
from collections.abc import Iterable
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
"""Entities in the order that the BIDS schema gives them; ``stat`` is not in it yet."""
DERIVED_ONLY = {"mod", "label", "desc", "stat"}
"""Entities of derived images; a raw image has none of them."""
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
"""Suffixes that are corrected unless others are asked for: images that are looked at and segmented as they are."""
ON_REQUEST = ("UNIT1", "MEGRE", "MESE", "VFA", "IRT1", "MPM", "MTS", "MTR")
"""Suffixes that are corrected when named: members of a series that a quantitative map is computed from, whose
common gain cancels in it, as a field of its own for each would not; and UNIT1, the ratio of MP2RAGE's inversions, in
which the receive field has cancelled (Marques et al., NeuroImage 2010)."""
SERIES = ("dwi", "bold", "sbref", "asl", "m0scan", "epi")
"""Suffixes of diffusion, functional, perfusion and field-map images, corrected when named. All volumes of a file have
one field."""
SUFFIXES = (*WEIGHTED, *ON_REQUEST, *SERIES)
"""All that can be corrected."""
ALL = "all"
"""Stands for all of these but UNIT1, in which there is no field to correct."""
PLACES = {
    **dict.fromkeys((*WEIGHTED, *ON_REQUEST), ("anat",)),
    **{"dwi": ("dwi",), "bold": ("func",), "sbref": ("func", "dwi"), "asl": ("perf",)},
    **{"m0scan": ("perf", "fmap"), "epi": ("fmap",)},
}
"""The folders, in BIDS data types, that hold images of each suffix."""
DATATYPES = ("anat", "dwi", "fmap", "func", "perf")
"""The folders that may hold any of them."""


def expand(suffixes: Iterable[str]) -> tuple[str, ...]:
    """Replace ``all`` by what it stands for.

    Examples
    --------
    >>> expand(["UNIT1", "all"])[:3], expand(["dwi"])
    (('UNIT1', 'T1w', 'T2w'), ('dwi',))
    """
    every = [suffix for suffix in SUFFIXES if suffix != "UNIT1"]
    return tuple(dict.fromkeys(one for suffix in suffixes for one in (every if suffix == ALL else [suffix])))


def datatypes_of(suffixes: Iterable[str]) -> tuple[str, ...]:
    """Return the folders that may hold images of some suffixes.

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
            Without folder.

        Returns
        -------
        Name

        Raises
        ------
        ValueError
            It is not a BIDS name; the message says why.
        """
        stem, dot, rest = text.partition(".")
        *pairs, suffix = stem.split("_")
        entities: dict[str, str] = {}
        for pair in pairs:
            key, dash, value = pair.partition("-")
            if not dash or key not in ORDER:
                raise ValueError(f"{pair!r} is no entity of an MR image")
            pattern = "[0-9]+" if key in INDEXED else "[0-9a-zA-Z+]+"
            if not re.fullmatch(pattern, value):
                raise ValueError(f"{pair!r}: the value must match {pattern}")
            if key in entities:
                raise ValueError(f"{key!r} stands twice")
            entities[key] = value
        if list(entities) != sorted(entities, key=ORDER.index):
            right = "_".join(f"{k}-{entities[k]}" for k in sorted(entities, key=ORDER.index))
            raise ValueError(f"entities must stand in the order {right}")
        if not re.fullmatch("[0-9a-zA-Z]+", suffix):
            raise ValueError(f"{suffix!r} is no suffix")
        return cls(entities, suffix, dot + rest)

    def derived(self, suffix: str | None = None, extension: str = ".nii.gz", **entities: str) -> Name:
        """Return the name of something made from this, with entities added or replaced."""
        merged = {**self.entities, **entities}
        ordered = {key: merged[key] for key in sorted(merged, key=ORDER.index)}
        return Name(ordered, suffix or self.suffix, extension)

    def __str__(self) -> str:
        pairs = [f"{key}-{value}" for key, value in self.entities.items()]
        return "_".join([*pairs, self.suffix]) + self.extension
