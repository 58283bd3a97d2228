"""A run that is ended, or loses a worker, leaves no process and does not hang."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.datasets import status

from .conftest import COMMON, ONE

pytestmark = pytest.mark.usefixtures("antspyx")


def children(pid):
    """Return all processes below one."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        own = [int(child) for child in file.read().split()]
    return own + [below for child in own for below in children(child)]


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def running(raw, tmp_path):
    """Start a run whose worker is at work; return it and all its processes."""
    if not os.path.exists("/proc/self/task"):
        pytest.skip("needs Linux's /proc")
    command = [sys.executable, "-m", "getnet_bids.cli.app", raw, tmp_path / "out", *COMMON, "-w", tmp_path / "work"]
    command += ["--participant-label", "01", "-m", "T1w", "--segmentation", "none"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 120
    while not list((tmp_path / "work").glob("*/*/*/*/_inputs.pklz")) and time.monotonic() < limit:
        time.sleep(0.05)
    below = children(process.pid)
    yield process, below
    for pid in [process.pid, *below]:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


def all_end(pids, seconds=60):
    limit = time.monotonic() + seconds
    while any(alive(pid) for pid in pids) and time.monotonic() < limit:
        time.sleep(0.1)
    return not any(alive(pid) for pid in pids)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.slow
def test_a_run_that_is_ended_leaves_no_process(running, number):
    process, below = running
    assert len(below) >= 2
    process.send_signal(number)
    assert all_end([process.pid, *below])
    if number == signal.SIGTERM:
        assert process.wait() == 128 + number
        assert process.stderr.read().splitlines()[-1].startswith("getnet-bids: SIGTERM: stopped")


@pytest.mark.slow
def test_a_worker_that_is_killed_is_an_error_not_a_hang(running, tmp_path):
    process, below = running
    os.kill(below[-1], signal.SIGKILL)
    assert process.wait(timeout=300) == 1
    assert "a worker process was killed" in status(tmp_path / "out")[ONE]["reason"]
