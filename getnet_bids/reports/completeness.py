"""Completeness of a derivative dataset: images whose results are missing, damaged or of another algorithm."""

from __future__ import annotations

import os
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from getnet_bids.bids.dataset import GROUP_PAGE
from getnet_bids.bids.discovery import entries, not_fetched
from getnet_bids.bids.names import NIFTI, expand, suffix_of
from getnet_bids.bids.provenance import size_of
from getnet_bids.bids.status import OPTIONS, planned_before
from getnet_bids.core import ALGORITHM, DOUBTFUL

from .records import DESCS, SERIES_OF, Record, RunHistory, image_folders, read_record, records_of, subjects_of

NOT_FETCHED = "not fetched; run `datalad get` on the derivative dataset"
RUN_AGAIN = "run the participant level again"
ALIKE = "fields differ by 2e-4 to 4e-4; --precision float32 avoids this"
MAX_NAMED = 20
"""Largest number of subjects that a message names."""


@dataclass
class Completeness:
    """The number of images with results, and the reasons why others have none.

    Parameters
    ----------
    expected : set of str
        Images that a run had planned or that have a result, by their paths in the raw dataset.
    missing : dict of str
        Images without a complete result, and the reasons.
    untouched : list of str
        Further images of the raw dataset, which were in no run, with suffixes for which a run was asked.
    precisions : Counter
        Number of results for each precision of the network.
    doubtful : int
        Number of results whose verdict is ``doubtful``.
    """

    expected: set[str] = field(default_factory=set)
    missing: dict[str, str] = field(default_factory=dict)
    untouched: list[str] = field(default_factory=list)
    precisions: Counter[str] = field(default_factory=Counter)
    doubtful: int = 0

    @property
    def summary(self) -> str:
        """Description of how many images have results.

        Examples
        --------
        >>> Completeness({"sub-01/anat/sub-01_T1w.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz"}, {}).summary
        'results of all 2 images'
        >>> Completeness({"a", "b", "c"}, {"c": "gone"}, ["d"]).summary
        'results of 2 of 4 images'
        """
        total = len(self.expected) + len(self.untouched)
        done = len(self.expected) - len(self.missing)
        results = f"results of all {total} images" if done == total else f"results of {done} of {counted(total)}"
        return f"{results}; {self.doubtful} doubtful" if self.doubtful else results

    @property
    def lines(self) -> list[str]:
        """A line for each subject and reason, one for images that were in no run, and one for mixed precisions."""
        groups: dict[tuple[str, str], list[str]] = {}
        for source, reason in sorted(self.missing.items()):
            groups.setdefault((source.partition("/")[0], reason), []).append(Path(source).name)
        said = []
        for i, ((subject, reason), images) in enumerate(groups.items()):
            if i == MAX_NAMED:
                said.append(f"... and {len(groups) - MAX_NAMED} more; {GROUP_PAGE} lists all")
                break
            what = images[0] if len(images) == 1 else counted(len(images))
            said.append(f"{subject}: {what}: {reason}")
        if self.untouched:
            subjects = sorted({source.partition("/")[0] for source in self.untouched})
            some = ", ".join(subjects[:5]) + (", ..." if len(subjects) > 5 else "")
            said.append(f"in no run yet: {counted(len(self.untouched))} of {some}; {RUN_AGAIN} to add them")
        if len(self.precisions) > 1:
            counts = ", ".join(f"{counted(number)} in {name}" for name, number in sorted(self.precisions.items()))
            said.append(f"the network ran in two precisions: {counts}; {ALIKE}")
        return said


def counted(number: int) -> str:
    """Format a number of images, as in "2 images"."""
    return "1 image" if number == 1 else f"{number} images"


