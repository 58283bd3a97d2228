"""HTML pages: one for each subject, and one for the dataset."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from getnet_bids.bids.discovery import Source

__all__ = ["write_missing_reports", "write_reports"]
START = 2048
"""Number of bytes from the beginning of a page that contain its title."""


def write_reports(output_dir: Path, sources: Iterable[Source]) -> list[Path | None]:
    """Write the pages of the images' subjects again, after making missing pictures and measures.

    Parameters
    ----------
    output_dir : Path
        The derivative dataset.
    sources : iterable of Source
        The raw images, from which missing pictures and measures are made, if they are available.

    Returns
    -------
    list of Path or None
        The page of each subject with results; None if it cannot be written, after a warning.
    """
    from .pages import write_page
    from .records import RunHistory, by_subject

    history = RunHistory(output_dir)
    pages = []
    for subject, images in by_subject(sources).items():
        if history.of(subject) or (output_dir / subject).is_dir():
            pages.append(write_page(output_dir, subject, images, history))
    return pages


def write_missing_reports(output_dir: Path, sources: Iterable[Source]) -> list[Path | None]:
    """Write the pages that are missing or older than a result of their subject; otherwise like `write_reports`.

    Thus, if a run ends between an image and its subject's page, the next run makes the page. A page that shows a
    failure is written again, since this run may have found the result whole.
    """
    from .records import DESCS, by_subject, sidecars_of

    def is_missing(subject: str, images: list[Source]) -> bool:
        page = output_dir / f"{subject}.html"
        results = (path for image in images for desc in DESCS for path in sidecars_of(output_dir, image, desc))
        return any(modified(result) > modified(page) for result in results) or shows_failure(page)

    stale = [images for subject, images in by_subject(sources).items() if is_missing(subject, images)]
    return write_reports(output_dir, [image for images in stale for image in images]) if stale else []


def shows_failure(page: Path) -> bool:
    """Return whether a page, if it exists, says in its title that an image failed."""
    try:
        with open(page, "rb") as file:
            return b" failed</title>" in file.read(START)
    except OSError:
        return False


def modified(path: Path) -> int:
    """Return a file's modification time in nanoseconds; -1 if it does not exist."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1
