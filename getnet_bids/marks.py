"""Marks: pages, pictures and model cards contain a checksum of themselves, by which an edited one is recognised."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

from .errors import GetNetError
from .files import pointer_remedy, write_bytes

MARK = re.compile(rb"<!-- getnet_bids: ([0-9a-f]{8}) -->\n")
"""Mark with the checksum of all other bytes: a comment in HTML and Markdown, and not read at the end of a picture."""
OLD_PAGE = b"<footer>Written by getnet_bids "
"""Text in pages of earlier versions, which have no mark."""
NOT_OURS = "was not made by getnet_bids, and is not replaced; move it, or choose another output"
CHANGED = "was changed after getnet_bids wrote it, and is not replaced; move or rename it"


def write_marked(path: Path, content: bytes | str, old: bytes = OLD_PAGE) -> None:
    """Write a file with a mark, before the end of a page and after the end of anything else.

    Parameters
    ----------
    path : Path
    content : bytes or str
    old : bytes
        As for `check_marked`.

    Raises
    ------
    GetNetError
        A file of that name is a user's.
    """
    check_marked(path, old)
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    end = data.rfind(b"</html>") if path.suffix == ".html" else len(data)
    write_bytes(path, data[:end] + b"<!-- getnet_bids: %08x -->\n" % zlib.crc32(data) + data[end:])


def check_marked(path: Path, old: bytes = OLD_PAGE) -> None:
    """Raise `GetNetError` if a file exists and was not made by this program, or was changed.

    Parameters
    ----------
    path : Path
        An empty file, and one that only points to data that were not fetched, count as none.
    old : bytes
        Text by which a file of an earlier version is recognised, which has no mark.
    """
    if not path.exists() or not (data := path.read_bytes()) or pointer_remedy(data):
        return
    mark = MARK.search(data)
    if mark is None and old not in data:
        raise GetNetError(f"{path} {NOT_OURS}")
    if mark is not None and zlib.crc32(data[: mark.start()] + data[mark.end() :]) != int(mark[1], 16):
        raise GetNetError(f"{path} {CHANGED}")
