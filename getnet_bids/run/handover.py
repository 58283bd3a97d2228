"""The hand-over dataset: one corrected T1w image for each subject, or session, for fMRIPrep, and nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from getnet_bids.bids.dataset import DESCRIPTION, HAND_OVER, add_to_description, description, is_ours
from getnet_bids.bids.discovery import Source, entries
from getnet_bids.bids.metadata import read_object
from getnet_bids.bids.outputs import Outputs, sidecar
from getnet_bids.bids.ownership import refusal_of_image
from getnet_bids.bids.provenance import INCOMPLETE, KEY
from getnet_bids.bids.sidecars import STOPPED, write_json
from getnet_bids.core import DOUBTFUL
from getnet_bids.errors import GetNetError, reason_of
from getnet_bids.files import atomic, locked, part_of, sweep, write_text
from getnet_bids.settings import Settings

from . import console

SUFFIX = "T1w"
README = """\
# Corrected T1w images for fMRIPrep

Made by getnet_bids from its results, to be given to fMRIPrep, sMRIPrep or nibabies by `--derivatives`: one T1w image
for each {unit}, corrected for intensity non-uniformity, and its sidecar. fMRIPrep takes an image of this name in place
of its own correction (N4) and average. Nothing else may lie here: fMRIPrep would take a second T1w image, a T2w image,
a brain mask or a segmentation as its own, registered and complete.

The files are hard links to those of the results where the file system allows it, else copies. They change only when
getnet-bids is run with `--for` again.
"""


@dataclass(frozen=True)
class HandedOver:
    """The outcome for a subject, or a session.

    Parameters
    ----------
    subject : str
        Label.
    session : str or None
        Label of the image's session.
    image : str
        The image, as a path from the root of the hand-over; empty if none was handed over.
    reason : str
        Why this image was chosen, or why none was.
    """

    subject: str
    session: str | None
    image: str
    reason: str


def unit_of(kind: str) -> str:
    """Return whether a kind of hand-over has one image for each session or for each subject."""
    return "session" if kind.endswith("-sessionwise") else "subject"


def check_hand_over(root: Path, raw: Path, out: Path, kind: str = "fmriprep") -> str | None:
    """Return the reason why a folder cannot be used for a hand-over, or None.

    Parameters
    ----------
    root, raw, out : Path
        The folder, the raw dataset and that of the results.
    kind : str
        Of `getnet_bids.settings.HAND_OVERS`.

    Returns
    -------
    str or None
    """
    target, inside, results = (Path(os.path.realpath(one)) for one in (root, raw, out))
    if target.is_relative_to(results) or results.is_relative_to(target):
        return f"{root}: a hand-over may neither hold the results nor lie in them; give another --hand-over-dir"
    if inside.is_relative_to(target) or (target.is_relative_to(inside) and target.parent != inside / "derivatives"):
        return f"{root} is inside the input, or around it; give a --hand-over-dir outside"
    about = read_object(target / DESCRIPTION)
    if entries(target) and not (is_ours(about.get("GeneratedBy")) and HAND_OVER in about):
        return f"{root} holds something else than a hand-over; give a --hand-over-dir that is new or empty"
    there = about.get(HAND_OVER)
    unit = there.get("OneFor", unit_of(kind)) if isinstance(there, dict) else unit_of(kind)
    if unit != unit_of(kind):
        return f"{root} is a hand-over of one image for each {unit}; give another --hand-over-dir"
    return None


def hand_over(
    images: Iterable[tuple[Source, Outputs]], root: Path, raw: Path, out: Path, unit: str = "subject"
) -> list[HandedOver]:
    """Put the one T1w image of each subject, or session, into a separate dataset.

    Only the same image of an earlier hand-over is replaced, and nothing is removed.

    Parameters
    ----------
    images : iterable of Source and Outputs
        The images of a run, and the outputs of each, which may not exist.
    root : Path
        The hand-over's folder; created if it does not exist.
    raw, out : Path
        The raw dataset and that of the results.
    unit : {"subject", "session"}
        Hand over one image for each subject or for each session.

    Returns
    -------
    list of HandedOver
        In the order of the images.

    Raises
    ------
    OSError
        The folder cannot be written to.
    """
    groups: dict[tuple[str, str | None], list[tuple[Source, Outputs]]] = {}
    for source, outputs in images:
        if source.name.suffix == SUFFIX:
            entities = source.name.entities
            key = entities["sub"], entities.get("ses") if unit == "session" else None
            groups.setdefault(key, []).append((source, outputs))
    root.mkdir(parents=True, exist_ok=True)
    about = description(raw.resolve(), root.resolve())
    about["Name"] += ", for fMRIPrep"
    about["DatasetLinks"]["getnet"] = out.resolve().as_uri()
    add_to_description(root, {**about, HAND_OVER: {"For": "fMRIPrep", "OneFor": unit}})
    sweep(root, {f"sub-{subject}" for subject, _ in groups} & set(entries(root)))
    if not (root / "README.md").exists():
        write_text(root / "README.md", README.format(unit=unit))
    return [hand_over_one(members, root, unit) for members in groups.values()]


def hand_over_one(members: Sequence[tuple[Source, Outputs]], root: Path, unit: str) -> HandedOver:
    """Hand over the image of one subject or session, or return the reason why not."""
    source, outputs = members[0]
    subject, session = source.name.entities["sub"], source.name.entities.get("ses")
    folder = root / Path(source.relative).parent
    whole = folder.parent if unit == "session" else root / f"sub-{subject}"
    try:
        reason = choose(members, unit)
        folder.mkdir(parents=True, exist_ok=True)
        with locked(root / f"sub-{subject}"):
            others = others_in(whole, outputs.corrected.name)
            if others:
                raise GetNetError(
                    f"{others[0]} lies in the hand-over already, and fMRIPrep takes one image for each {unit}: "
                    "remove it, or give another --hand-over-dir"
                )
            put(outputs.corrected, folder / outputs.corrected.name)
    except GetNetError as error:
        return HandedOver(subject, session if len(members) == 1 else None, "", error.reason)
    except OSError as error:
        raise OSError(error.errno, reason_of(error), str(folder)) from None
    return HandedOver(subject, session, (folder / outputs.corrected.name).relative_to(root).as_posix(), reason)


def choose(members: Sequence[tuple[Source, Outputs]], unit: str) -> str:
    """Return the reason for handing over the first image; raise `GetNetError` if none can be handed over."""
    if len(members) > 1:
        names = ", ".join(Path(source.relative).name for source, _ in members)
        sessions = {source.name.entities.get("ses") for source, _ in members}
        choice = "--bids-filter-file (a run, an acquisition ...)"
        if len(sessions) == len(members):
            choice = "--session-label, or --for fmriprep-sessionwise with fMRIPrep's sessionwise anatomical reference"
        raise GetNetError(f"{len(members)} T1w images, of which fMRIPrep takes one: {names}; choose by {choice}")
    (source, outputs), *_ = members
    if not outputs.corrected.is_file() or not sidecar(outputs.corrected).is_file():
        raise GetNetError(f"{Path(source.relative).name} was not corrected; see status.tsv")
    from getnet_bids.series import open_series  # not for --help

    with open_series(outputs.corrected) as series:
        shape = series.image.shape
    if len(shape) < 3 or any(n > 1 for n in shape[3:]):
        raise GetNetError(f"{Path(source.relative).name} has shape {shape}; fMRIPrep takes one volume")
    about = read_object(sidecar(outputs.corrected))
    remarks = ["is skull-stripped: give fMRIPrep --skull-strip-t1w skip"] if about.get("SkullStripped") is True else []
    made = about.get(KEY)
    if isinstance(made, dict) and made.get("Verdict") == DOUBTFUL:
        remarks.append("doubtful: see its page")
    return "; ".join([f"the only T1w image of its {unit} in this run", *remarks])


def others_in(folder: Path, name: str) -> list[str]:
    """List the T1w images below a folder that have a different name."""
    found = [path.name for path in folder.rglob(f"*_{SUFFIX}.nii*") if not path.name.startswith(".")]
    return sorted(other for other in found if other != name)


def put(image: Path, target: Path) -> None:
    """Hand over an image and its sidecar; raise `GetNetError` if a user's file is there."""
    if all(is_same(*pair) for pair in ((image, target), (sidecar(image), sidecar(target)))):
        return
    if reason := refusal_of_image(target):
        raise GetNetError(reason)
    write_json(sidecar(target), {INCOMPLETE: STOPPED})  # so that the next run knows the image if this one is stopped
    link_or_copy(image, target)
    link_or_copy(sidecar(image), sidecar(target))


