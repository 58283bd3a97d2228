"""Find the images that a run is asked for, and report those that are left out."""

from __future__ import annotations

import re
from typing import Any

from getnet_bids.bids.discovery import SearchResult, find_images
from getnet_bids.bids.names import ALL, WEIGHTED
from getnet_bids.errors import GetNetError
from getnet_bids.settings import Settings

from . import console


def find(settings: Settings) -> SearchResult:
    """Find the images, and report those that are skipped."""
    asked = settings.participant_label or ()
    missing = [label for label in asked if not (settings.bids_dir / f"sub-{label}").is_dir()]
    if missing and len(missing) == len(asked):
        text = f"{settings.bids_dir} has no sub-{', sub-'.join(missing)}; check the spelling"
        raise console.CommandError(console.NOTHING_MATCHED, text)
    found = search(settings)
    for i, (relative, reason) in enumerate(found.skipped.items()):
        if i == console.MAX_NAMED and not settings.verbose:
            console.say(f"... and {len(found.skipped) - console.MAX_NAMED} more left out; -v names all")
            break
        console.say(f"{relative}: left out: {reason}")
    for folder, reason in found.unreadable.items():
        console.say(f"{folder}: {reason}")
    absent = without_images(found, settings)
    if absent and found.sources:
        console.say(f"no image to correct for {', '.join(absent)}; check the spelling, or leave it out")
    if any(found.unrequested.values()):
        counts = ", ".join(f"{count} {suffix}" for suffix, count in sorted(found.unrequested.items()) if count)
        console.say(f"corrected only if named with --modalities: {counts}")
    if lone := found.asl_without_m0scan:
        what = "its m0scan is not corrected, so that their ratio changes; add m0scan to --modalities"
        console.say(f"{console.some_of(lone)}: {what}")
    if found.unreadable and not found.sources:
        raise console.CommandError(
            console.IO_ERROR, f"{settings.bids_dir}: no image can be read; check the permissions"
        )
    if not found.sources:
        labels = ", ".join(one for one in absent if one not in settings.suffixes)
        raise console.CommandError(
            console.NOTHING_MATCHED,
            f"{settings.bids_dir}: no image matches; searched for {' '.join(settings.suffixes)}"
            + (f" and {labels}" if labels else ""),
        )
    return found


def without_images(found: SearchResult, settings: Settings) -> list[str]:
    """List the subjects, sessions and suffixes that were asked for by name but have no image to correct."""
    names = [source.name for source in found.sources]
    unreadable = " ".join(found.unreadable)
    absent = []
    for key, asked in (("sub", settings.participant_label), ("ses", settings.session_label)):
        taken = {name.entities.get(key) for name in names}
        wanted = [f"{key}-{label}" for label in asked or () if label not in taken]
        absent += [label for label in wanted if not re.search(rf"{re.escape(label)}(?![0-9a-zA-Z+])", unreadable)]
    if settings.modalities != WEIGHTED and ALL not in settings.modalities:
        absent += [suffix for suffix in settings.modalities if suffix not in {name.suffix for name in names}]
    return absent


def search(settings: Settings) -> SearchResult:
    """Search the dataset's folders, or query PyBIDS if a filter file or a database is given."""
    if settings.bids_filter_file is None and settings.bids_database_dir is None:
        return find_images(settings.bids_dir, settings.participant_label, settings.session_label, settings.suffixes)
    from getnet_bids.bids import layout

    suffixes, listing, chosen = set(settings.suffixes), None, None
    queries: dict[str, dict[str, Any]] = {}
    try:
        if settings.bids_filter_file is not None:
            queries, others = layout.read_queries(settings.bids_filter_file)
            if unused := [*(name for name in queries if name not in settings.suffixes), *others]:
                console.say(f"{settings.bids_filter_file}: unused, as no such image is corrected: {', '.join(unused)}")
            suffixes = layout.suffixes_of(queries, settings.suffixes)
        index = layout.open_layout(settings.bids_dir, settings.bids_database_dir, settings.participant_label)
        if settings.bids_database_dir is not None:
            listing = layout.image_files(index)
        if settings.bids_filter_file is not None:
            chosen = layout.choose(index, queries, settings.suffixes)
    except GetNetError as error:
        raise console.CommandError(console.USAGE, str(error)) from None
    return find_images(settings.bids_dir, settings.participant_label, settings.session_label, suffixes, listing, chosen)
