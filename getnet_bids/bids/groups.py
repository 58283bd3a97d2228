"""Group images that share one field, and choose the images from which it is estimated."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from getnet_bids.errors import GetNetError

from .discovery import Source
from .metadata import Metadata, intended_for, receive_pairs
from .names import NIFTI, ON_REQUEST, SERIES, Name

SET_ENTITIES = ("echo", "flip", "inv", "mt", "part")
"""Entities in which the members of a set (from which a map is computed) differ."""
SET_SUFFIXES = (*(suffix for suffix in ON_REQUEST if suffix != "UNIT1"), "MP2RAGE")
"""Suffixes of such sets. Images with other suffixes form a set only if they differ in ``echo``."""
CONTRAST = re.compile("(?:MTw|PDw|T1w)$")
"""End of the ``acq`` label that often distinguishes the weightings of one set, as in BIDS's example of ``MPM``."""


@dataclass(frozen=True)
class Group:
    """Images that are divided by the same field.

    Parameters
    ----------
    members : tuple of Source
        At least one.
    references : tuple of Source
        The images from which the field is estimated. They need not be members.
    joint : bool
        Whether the field is estimated jointly from all references, although they differ in contrast, and is named
        after the first.
    """

    members: tuple[Source, ...]
    references: tuple[Source, ...]
    joint: bool = False

    @property
    def field_name(self) -> Name:
        """The name from which the field's name is derived, with the entities that all members share.

        Examples
        --------
        >>> from pathlib import Path
        >>> sources = [Source(Path(), f, Name.parse(f)) for f in ("sub-1_echo-1_MEGRE.nii", "sub-1_echo-2_MEGRE.nii")]
        >>> str(Group(tuple(sources), (sources[0],)).field_name)
        'sub-1_MEGRE.nii'
        """
        first = self.members[0].name
        if self.joint:
            return first
        shared = {
            key: value
            for key, value in first.entities.items()
            if all(member.name.entities.get(key) == value for member in self.members)
        }
        if "acq" not in shared and (common := without_contrast(first.entities.get("acq", ""))):
            shared["acq"] = common  # otherwise another set could have the same name
        return Name(shared, self.references[0].name.suffix, first.extension).derived(extension=first.extension)


def group_images(
    sources: Iterable[Source], sbref: bool = False, metadata: Metadata | None = None, measured: bool = False
) -> list[Group]:
    """Group images that share one field.

    Groups are sets from which a map is computed, whose members differ in `SET_ENTITIES`; the echoes of one run; and
    perfusion series with the ``m0scan`` by which they are divided. Each other image is a group by itself.

    Parameters
    ----------
    sources : iterable of Source
    sbref : bool
        Estimate the field of a ``bold`` or ``dwi`` series from the single-band reference of the same run, if there is
        one.
    metadata : Metadata, optional
        Says for which series an ``m0scan`` is intended; by default this is derived from its name.
    measured : bool
        Whether receive fields are measured: a weighting that has its own pair is then a set by itself.

    Returns
    -------
    list of Group
        In the order of their first members.
    """
    groups: dict[tuple[object, ...], list[Source]] = {}
    for source in sources:
        groups.setdefault(group_key(source, sbref, measured), []).append(source)
    join_m0scans(groups, metadata)
    return [Group(tuple(members), (reference_of(members, sbref),)) for members in groups.values()]


def group_key(source: Source, sbref: bool, measured: bool = False) -> tuple[object, ...]:
    """Return the key that the members of a group have in common."""
    suffix, entities = source.name.suffix, dict(source.name.entities)
    if suffix in SET_SUFFIXES and not (measured and has_own_pair(source)):
        entities["acq"] = without_contrast(entities.get("acq", ""))
    varying = SET_ENTITIES if suffix in SET_SUFFIXES else ("echo",)
    common = tuple(sorted((key, value) for key, value in entities.items() if value and key not in varying))
    kind = kind_of(source) if sbref and suffix == "sbref" else suffix
    return PurePosixPath(source.relative).parent, kind, common


def without_contrast(acquisition: str) -> str:
    """Return the ``acq`` that the weightings of a set have in common.

    Examples
    --------
    >>> without_contrast("hiresPDw"), without_contrast("MTw"), without_contrast("hires")
    ('hires', '', 'hires')
    """
    return CONTRAST.sub("", acquisition)


def has_own_pair(source: Source) -> bool:
    """Return whether a measured receive field is named after an image's ``acq``."""
    acquisition = source.name.entities.get("acq")
    return any(called == acquisition for called, _ in receive_pairs(source))