def is_same(path: Path, other: Path) -> bool:
    """Return whether two names are those of one file."""
    return other.exists() and other.samefile(path)


def link_or_copy(source: Path, target: Path) -> None:
    """Make a hard link to a file, which also works in a container; or a copy if the file system has no hard links."""
    if is_same(source, target):
        return  # a second link to the same file cannot replace the first
    part = part_of(target)
    try:
        os.link(source, part)
        os.replace(part, target)
    except OSError:
        part.unlink(missing_ok=True)
        with open(source, "rb") as content, atomic(target) as copy:
            shutil.copyfileobj(content, copy)


TABLE = "handover.tsv"
COLUMNS = ("participant_id", "session_id", "handed_over", "reason")


def hand_images_over(images: Sequence[tuple[Source, Outputs]], settings: Settings, folder: Path) -> int:
    """Hand over the T1w images of a run, and return the exit code.

    Parameters
    ----------
    images : sequence of Source and Outputs
        All images of the run.
    settings : Settings
        With `hand_over`.
    folder : Path
        The run's logs.

    Returns
    -------
    int
        `console.SOME_FAILED` if a subject or session has no image in the hand-over.
    """
    root = settings.hand_over_root
    try:
        rows = hand_over(images, root, settings.bids_dir, settings.output_dir, unit_of(settings.hand_over or ""))
    except OSError as error:
        raise console.CommandError(console.CANNOT_CREATE, f"{root}: cannot be written to: {reason_of(error)}") from None
    write_text(folder / TABLE, "".join("\t".join(cells) + "\n" for cells in [COLUMNS, *map(cells_of, rows)]))
    for row in rows:
        if not row.image or settings.verbose:
            console.say(f"sub-{row.subject}: {row.image or 'not handed over'}: {row.reason}")
    done = sum(bool(row.image) for row in rows)
    advice = f"give fMRIPrep --derivatives getnet={root}" if done else "there is nothing to give to fMRIPrep"
    if rows:
        console.say(f"handed over {done} T1w images of {len(rows)}; {advice}")
    else:
        console.say("no T1w image to hand over: fMRIPrep begins with T1w images; leave --for out")
    return console.SOME_FAILED if done < len(rows) or not rows else console.DONE


def cells_of(row: HandedOver) -> tuple[str, ...]:
    """Return a row of the table."""
    session = f"ses-{row.session}" if row.session else "n/a"
    return f"sub-{row.subject}", session, row.image or "n/a", " ".join(row.reason.split())
