"""What the logs of all runs say of each image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from getnet_bids.bids.discovery import entries


@dataclass(frozen=True)
class Entry:
    """What became of an image in a run.

    Parameters
    ----------
    run : str
        The folder of the run under ``logs``.
    status, reason : str
        As ``status.tsv`` has them.
    """

    run: str
    status: str
    reason: str


class Journal:
    """Reads each run's ``status.tsv``, later only what has been added since.

    Parameters
    ----------
    output_dir : Path
        The derivative dataset.

    Examples
    --------
    >>> import tempfile
    >>> from getnet_bids.bids.status import RunLog
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log, journal = RunLog(Path(folder, "logs")), Journal(Path(folder))
    ...     log.add("sub-01/anat/sub-01_T1w.nii.gz", "failed", reason="truncated")
    ...     journal.of("sub-01")["sub-01/anat/sub-01_T1w.nii.gz"].reason
    'truncated'
    """

    def __init__(self, output_dir: Path) -> None:
        self.logs = output_dir / "logs"
        self._read: dict[str, int] = {}
        self._subjects: dict[str, dict[str, Entry]] = {}

    def of(self, subject: str) -> dict[str, Entry]:
        """Give the last word on each image of a subject, ``sub-`` included: that it was skipped changes nothing."""
        self._update()
        return self._subjects.get(subject, {})

    def failed(self) -> dict[str, Entry]:
        """Give all images on which the last word is that they failed."""
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
                continue  # a file, or a run that has written nothing yet
            whole = added[: added.rfind(b"\n") + 1]
            self._read[run] = self._read.get(run, 0) + len(whole)
            for line in whole.decode(errors="replace").splitlines():
                source, status, _, reason = [*line.split("\t"), "", "", ""][:4]
                known = self._subjects.setdefault(source.partition("/")[0], {})
                for folder in PurePosixPath(source).parents:
                    known.pop(str(folder), None)  # that could not be looked into once
                earlier = known.get(source)
                if earlier is None or (status != "skipped" and run >= earlier.run):
                    known[source] = Entry(run, status, "" if reason == "n/a" else reason)
