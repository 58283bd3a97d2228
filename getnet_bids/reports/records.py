"""Records of the images of a derivative dataset, from sidecars and from the logs of all runs."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard

from getnet_bids.bids.discovery import Source, entries
from getnet_bids.bids.metadata import read_object
from getnet_bids.bids.names import DATATYPES, Name
from getnet_bids.bids.outputs import REFERENCES
from getnet_bids.bids.provenance import KEY
from getnet_bids.core import VERDICTS

DESCS = ("preproc", "simulatedGetNet")
"""The ``desc`` of images corrected by GetNet; the second is for images that were shaded first."""
RAW = "bids:raw:"
SERIES_OF = {reference: series for series, reference in REFERENCES.items()}
"""The suffix of a series for the suffix of its mean."""


@dataclass(frozen=True)
class Record:
    """A corrected image as described by its sidecar.

    Parameters
    ----------
    source : str
        Path of the raw image in its dataset.
    name : Name
        Name of the raw image.
    desc : str
        Value of the ``desc`` entity of the corrected image.
    folder : str
        Folder of the results in the derivative dataset.
    made : dict
        The sidecar's entry on provenance, which may contain anything.
    averaged : bool
        Whether the corrected image is the mean of a series, written in its place.
    """

    source: str
    name: Name
    desc: str
    folder: str
    made: dict[str, Any]
    averaged: bool = False

    @property
    def session(self) -> str | None:
        """Its label."""
        return self.name.entities.get("ses")

    @property
    def corrected(self) -> Name:
        """The corrected image's name."""
        return self.name.derived(REFERENCES[self.name.suffix] if self.averaged else None, desc=self.desc)

    @property
    def field(self) -> Name:
        """The field's name: that of its set, if images share the field."""
        sizes = self.made.get("Outputs")
        for file in sizes if isinstance(sizes, dict) else ():
            if str(file).endswith(("_biasfield.nii", "_biasfield.nii.gz")) and "_stat-" not in str(file):
                try:
                    return Name.parse(Path(str(file)).name)
                except ValueError:
                    break
        return self.name.derived("biasfield", mod=self.name.suffix, desc=self.desc)

    @property
    def metrics(self) -> Name:
        """The name of a comparison's table."""
        return self.name.derived("metrics", ".tsv", mod=self.name.suffix, desc="inu")

    @property
    def measures(self) -> dict[str, float]:
        """The measures that are numbers."""
        measures = self.made.get("Measures")
        return {k: float(v) for k, v in measures.items() if is_number(v)} if isinstance(measures, dict) else {}

    @property
    def seconds(self) -> float | None:
        """Time of the computation."""
        value = self.made.get("Seconds")
        return float(value) if is_number(value) else None

    @property
    def verdict(self) -> str:
        """The verdict on the result; n/a for results of earlier versions."""
        found = self.made.get("Verdict")
        return found if found in VERDICTS else "n/a"

    @property
    def remarks(self) -> list[str]:
        """The reasons why the result is doubtful."""
        found = self.made.get("Reasons", self.made.get("Remarks"))
        return [str(remark) for remark in found] if isinstance(found, list) else []


def subjects_of(output_dir: Path) -> list[str]:
    """List the subjects' folders."""
    return [entry for entry in entries(output_dir) if entry.startswith("sub-") and not entry.endswith(".html")]


def image_folders(output_dir: Path, subject: str) -> list[str]:
    """List the folders for a subject's images, as paths from the root; those outside sessions first."""
    sessions = [entry for entry in entries(output_dir / subject) if entry.startswith("ses-")]
    return [f"{folder}/{kind}" for folder in (subject, *(f"{subject}/{ses}" for ses in sessions)) for kind in DATATYPES]


def records_of(output_dir: Path, subject: str) -> Iterator[Record]:
    """Read a subject's records in the order of session and name.

    Parameters
    ----------
    output_dir : Path
        The derivative dataset.
    subject : str
        Folder of the subject, with ``sub-``.

    Yields
    ------
    Record
    """
    for folder in image_folders(output_dir, subject):
        files = entries(output_dir / folder)
        for file in files:
            if file.endswith(".json") and any(f"_desc-{desc}_" in file for desc in DESCS):
                record = read_record(output_dir, folder, file)
                # A series that was corrected both as a whole and as its mean has only one record.
                whole = record is not None and str(record.name.derived(extension=".json", desc=record.desc))
                if record is not None and not (record.averaged and whole in files):
                    yield record


def sidecars_of(output_dir: Path, source: Source, desc: str) -> list[Path]:
    """Return the paths that the sidecar of an image's result may have; a series may have a result for its mean only."""
    folder = (output_dir / source.relative).parent
    suffixes = dict.fromkeys((None, REFERENCES.get(source.name.suffix)))
    return [folder / str(source.name.derived(suffix, ".json", desc=desc)) for suffix in suffixes]


def all_records(output_dir: Path) -> Iterator[Record]:
    """Read the records of all subjects."""
    for subject in subjects_of(output_dir):
        yield from records_of(output_dir, subject)