def completeness(output_dir: Path, raw: Path, found: Collection[str] = ()) -> Completeness:
    """Compare the results in a derivative dataset with the plans of its runs.

    Parameters
    ----------
    output_dir : Path
        The derivative dataset.
    raw : Path
        The raw dataset; images that are no longer in it do not count as missing.
    found : collection of str
        Images in the raw dataset, as paths from its root.

    Returns
    -------
    Completeness
    """
    history = RunHistory(output_dir)
    result = Completeness()
    suffixes = suffixes_asked(output_dir)
    for subject in subjects_of(output_dir):
        for record in records_of(output_dir, subject):
            result.expected.add(record.source)
            suffixes.add(record.name.suffix)
            result.doubtful += record.verdict == DOUBTFUL
            if isinstance(precision := record.made.get("Precision"), str):
                result.precisions[precision] += 1
            if reason := defect_of(output_dir, record):
                result.missing[record.source] = reason
        for stem, reason in broken_sidecars(output_dir, subject):
            source = next((stem + end for end in NIFTI if os.path.lexists(raw / (stem + end))), stem + NIFTI[0])
            result.expected.add(source)
            result.missing[source] = reason
    for source, entry in history.failed().items():
        if os.path.lexists(raw / source):
            result.expected.add(source)
            result.missing[source] = f"failed: {entry.reason or 'see the logs'}"
    for source, cut in logged(output_dir, history).items():
        if source not in result.expected and os.path.lexists(raw / source):
            result.expected.add(source)
            result.missing[source] = (
                f"the run was cut short; {RUN_AGAIN}" if cut else f"its results are gone; {RUN_AGAIN}"
            )
    suffixes |= {suffix_of(Path(source).name) for source in result.expected}
    result.untouched = sorted(
        source for source in found if source not in result.expected and suffix_of(Path(source).name) in suffixes
    )
    return result


def suffixes_asked(output_dir: Path) -> set[str]:
    """Return the suffixes for which any run was asked, by the options that are kept in ``logs``."""
    logs = output_dir / "logs"
    asked: set[str] = set()
    for run in entries(logs):
        try:
            text = (logs / run / OPTIONS).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # a file, or a run that has just begun
        asked.update(line for line in text.splitlines() if line.startswith("modalities = "))
    suffixes: set[str] = set()
    for line in asked:
        try:
            suffixes.update(expand(tuple(map(str, tomllib.loads(line)["modalities"]))))
        except (tomllib.TOMLDecodeError, TypeError):
            continue  # an edited file
    return suffixes


def defect_of(output_dir: Path, record: Record) -> str | None:
    """Return the reason why the files of a result do not match its sidecar, or None."""
    algorithm = record.made.get("Algorithm")
    if algorithm != ALGORITHM:
        return (
            f"of another algorithm ({algorithm}; this is {ALGORITHM}); {RUN_AGAIN}, or run the group level with "
            "that version"
        )
    sizes = record.made.get("Outputs")
    for name, size in sizes.items() if isinstance(sizes, dict) else ():
        path = output_dir / record.folder / Path(str(name)).name
        if not_fetched(path):
            return NOT_FETCHED
        now = size_of(path)
        if now != size:
            return (
                f"{path.name} is missing; {RUN_AGAIN}"
                if now is None
                else f"{path.name} was changed or cut; move it if it is yours, and {RUN_AGAIN}"
            )
    return None


def broken_sidecars(output_dir: Path, subject: str) -> Iterator[tuple[str, str]]:
    """Find images whose sidecar is missing or cannot be read; yield the raw image, without extension, and why."""
    for folder in image_folders(output_dir, subject):
        files = [file for file in entries(output_dir / folder) if file.endswith((".json", *NIFTI))]
        stems = {file.partition(".")[0] for file in files if any(f"_desc-{desc}_" in file for desc in DESCS)}
        for stem in sorted(stem for stem in stems if not stem.endswith("_biasfield")):
            if read_record(output_dir, folder, f"{stem}.json") is not None:
                continue
            desc = next(desc for desc in DESCS if f"_desc-{desc}_" in stem)
            name, _, suffix = stem.replace(f"_desc-{desc}", "").rpartition("_")
            source = f"{folder}/{name}_{SERIES_OF.get(suffix, suffix)}"
            path = output_dir / folder / f"{stem}.json"
            if not_fetched(path):
                yield source, NOT_FETCHED
            elif path.exists() and not os.access(path, os.R_OK):
                yield source, f"{path.name} may not be read; change its permissions"
            else:
                yield source, f"{path.name} is missing, or is not a sidecar of getnet_bids; {RUN_AGAIN}"


def logged(output_dir: Path, history: RunHistory) -> dict[str, bool]:
    """Return the images that runs had planned, and whether the last run ended before it reached them."""
    images = dict.fromkeys(planned_before(output_dir / "logs"), True)
    for subject in {source.partition("/")[0] for source in images} | set(history.subjects()):
        images |= {source: False for source, entry in history.of(subject).items() if entry.status != "failed"}
    return images
