"""Runs of getnet-bids under conditions that a process sets for itself, without loading torch for each of them.

A process that has loaded all that is slow to load, but computed nothing yet, makes the runs by fork.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SCRIPT = """
import ctypes, json, os, resource, sys, time
import getnet_bids.comparison.engine, getnet_bids.run.participant, getnet_bids.run.worker
import getnet_bids.reports.pages, getnet_bids.reports.subject, getnet_bids.weights
from getnet_bids.bids import provenance
from getnet_bids.cli.app import main

def unprivileged():
    # Root without these two capabilities is stopped by permissions as anyone is.
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP: also of programs that are started
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None)
    libc.capget(header, data)
    for i in range(3):
        data[i] &= ~0b110
    libc.capset(header, data)

def child(order):
    code = 70
    try:
        os.setsid()
        os.dup2(os.open(order["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), 2)
        os.dup2(2, 1)
        os.environ.update(order["environment"])
        if order["file_size"]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_size"],) * 2)
        if order["unprivileged"]:
            unprivileged()
        exec(order["before"], globals())
        try:
            code = main(order["arguments"])
        except SystemExit as end:
            code = end.code
    finally:
        sys.stderr.flush()
        os._exit(code)

print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    if "wait" in order:
        print(os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1]), flush=True)
        continue
    pid = os.fork()
    if pid == 0:
        child(order)
    print(pid, flush=True)
"""


@dataclass
class Run:
    """A run that has been started."""

    launcher: Launcher
    pid: int
    file: Path

    def end(self) -> int:
        """Wait for it, and give its exit code."""
        return int(self.launcher.ask({"wait": self.pid}))

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return self.file.read_text(errors="replace")


class Launcher:
    """Starts runs; ``folder`` is for what they print, and ``options`` all of them are given."""

    def __init__(self, folder: Path, *options: object) -> None:
        self.folder = folder
        self.options = [str(option) for option in options]
        self.count = 0
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self.process.stdout.readline() == "ready\n"

    def ask(self, order: dict) -> str:
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def start(
        self,
        *arguments: object,
        environment: dict[str, str] | None = None,
        file_size: int = 0,
        unprivileged: bool = False,
        before: str = "",
        said: str | None = None,
    ) -> Run:
        """Start a run of ``getnet-bids``.

        Parameters
        ----------
        arguments
            Of the command line.
        environment : dict, optional
            Variables to set.
        file_size : int, optional
            No file may grow beyond so many bytes.
        unprivileged : bool
            Permissions count, also for root.
        before : str
            Python that is executed first.
        said : str, optional
            The file for what it prints.
        """
        self.count += 1
        file = Path(said or self.folder / f"said-{self.count}.txt")
        order = {
            "arguments": [*map(str, arguments), *self.options],
            "environment": environment or {},
            "file_size": file_size,
            "unprivileged": unprivileged,
            "before": before,
            "said": str(file),
        }
        return Run(self, int(self.ask(order)), file)

    def run(self, *arguments: object, **conditions: object) -> tuple[int, str]:
        """Start a run and wait for it; return its exit code and what it printed."""
        started = self.start(*arguments, **conditions)
        code = started.end()
        return code, started.said

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