def read_record(output_dir: Path, folder: str, file: str) -> Record | None:
    """Read a corrected image's sidecar; None if it is not one of ours."""
    try:
        derived = Name.parse(file)
    except ValueError:
        return None
    if derived.suffix == "biasfield" or "sub" not in derived.entities:
        return None
    content = read_object(output_dir / folder / file)
    made, sources = content.get(KEY), content.get("Sources")
    if not isinstance(made, dict):
        return None
    raw = {key: value for key, value in derived.entities.items() if key != "desc"}
    averaged = SERIES_OF.get(derived.suffix)
    name = Name(raw, averaged or derived.suffix, ".nii.gz")
    listed = [s for s in sources if isinstance(s, str) and s.startswith(RAW)] if isinstance(sources, list) else []
    source = listed[0].removeprefix(RAW) if listed else f"{folder}/{name}"
    return Record(source, name, derived.entities["desc"], folder, made, averaged is not None)


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether a value from a file is a finite number.

    Examples
    --------
    >>> is_number(1.5), is_number(True), is_number("1"), is_number(float("nan"))
    (True, False, False, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a TSV file; return an empty list if it does not exist or is not valid."""
    try:
        with open(path, newline="", encoding="utf-8", errors="replace") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, csv.Error):
        return []
    return [{key: value or "n/a" for key, value in row.items() if key} for row in rows]


def value_of(text: str | None) -> float | None:
    """Read a number from a table."""
    try:
        return float(text) if text not in (None, "n/a") else None
    except ValueError:
        return None


def anchor(source: str) -> str:
    """Return the HTML anchor of an image on its subject's page.

    Examples
    --------
    >>> anchor("sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz")
    'sub-01_ses-a_T1w'
    """
    return re.sub("[^A-Za-z0-9_+-]", "-", Path(source).name.partition(".")[0])


def by_subject(sources: Iterable[Source]) -> dict[str, list[Source]]:
    """Group images by subject, including ``sub-``."""
    subjects: dict[str, list[Source]] = {}
    for source in sources:
        subjects.setdefault(subject_of(source), []).append(source)
    return subjects


def subject_of(source: Source) -> str:
    """Return the folder of an image's subject."""
    return source.relative.partition("/")[0]


@dataclass(frozen=True)
class Entry:
    """The outcome of an image in a run.

    Parameters
    ----------
    run : str
        The folder of the run in ``logs``.
    status, reason : str
        As in ``status.tsv``.
    """

    run: str
    status: str
    reason: str


class RunHistory:
    """Reads the ``status.tsv`` of each run; later only the rows added since.

    Parameters
    ----------
    output_dir : Path
        The derivative dataset.

    Examples
    --------
    >>> import tempfile
    >>> from getnet_bids.bids.status import RunLog
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log, history = RunLog(Path(folder, "logs")), RunHistory(Path(folder))
    ...     log.add("sub-01/anat/sub-01_T1w.nii.gz", "failed", reason="truncated")
    ...     history.of("sub-01")["sub-01/anat/sub-01_T1w.nii.gz"].reason
    'truncated'
    """

    def __init__(self, output_dir: Path) -> None:
        self.logs = output_dir / "logs"
        self._read: dict[str, int] = {}
        self._subjects: dict[str, dict[str, Entry]] = {}

    def of(self, subject: str) -> dict[str, Entry]:
        """Return the last outcome of each image of a subject (with ``sub-``).

        A run that skipped the image counts only if an earlier one had failed: then the result is whole again.
        """
        self._update()
        return self._subjects.get(subject, {})

    def subjects(self) -> list[str]:
        """List the subjects in the logs."""
        self._update()
        return sorted(subject for subject in self._subjects if subject.startswith("sub-"))

    def failed(self) -> dict[str, Entry]:
        """Return all images whose last outcome is a failure."""
        self._update()
        every = (item for images in self._subjects.values() for item in images.items())
        return {source: entry for source, entry in every if entry.status == "failed"}

    def _update(self) -> None:
        for run in entries(self.logs):
            try:
                with open(self.logs / run / "status.tsv", "rb") as file:
                    file.seek(self._read.get(run, 0))
                    added = file.read()
            except OSError:
                continue  # a file rather than a folder, or a run that has written nothing yet
            whole = added[: added.rfind(b"\n") + 1]
            self._read[run] = self._read.get(run, 0) + len(whole)
            for line in whole.decode(errors="replace").splitlines():
                source, status, _, reason = [*line.split("\t"), "", "", ""][:4]
                known = self._subjects.setdefault(source.partition("/")[0], {})
                for folder in PurePosixPath(source).parents:
                    known.pop(str(folder), None)  # a folder that could not be read at that time
                earlier = known.get(source)
                recovered = earlier is not None and earlier.status == "failed"
                if earlier is None or (run >= earlier.run and (status != "skipped" or recovered)):
                    known[source] = Entry(run, status, "" if reason == "n/a" else reason)
