"""Subjects' pages, each written as soon as the last of its images has ended."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from getnet_bids.bids.discovery import Source
from getnet_bids.errors import one_line

from .journal import Journal

LOG = logging.getLogger(__name__)


class Pages:
    """Writes a subject's page when told that its last image has ended; what goes wrong is only warned of.

    Parameters
    ----------
    output_dir : Path
        The derivative dataset.
    sources : iterable of Source
        All images that will end.
    """

    def __init__(self, output_dir: Path, sources: Iterable[Source]) -> None:
        self.output_dir = output_dir
        self.journal = Journal(output_dir)
        self.images = by_subject(sources)
        self.waiting = {subject: len(images) for subject, images in self.images.items()}

    def ended(self, source: Source) -> None:
        """Take note that an image has ended, well or not; its line stands in ``status.tsv``."""
        subject = subject_of(source)
        self.waiting[subject] -= 1
        if self.waiting[subject] == 0:
            write_page(self.output_dir, subject, self.images.pop(subject), self.journal)


def write_page(output_dir: Path, subject: str, images: list[Source], journal: Journal) -> Path | None:
    """Write a subject's page, after its pictures where they are missing.

    What goes wrong is warned of and gives None: no image is lost for want of a page.
    """
    from .redraw import redraw
    from .subject import write_subject_report

    try:
        redraw(output_dir, images)
        return write_subject_report(output_dir, subject, journal)
    except Exception as error:
        LOG.warning("%s: no page: %s", subject, one_line(error))
        return None


def by_subject(sources: Iterable[Source]) -> dict[str, list[Source]]:
    """Sort images by subject, ``sub-`` included."""
    subjects: dict[str, list[Source]] = {}
    for source in sources:
        subjects.setdefault(subject_of(source), []).append(source)
    return subjects


def subject_of(source: Source) -> str:
    """Give the folder of an image's subject."""
    return source.relative.partition("/")[0]
