"""Pairs of images by the head coil and by the body coil, from which the receive field can be computed."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from .discovery import IMAGES, Source, entries
from .names import Name

SUFFIX = "RB1COR"
HEAD, BODY = "head", "body"
"""How the ``acq`` of either begins; what follows is the same in both, such as ``MTw``."""


def receive_pair(source: Source) -> tuple[Source, Source] | None:
    """Find the pair of ``RB1COR`` images that belongs to an image.

    Parameters
    ----------
    source : Source

    Returns
    -------
    tuple of Source or None
        By the head coil, and by the body coil, in ``fmap`` of the image's session. Of several pairs it is the one named
        after the image's ``acq`` or suffix, else the first.
    """
    folder = PurePosixPath(source.relative).parent.parent / "fmap"
    pairs = pairs_in(source.root, folder)
    wanted = (source.name.entities.get("acq", ""), source.name.suffix, "")
    named = [pairs[key] for name in wanted for key in pairs if key[0] == name]
    return next(iter([*named, *pairs.values()]), None)


def pairs_in(root: Path, folder: PurePosixPath) -> dict[tuple[str, str], tuple[Source, Source]]:
    """List a folder's pairs by what follows ``head`` and ``body``, and by their other entities."""
    found: dict[tuple[str, str], dict[str, Source]] = {}
    for file in entries(root / folder):
        if not file.partition(".")[0].endswith(f"_{SUFFIX}") or not file.endswith(IMAGES):
            continue
        try:
            name = Name.parse(file)
        except ValueError:
            continue
        acquired = name.entities.get("acq", "")
        coil = acquired[:4]
        if coil in (HEAD, BODY) and name.entities.get("part", "mag") == "mag":
            others = {key: value for key, value in name.entities.items() if key not in ("acq", "part")}
            key = acquired[4:], str(Name(others, SUFFIX, ""))
            found.setdefault(key, {})[coil] = Source(root, str(folder / file), name)
    return {key: (pair[HEAD], pair[BODY]) for key, pair in found.items() if len(pair) == 2}
