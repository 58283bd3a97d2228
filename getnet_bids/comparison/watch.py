"""What becomes of each image while nipype runs the nodes of many."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

from getnet_bids.bids.metadata import read_object
from getnet_bids.bids.outputs import sidecar
from getnet_bids.bids.provenance import KEY
from getnet_bids.bids.status import RunLog
from getnet_bids.errors import reason_of
from getnet_bids.reports.pages import Pages
from getnet_bids.run.console import Progress, say

from .outputs import is_compared

if TYPE_CHECKING:
    from getnet_bids.bids.discovery import Source

    from .jobs import CompareJob

LAST = "sink"
"""Name of the node after which an image is done."""


class Watch:
    """Told by nipype of each node, it logs each image as soon as its end is known.

    An image is done when its last node has ended and its results lie on disk; nothing else counts. It failed when
    any node did.

    Parameters
    ----------
    sources : sequence of Source
        All images of the run.
    root : Path
        The derivative dataset.
    log : RunLog
    progress : Progress
    scrap : Path or None
        Folder of the images' intermediate files, if those of an image are to go once it is done.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        root: Path,
        log: RunLog,
        progress: Progress,
        scrap: Path | None,
    ) -> None:
        self.log, self.progress, self.scrap = log, progress, scrap
        self.pages = Pages(root, sources)
        self.jobs: dict[str, CompareJob] = {}
        self.started: dict[str, float] = {}
        self.crashes = False

    def begin(self, jobs: Mapping[str, CompareJob]) -> None:
        """Take on some images, by the names of their workflows."""
        self.jobs = dict(jobs)
        self.started, self.crashes = {}, False

    def __call__(self, node: Any, status: str) -> None:
        """Take notice of a node that starts, ends or has failed."""
        image = node.fullname.split(".")[1]
        self.started.setdefault(image, time.monotonic())
        if status == "end" and node.name == LAST and image in self.jobs:
            job = self.jobs[image]
            if is_compared(job.comparison, job.recipe):
                self.done(self.jobs.pop(image), self.seconds(image))
                if self.scrap is not None:
                    rmtree(self.scrap / image, ignore_errors=True)

    def crashed(self, node: Any, reason: str, file: Path) -> None:
        """Log the image of a node that failed, and give the crash file a name that tells of both."""
        image, name = node.fullname.split(".")[1], node.name
        kept = file.rename(file.with_name(f"crash-{image}_{name}.txt"))
        if image in self.jobs:  # the first failure of an image is its reason
            job = self.jobs.pop(image)
            self.crashes = True
            reason = reason.removeprefix(f"{job.source.path}: ").removeprefix(f"{job.source.relative}: ")
            self.failed(job.source, self.seconds(image), f"{name}: {reason}; see {kept.name}")

    def end(self, error: Exception | None, stopped: bool) -> None:
        """Log what is left when nipype has ended.

        Parameters
        ----------
        error : Exception or None
            Of nipype.
        stopped : bool
            Whether it was to stop at the first image that fails: then the others were not begun, or not ended.
        """
        if stopped and self.crashes:
            return
        for image, job in self.jobs.items():
            reason = "nipype ended without a result of it" if error is None else reason_of(error)
            self.failed(job.source, self.seconds(image), reason)
        self.jobs = {}

    def seconds(self, image: str) -> float:
        """Give the time since an image's first node began."""
        return time.monotonic() - self.started.get(image, time.monotonic())

    def done(self, job: CompareJob, seconds: float) -> None:
        """Log an image that is done, and what a reader should know of it."""
        source = job.source
        note = read_object(sidecar(job.comparison.other.corrected)).get(KEY, {}).get("Note")
        self.log.add(source.relative, "done", seconds, note)
        self.progress.ended(source.relative, seconds)
        if note:
            say(f"{source.relative}: {note}")
        self.pages.ended(source)

    def failed(self, source: Source, seconds: float, reason: str) -> None:
        """Log an image that failed."""
        self.log.add(source.relative, "failed", seconds, reason)
        self.progress.ended(source.relative, seconds, reason)
        self.pages.ended(source)
