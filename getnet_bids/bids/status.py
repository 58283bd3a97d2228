"""Log the outcome of each image of a run."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
import traceback
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from getnet_bids.columns import STATUS
from getnet_bids.files import write_text

PLANNED, OPTIONS = "planned.tsv", "getnet_bids.toml"
STAMP, FOLDER = "%Y%m%dT%H%M%S", re.compile(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{4}")
"""Format of the start time, and pattern of the name of a run's folder: this time and a random number."""


def planned_before(logs: Path) -> set[str]:
    """Return the images that earlier runs had planned, as paths relative to the raw dataset."""
    found: set[str] = set()
    for file in logs.glob(f"*/{PLANNED}"):
        with contextlib.suppress(OSError):  # a run of an earlier version, or not a file
            found.update(file.read_text(encoding="utf-8", errors="replace").splitlines()[1:])
    return found


class RunLog:
    """A run's folder of logs: ``status.tsv`` with a row per image, written at once; the options; tracebacks.

    Parameters
    ----------
    logs : Path
        The dataset's ``logs`` folder, in which the run's own folder is made.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = RunLog(Path(folder))
    ...     log.add("sub-01/anat/sub-01_T1w.nii.gz", "done", 1.5)
    ...     log.add("sub-02/anat/sub-02_T1w.nii.gz", "failed", reason="truncated")
    ...     print(log.counts, log.exit_code)
    {'done': 1, 'skipped': 0, 'failed': 1} 1
    """

    def __init__(self, logs: Path) -> None:
        self.folder = new_folder(logs)
        self.status = self.folder / "status.tsv"
        self.counts = {"done": 0, "skipped": 0, "failed": 0}
        self.verdicts: dict[str, list[str]] = {}
        self._line(*(column.name for column in STATUS))

    def add_done(self, source: str, seconds: float, verdict: str, reasons: Sequence[str]) -> None:
        """Add an image that is done, with its verdict and the reasons if it is doubtful."""
        self.verdicts.setdefault(verdict, []).append(source)
        self.add(source, "done", seconds, "; ".join(reasons) or None, verdict)

    def add(
        self,
        source: str,
        status: str,
        seconds: float | None = None,
        reason: str | None = None,
        verdict: str | None = None,
    ) -> None:
        """Add an image.

        Parameters
        ----------
        source : str
            Its path in the raw dataset.
        status : {"done", "skipped", "failed"}
        seconds : float, optional
            Time that it took.
        reason : str, optional
            Why it was skipped, failed, or is doubtful.
        verdict : str, optional
            The verdict, if the image is done.
        """
        self.counts[status] += 1
        self._line(source, status, "n/a" if seconds is None else f"{seconds:.2f}", reason or "n/a", verdict or "n/a")

    def crash(self, stem: str, error: BaseException) -> Path:
        """Write the traceback of an unexpected error to a file, and return its path."""
        path = self.folder / f"crash-{stem}.txt"
        self._write(path.name, "".join(traceback.format_exception(error)))
        return path

    def plan(self, sources: Iterable[str]) -> None:
        """Write the list of planned images, so that the group level can tell whether the run was cut short."""
        self._write(PLANNED, "".join(f"{source}\n" for source in ("source", *sources)))

    def write_options(self, text: str) -> None:
        """Write the settings of the run as a configuration file."""
        self._write(OPTIONS, text)

    @property
    def exit_code(self) -> int:
        """0 if no image failed, otherwise 1."""
        return 1 if self.counts["failed"] else 0

    def _write(self, name: str, text: str) -> None:
        """Write a file atomically. If the run is killed, the next run removes the incomplete file."""
        write_text(self.folder / name, text, self.folder.parent)

    def _line(self, *cells: str) -> None:
        line = "\t".join(" ".join(cell.split()) for cell in cells) + "\n"
        try:
            # Names may contain bytes that are not valid text.
            with open(self.status, "a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(line)
        except OSError as error:
            error.filename = str(self.status)  # the error of a full disk does not name the file
            raise


def new_folder(logs: Path) -> Path:
    """Make the folder of a run; if hundreds of tasks start in the same second, each gets its own.

    The names sort in the order of the runs: if the clock was set back, the new name continues from the last one.
    """
    logs.mkdir(parents=True, exist_ok=True)
    last = max((name[:15] for name in os.listdir(logs) if FOLDER.fullmatch(name)), default="")
    while True:
        now = time.strftime(STAMP)
        if now < last:
            now = (datetime.strptime(last, STAMP) + timedelta(seconds=1)).strftime(STAMP)
        folder = logs / f"{now}-{secrets.token_hex(2)}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
