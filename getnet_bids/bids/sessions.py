"""Images of a session that were measured together, on one grid by one coil: they may share one field."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

import numpy as np

from getnet_bids.errors import GetNetError
from getnet_bids.series import open_series

from .discovery import Source
from .groups import Group
from .metadata import Metadata
from .names import SERIES

ROUNDING = 3
"""Decimals of an affine's entries (mm) that have to agree."""


def share_fields(groups: Iterable[Group], metadata: Metadata) -> list[Group]:
    """Join anatomical images of a session that lie on one grid into groups with one joint field.

    Parameters
    ----------
    groups : iterable of Group
        Sets and series stay as they are, and ``UNIT1``, which has no receive field.
    metadata : Metadata
        Images whose ``ReceiveCoilName`` differs are not joined.

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
    """Return what images with a joint field have in common; None for a group that stays as it is."""
    source = group.members[0]
    if len(group.members) > 1 or source.name.suffix in (*SERIES, "UNIT1"):
        return None
    try:
        with open_series(source.path, source.relative) as series:
            shape, affine = series.image.shape[:3], np.asarray(series.image.affine)
    except (OSError, GetNetError):
        return None  # what is wrong with it is told in its turn
    grid = tuple((np.round(affine, ROUNDING) + 0.0).ravel())
    coil = str(metadata.of(source).get("ReceiveCoilName", ""))
    return PurePosixPath(source.relative).parent, shape, grid, coil
