"""Differences between the visits (sessions) of a subject, from the measures of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from .page import link
from .records import Record, anchor

NOTE = (
    "For images whose names differ only in the session. Brightness is the largest over the smallest median of the "
    "foreground; scanners' scales are arbitrary, and a correction does not change them. Field range and CV after "
    "correction are given from the smallest to the largest; if they differ much, the visits were acquired differently, "
    "and each has its own field. The images were not registered."
)


@dataclass(frozen=True)
class Visit:
    """The measures of an image of one session that are compared.

    Parameters
    ----------
    key : tuple of str
        Subject, and the image's name without the session.
    session, source : str
    brightness_before, brightness_after : float
        Median of the foreground.
    field_range : float
        99th over 1st percentile.
    cv_after : float
    """

    key: tuple[str, str]
    session: str
    source: str
    brightness_before: float
    brightness_after: float
    field_range: float
    cv_after: float

    @classmethod
    def of(cls, record: Record) -> Visit | None:
        """Make a visit from an image's record; None if there is no session or no measures."""
        found = [record.measures.get(name, 0.0) for name in ("MedianBefore", "MedianAfter", "FieldP99", "FieldP1")]
        cv = record.measures.get("CVAfter", 0.0)
        if not record.session or min(*found, cv) <= 0:
            return None
        name = PurePosixPath(record.source).name.partition(".")[0].replace(f"_ses-{record.session}_", "_")
        key = (f"sub-{record.name.entities['sub']}", name)
        return cls(key, record.session, record.source, found[0], found[1], found[2] / found[3], cv)


@dataclass(frozen=True)
class Difference:
    """The differences between the visits of one image.

    Parameters
    ----------
    title : str
        The image's name without the session.
    page : str
        Link to the first visit.
    sessions : list of str
    brightness_before, brightness_after : float
        Largest over smallest.
    field_range, cv_after : tuple of float
        Smallest and largest.
    """

    title: str
    page: str
    sessions: list[str]
    brightness_before: float
    brightness_after: float
    field_range: tuple[float, float]
    cv_after: tuple[float, float]


def differences(visits: Iterable[Visit | None]) -> list[Difference]:
    """Compare the visits of each image that has several; those whose fields differ most come first.

    Examples
    --------
    >>> one, two = (Visit(("sub-1", "sub-1_T1w"), ses, f"{ses}/x", 100 * k, 90 * k, 1 + k / 10, 0.2) for ses, k in
    ...             (("a", 1), ("b", 2)))
    >>> found, = differences([one, two])
    >>> found.sessions, found.brightness_after, found.field_range
    (['a', 'b'], 2.0, (1.1, 1.2))
    """
    groups: dict[tuple[str, str], list[Visit]] = {}
    for visit in visits:
        if visit is not None:
            groups.setdefault(visit.key, []).append(visit)
    found = []
    for (subject, title), members in groups.items():
        if len({member.session for member in members}) < 2:
            continue
        before, after, ranges, cvs = (
            sorted(getattr(member, name) for member in members)
            for name in ("brightness_before", "brightness_after", "field_range", "cv_after")
        )
        page = f"{link(subject)}.html#{anchor(members[0].source)}"
        sessions = [member.session for member in members]
        ratios = (before[-1] / before[0], after[-1] / after[0])
        found.append(Difference(title, page, sessions, *ratios, (ranges[0], ranges[-1]), (cvs[0], cvs[-1])))
    return sorted(found, key=lambda one: (-one.field_range[1] / one.field_range[0], one.title))
