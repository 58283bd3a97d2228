"""The outcome of each image of a comparison, logged as soon as nipype reports it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

from getnet_bids.bids.metadata import read_object
from getnet_bids.bids.outputs import sidecar
from getnet_bids.bids.provenance import KEY
from getnet_bids.errors import reason_of
from getnet_bids.reports.pages import Pages
from getnet_bids.run.console import Progress, say
from getnet_bids.run.results import verdict_of

from .outputs import is_compared

if TYPE_CHECKING:
    from getnet_bids.bids.discovery import Source
    from getnet_bids.bids.status import RunLog

    from .jobs import CompareJob

LAST_NODE = "sink"
"""Name of the last node of an image."""
INSTANT_NODES = ("inputnode", "outputnode", LAST_NODE)
"""Nodes that take no time, and are not reported."""
STAGES = {
    "getnet": "GetNet",
    "n4": "N4",
    "tissues": "segmentation",
    "metrics": "measures",
    "simulate": "simulated field",
}
"""Descriptions of the stages that nodes begin; other nodes are reported by their names."""


class Watch:
    """Logs each image as soon as its outcome is known; nipype calls it for each node.

    An image is done only when its last node has ended and its results are on disk. It has failed when any of its nodes
    has.

    Parameters
    ----------
    sources : sequence of Source
        All images of the run.
    root : Path
        The derivative dataset.
    log : RunLog
    progress : Progress
    scrap : Path or None
        Folder of intermediate files, if those of an image are to be removed when it is done.
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
        self.running: dict[str, set[str]] = {}
        self.since: dict[str, float] = {}
        self.spent: dict[str, float] = {}
        self.crashes = False

    def begin(self, jobs: Mapping[str, CompareJob]) -> None:
        """Start to watch images, given by the names of their workflows."""
        self.jobs = dict(jobs)
        self.running, self.since, self.spent, self.crashes = {}, {}, {}, False

    def __call__(self, node: Any, status: str) -> None:
        """Log an image whose last node has ended; nipype calls this when a node starts, ends or fails."""
        image = node.fullname.split(".")[1]
        self.count(image, node.fullname, status)
        if (
            status == "start"
            and image in self.jobs
            and node.name not in INSTANT_NODES
            and not node.run_without_submitting
            and not node.name.startswith("_")
        ):
            self.progress.stage(self.jobs[image].source.relative, STAGES.get(node.name, node.name))
        if status == "end" and node.name == LAST_NODE and image in self.jobs:
            job = self.jobs[image]
            if is_compared(job.comparison, job.recipe):
                self.done(self.jobs.pop(image), self.seconds(image))
                if self.scrap is not None:
                    rmtree(self.scrap / image, ignore_errors=True)

    def crashed(self, node: Any, reason: str, file: Path) -> None:
        """Log the image of a node that failed, and name the crash file after the image and the node."""
        image, name = node.fullname.split(".")[1], node.name
        kept = file.rename(file.with_name(f"crash-{image}_{name}.txt"))
        if image in self.jobs:  # the first failure of an image counts as its reason
            job = self.jobs.pop(image)
            self.crashes = True
            reason = reason.removeprefix(f"{job.source.path}: ").removeprefix(f"{job.source.relative}: ")
            self.failed(job.source, self.seconds(image), f"{name}: {reason}; see {kept.name}")

    def end(self, error: Exception | None, stopped: bool) -> None:
        """Log the remaining images when nipype has ended.

        Parameters
        ----------
        error : Exception or None
            Error raised by nipype.
        stopped : bool
            Whether the run was to stop at the first failure; the other images then were not begun or not finished.
        """
        if stopped and self.crashes:
            return
        for image, job in self.jobs.items():
            reason = "nipype ended without a result for it" if error is None else reason_of(error)
            self.failed(job.source, self.seconds(image), reason)
        self.jobs = {}

    def count(self, image: str, node: str, status: str) -> None:
        """Note that a node of an image starts, or that it ends or fails."""
        self.spent[image], self.since[image] = self.seconds(image), time.monotonic()
        running = self.running.setdefault(image, set())
        (running.add if status == "start" else running.discard)(node)

    def seconds(self, image: str) -> float:
        """Return the time in which at least one node of an image ran, since nodes of several images take turns."""
        present = time.monotonic() - self.since[image] if self.running.get(image) else 0.0
        return self.spent.get(image, 0.0) + present

    def done(self, job: CompareJob, seconds: float) -> None:
        """Log an image that is done, with the note on its segmentation."""
        source = job.source
        note = read_object(sidecar(job.comparison.other.corrected)).get(KEY, {}).get("Note")
        verdict, reasons = verdict_of(job.comparison.getnet)
        self.log.add_done(source.relative, seconds, verdict, [*reasons, *([note] if note else [])])
        self.progress.ended(source.relative, seconds)
        if note:
            say(f"{source.relative}: {note}")
        self.pages.ended(source)

    def failed(self, source: Source, seconds: float, reason: str) -> None:
        """Log an image that failed."""
        self.log.add(source.relative, "failed", seconds, reason)
        self.progress.ended(source.relative, seconds, reason)
        self.pages.ended(source)
