"""Runs that are killed or run beside each other: what is left is what an undisturbed run leaves."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from getnet_bids.files import hash_file
from tests.datasets import add, as_scan, describe

pytestmark = pytest.mark.slow

IMAGES = [f"sub-{i:02}/anat/sub-{i:02}_T1w.nii.gz" for i in range(1, 4)]

# A process that has loaded all that is slow to load, but computed nothing yet, makes the runs by fork.
FORK = """
import os, signal, sys, time
import getnet_bids.run.worker, getnet_bids.weights
from pathlib import Path
from getnet_bids.cli.app import main

raw, out = Path(sys.argv[1]), Path(sys.argv[2])

def start(*options):
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            code = main([str(raw), str(out), "participant", "--device", "cpu", *options])
        finally:
            os._exit(code)
    return pid

def end(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def hidden():
    return [path for path in out.rglob(".getnet-*")]
"""

KILLED = """
started = time.monotonic()
codes = [end(start("--force"))]
whole = time.monotonic() - started
left = 0
for i in range(10):
    pid = start("--force")
    begun = time.monotonic()
    # five times after some part of a whole run, five times while a file is being written
    while time.monotonic() - begun < (whole * (i + 1) / 12 if i % 2 else whole) and (i % 2 or not hidden()):
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    codes.append(end(pid))
    left += bool(hidden())
codes.append(end(start()))
print(codes[0], codes[1:-1].count(-signal.SIGKILL), codes[-1], left, len(hidden()))
"""

TOGETHER = """
pids = [start(), start("--no-refine")]
print([end(pid) for pid in pids], len(hidden()))
"""


def run(script, *arguments):
    """Run a script after `FORK`; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", FORK + script, *map(str, arguments)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def results(out):
    """Return what is left of a run: a hash of each image, and each sidecar without what tells of that run alone."""
    found = {}
    for path in sorted(out.glob("sub-*/**/anat/*")):
        if path.suffix == ".json":
            content = json.loads(path.read_text())
            content["GetNet"].pop("Seconds")
            content["GetNet"].pop("Device")  # with its threads, which are more where only one image is left to do
            found[path.name] = json.dumps(content, sort_keys=True)
        else:
            found[path.name] = hash_file(path)
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, head):
    """Return a dataset, and the results of whole runs with and without refinement."""
    raw = tmp_path_factory.mktemp("killed") / "raw"
    for i, relative in enumerate(IMAGES):
        add(raw, relative, image=as_scan(head * (1 + 0.1 * i)))
    describe(raw)
    references = []
    for options in ("", "'--no-refine'"):
        out = raw.parent / f"whole{len(references)}"
        assert run(f"print(end(start({options})))", raw, out) == ["0"]
        references.append(results(out))
    assert len(references[0]) == 4 * len(IMAGES)
    return raw, *references


def test_kill_at_ten_moments(undisturbed, tmp_path):
    raw, expected, _ = undisturbed
    printed = run(KILLED, raw, tmp_path / "out")[-1]
    first, killed, last, left, hidden = map(int, printed.split())
    assert (first, last, hidden) == (0, 0, 0)
    assert killed >= 8  # one that was over before its time was not
    assert left >= 3  # or nothing would have been cleaned up
    assert results(tmp_path / "out") == expected


def test_runs_at_once(undisturbed, tmp_path):
    raw, refined, plain = undisturbed
    out = tmp_path / "out"
    assert run(TOGETHER, raw, out) == ["[0, 0] 0"]
    left = results(out)
    assert left.keys() == refined.keys()
    for image in IMAGES:  # whichever run had the last word, all files of an image are from the same
        files = [name for name in left if name.startswith(image.split("/")[0])]
        assert any(all(left[name] == whole[name] for name in files) for whole in (refined, plain))
    assert run("print(end(start()))", raw, out) == ["0"]
    assert results(out) == refined
