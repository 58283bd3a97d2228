"""Pages for people: one of each subject, one of the dataset."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from getnet_bids.bids.discovery import Source

__all__ = ["write_missing_reports", "write_reports"]


def write_reports(output_dir: Path, sources: Iterable[Source]) -> list[Path]:
    """Write the pages of some images' subjects anew; pictures and measures that are missing are made first.

    Parameters
    ----------
    output_dir : Path
        The derivative dataset.
    sources : iterable of Source
        The raw images: what is missing is made from them, as far as they are here.

    Returns
    -------
    list of Path
        The pages; one that could not be written is warned of.
    """
    from .pages import write_page
    from .records import RunHistory, by_subject

    history = RunHistory(output_dir)
    pages = []
    for subject, images in by_subject(sources).items():
        if history.of(subject) or (output_dir / subject).is_dir():
            pages.append(write_page(output_dir, subject, images, history))
    return [page for page in pages if page is not None]


def write_missing_reports(output_dir: Path, sources: Iterable[Source]) -> list[Path]:
    """Write the pages that are missing or older than a result of their subject; else as `write_reports`.

    So the pages of a run that was ended between an image and its subject's page are made by the next.
    """
    from getnet_bids.bids.outputs import Outputs, sidecar

    from .records import by_subject

    def is_missing(subject: str, images: list[Source]) -> bool:
        page = modified(output_dir / f"{subject}.html")
        results = (modified(sidecar(Outputs.of(image, output_dir).corrected)) for image in images)
        return any(result > page for result in results)

    stale = [images for subject, images in by_subject(sources).items() if is_missing(subject, images)]
    return write_reports(output_dir, [image for images in stale for image in images]) if stale else []


def modified(path: Path) -> int:
    """Return the time of a file's last change, nanoseconds; -1 if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1
