"""Ownership: a file is replaced or removed only if it still is as this program wrote it.

The sidecar of an image, or of a table, records its size and a checksum; a sidecar contains a checksum of itself, as do
pages and pictures (`getnet_bids.marks`). Files of earlier versions have no checksums: an image of the recorded size
counts as unchanged, and so does every sidecar and page of this program. An empty or damaged file holds nothing that
could be lost, and neither does a result whose sidecar says that it is still being written.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from getnet_bids.errors import GetNetError
from getnet_bids.files import checksum, is_remnant
from getnet_bids.marks import CHANGED, NOT_OURS

from .discovery import not_fetched
from .metadata import read_object
from .names import BESIDE, suffix_of
from .outputs import Outputs, place_beside, sidecar
from .provenance import CHECKSUMS, INCOMPLETE, KEY, SIZES

SEAL = "GetNetChecksum"
"""Key of a sidecar for the checksum of all its other entries."""


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a sidecar with a checksum, which does not depend on how the JSON is laid out.

    Examples
    --------
    >>> sealed({"SkullStripped": True})
    {'SkullStripped': True, 'GetNetChecksum': '3cfba6b7'}
    >>> is_intact({"GetNetChecksum": "3cfba6b7", "SkullStripped": True})
    True
    >>> is_intact({"GetNetChecksum": "3cfba6b7", "SkullStripped": False})
    False
    """
    rest = {key: value for key, value in content.items() if key != SEAL}
    return {**rest, SEAL: f"{zlib.crc32(json.dumps(rest, sort_keys=True).encode()):08x}"}


def is_intact(content: dict[str, Any]) -> bool:
    """Return whether the content of a sidecar is as it was written; that of an earlier version counts as such."""
    return SEAL not in content or content[SEAL] == sealed(content)[SEAL]


def refusal(file: Path, name: str, made: Mapping[str, Any]) -> str | None:
    """Return why a file may not be replaced, given what was recorded when it was written; None if it may.

    Parameters
    ----------
    file : Path
        An existing file.
    name : str
        Its name in the record.
    made : mapping
        A sidecar's entry on provenance, or another with sizes and checksums by name.

    Returns
    -------
    str or None
    """
    sizes, checksums = made.get(SIZES), made.get(CHECKSUMS)
    if not isinstance(sizes, dict) or not_fetched(file):
        return None
    if name not in sizes:
        return f"{file} {NOT_OURS}"
    recorded = checksums.get(name) if isinstance(checksums, dict) else None
    try:
        same = os.path.isfile(file) and file.stat().st_size == sizes[name]
        if same and recorded is not None:
            same = checksum(file) == recorded
        return None if same or (os.path.isfile(file) and is_remnant(file)) else f"{file} {CHANGED}"
    except OSError as error:
        return f"{file} cannot be read ({error.strerror}), and is not replaced; change its permissions, or move it"


def is_empty(file: Path) -> bool:
    """Return whether a file exists and is empty."""
    return os.path.isfile(file) and not file.stat().st_size


def refusal_of_image(image: Path, copies: Iterable[Path] = ()) -> str | None:
    """Return why an image, its sidecar, or what belongs to it may not be replaced; None if they may.

    Parameters
    ----------
    image : Path
    copies : iterable of Path
        Files that are written beside it.

    Returns
    -------
    str or None
    """
    about = sidecar(image)
    beside = [place_beside(image, ending) for ending in BESIDE.get(suffix_of(image.name), ())]
    there = [file for file in (image, about, *beside) if os.path.lexists(file) and not is_empty(file)]
    content = read_object(about)
    if not there or INCOMPLETE in content or not_fetched(about):
        return None
    if not isinstance(made := content.get(KEY), dict):
        return f"{there[0]} {NOT_OURS}"
    if not is_intact(content):
        return f"{about} {CHANGED}" + (f", and {image.name}" if image in there else "")
    recorded = [file for file in beside if isinstance(made.get(SIZES), dict) and file.name in made[SIZES]]
    files = [file for file in (image, *recorded, *(set(copies) - set(recorded))) if file in there]
    return next((reason for file in files if (reason := refusal(file, file.name, made))), None)


def refusal_of_results(outputs: Outputs, copies: Iterable[Path] = ()) -> str | None:
    """Return why the results of an image may not be written, as `refusal_of_image` does; None if they may."""
    images = outputs.images
    reasons = (refusal_of_image(path, copies if path == outputs.corrected else ()) for path in images)
    return next(filter(None, reasons), None)


def check_replaceable(outputs: Outputs, copies: Iterable[Path] = ()) -> None:
    """Raise `GetNetError` if the results of an image may not be written, because a file of a user's is there."""
    if reason := refusal_of_results(outputs, copies):
        raise GetNetError(reason)


def check_table(table: Path, columns: Mapping[str, Any]) -> None:
    """Raise `GetNetError` if a table or its sidecar exists and was not made by this program, or was changed.

    Parameters
    ----------
    table : Path
    columns : mapping
        The descriptions of its columns; a sidecar of an earlier version has nothing else.
    """
    about = table.with_suffix(".json")
    there = [file for file in (about, table) if os.path.lexists(file) and not is_empty(file)]
    content = read_object(about)
    made = content.get(KEY)
    if not there or INCOMPLETE in content or not_fetched(about):
        return
    if not isinstance(made, dict):
        if any(content.get(name) == text for name, text in columns.items()):
            return
        raise GetNetError(f"{there[0]} {NOT_OURS}")
    if not is_intact(content):
        raise GetNetError(f"{about} {CHANGED}")
    if table in there and (reason := refusal(table, table.name, made)):
        raise GetNetError(reason)


def remove_result(image: Path) -> None:
    """Remove an image of this program and its sidecar; a user's own file, or a result that was edited, stays."""
    content = read_object(sidecar(image))
    if (KEY in content or INCOMPLETE in content) and refusal_of_image(image) is None:
        image.unlink(missing_ok=True)
        sidecar(image).unlink()