def join_m0scans(groups: dict[tuple[object, ...], list[Source]], metadata: Metadata | None) -> None:
    """Move each ``m0scan`` to the group of the perfusion series that are divided by it, and combine their groups.

    These are the series for which it is intended by its metadata, otherwise those that have all of its entities.
    """
    for key in [key for key in groups if key[1] == "m0scan"]:
        of = groups[key][0]
        intended = intended_for(of, metadata.of(of)) if metadata else set()
        found = [
            other
            for other, members in groups.items()
            if other[0] == key[0]
            and any(
                one.relative in intended if intended else of.name.entities.items() <= one.name.entities.items()
                for one in members
                if one.name.suffix == "asl"
            )
        ]
        if found:
            order = list(groups)
            kept, *others = sorted([key, *found], key=order.index)
            groups[kept] = sorted(
                [one for part in (kept, *others) for one in groups[part]], key=lambda one: str(one.relative)
            )
            for other in others:
                del groups[other]


def kind_of(source: Source) -> str:
    """Return the suffix of the series that a single-band reference belongs to."""
    return "dwi" if PurePosixPath(source.relative).parent.name == "dwi" else "bold"


def reference_of(members: list[Source], sbref: bool) -> Source:
    """Return the image from which a group's field is estimated.

    For a perfusion series this is the ``m0scan``; otherwise the image of a set with the most signal: without
    magnetisation transfer, at the last inversion, with the smallest flip angle, at the first echo.
    """

    def order(source: Source) -> tuple[bool, bool, int, int, int]:
        given = source.name.entities
        numbers = (-int(given.get("inv", 0)), int(given.get("flip", 0)), int(given.get("echo", 0)))
        return source.name.suffix not in ("m0scan", "sbref"), given.get("mt") == "on", *numbers

    first = min(members, key=order)
    return (sbref_of(first) or first) if sbref else first


def sbref_of(source: Source) -> Source | None:
    """Return the single-band reference of a run, or None if there is none."""
    if source.name.suffix not in ("bold", "dwi"):
        return None
    for extension in NIFTI:
        name = Name(source.name.entities, "sbref", extension)
        found = Source(source.root, str(PurePosixPath(source.relative).with_name(str(name))), name)
        if found.path.exists() or found.path.is_symlink():
            return found
    return None


AFFINE_DECIMALS = 3
"""Number of decimals to which the entries of two affines (mm) must agree."""


def share_fields(groups: Iterable[Group], metadata: Metadata) -> tuple[list[Group], list[str]]:
    """Combine the anatomical images of a session that are on the same grid into groups with a joint field.

    Parameters
    ----------
    groups : iterable of Group
        Sets, series, and ``UNIT1``, which has no receive field, are left as they are.
    metadata : Metadata
        Images that differ in ``ReceiveCoilName`` are not combined.

    Returns
    -------
    groups : list of Group
        In the order of their first members.
    apart : list of str
        Names of images that could have been combined with others, but have another grid or coil.
    """
    joined: dict[object, list[Source]] = {}
    kept: dict[object, Group] = {}
    for number, group in enumerate(groups):
        key = together_key(group, metadata) or number
        kept[key] = kept.get(key, group)
        joined.setdefault(key, []).extend(group.members)
    shared = [
        Group(tuple(members), tuple(members), joint=True) if len(members) > len(kept[key].members) else kept[key]
        for key, members in joined.items()
    ]
    keys = [key for key in joined if isinstance(key, tuple)]
    several = {folder for folder, count in Counter(key[0] for key in keys).items() if count > 1}
    alone = [joined[key][0] for key in keys if len(joined[key]) == 1 and key[0] in several]
    return shared, [PurePosixPath(source.relative).name for source in alone]


def together_key(group: Group, metadata: Metadata) -> tuple[object, ...] | None:
    """Return the key that images with a joint field have in common; None for a group that is left as it is."""
    source = group.members[0]
    if len(group.members) > 1 or source.name.suffix in (*SERIES, "UNIT1"):
        return None
    import numpy as np  # headers are read only for these groups

    from getnet_bids.series import open_series

    try:
        with open_series(source.path, source.relative) as series:
            shape, affine = series.image.shape[:3], np.asarray(series.image.affine)
    except (OSError, GetNetError):
        return None  # its error is reported when it is processed
    grid = tuple((np.round(affine, AFFINE_DECIMALS) + 0.0).ravel())
    coil = str(metadata.of(source).get("ReceiveCoilName", ""))
    return PurePosixPath(source.relative).parent, shape, grid, coil
