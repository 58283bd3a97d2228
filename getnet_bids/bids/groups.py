"""Group images that share one field, and choose the images from which it is estimated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from getnet_bids.errors import GetNetError

from .discovery import IMAGES, Source
from .metadata import Metadata
from .names import ON_REQUEST, SERIES, Name

SET_ENTITIES = ("echo", "flip", "inv", "mt", "part")
"""Entities in which the members of a set (from which a map is computed) differ."""
SET_SUFFIXES = (*(suffix for suffix in ON_REQUEST if suffix != "UNIT1"), "MP2RAGE")
"""Suffixes of such sets. Images with other suffixes form a set only if they differ in ``echo``."""


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
        return Name(shared, self.references[0].name.suffix, first.extension)


def group_images(sources: Iterable[Source], sbref: bool = False) -> list[Group]:
    """Group images that share one field.

    Groups are sets from which a map is computed, whose members differ in `SET_ENTITIES`; the echoes of one run; and a
    perfusion series with its ``m0scan``, by which it is divided. Each other image is a group by itself.

    Parameters
    ----------
    sources : iterable of Source
    sbref : bool
        Estimate the field of a ``bold`` or ``dwi`` series from the single-band reference of the same run, if there is
        one.

    Returns
    -------
    list of Group
        In the order of their first members.
    """
    groups: dict[tuple[object, ...], list[Source]] = {}
    for source in sources:
        groups.setdefault(group_key(source, sbref), []).append(source)
    return [Group(tuple(members), (reference_of(members, sbref),)) for members in groups.values()]


def group_key(source: Source, sbref: bool) -> tuple[object, ...]:
    """Return the key that the members of a group have in common."""
    suffix = source.name.suffix
    varying = SET_ENTITIES if suffix in SET_SUFFIXES else ("echo",)
    entities = tuple((key, value) for key, value in source.name.entities.items() if key not in varying)
    together = {"m0scan": "asl"} | ({"sbref": kind_of(source)} if sbref else {})
    return PurePosixPath(source.relative).parent, together.get(suffix, suffix), entities


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
    for extension in IMAGES:
        name = Name(source.name.entities, "sbref", extension)
        found = Source(source.root, str(PurePosixPath(source.relative).with_name(str(name))), name)
        if found.path.exists() or found.path.is_symlink():
            return found
    return None


AFFINE_DECIMALS = 3
"""Number of decimals to which the entries of two affines (mm) must agree."""


def share_fields(groups: Iterable[Group], metadata: Metadata) -> list[Group]:
    """Combine the anatomical images of a session that are on the same grid into groups with a joint field.

    Parameters
    ----------
    groups : iterable of Group
        Sets, series, and ``UNIT1``, which has no receive field, are left as they are.
    metadata : Metadata
        Images that differ in ``ReceiveCoilName`` are not combined.

    Returns
    -------
    list of Group
        In the order of their first members.
    """
    joined: dict[object, list[Source]] = {}
    kept: dict[object, Group] = {}
    for number, group in enumerate(groups):
        key = together_key(group, metadata) or number
        kept[key] = kept.get(key, group)
        joined.setdefault(key, []).extend(group.members)
    return [
        Group(tuple(members), tuple(members), joint=True) if len(members) > len(kept[key].members) else kept[key]
        for key, members in joined.items()
    ]


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
