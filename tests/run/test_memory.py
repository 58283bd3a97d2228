from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import nibabel as nib
import numpy as np
import pytest

from getnet_bids.run.pipeline import BYTES_PER_VOXEL, ClosedError, MemoryBudget, memory_of, stream


def most_in_work(weights, size):
    """Return the most that was in work at a time, by an account kept outside of `MemoryBudget`, and the outcomes."""
    held, most, lock, outcomes = 0, 0, threading.Lock(), []

    def read(job):
        nonlocal held, most
        with lock:
            held += weights[job]
            most = max(most, held)
        return job

    def write(job):
        nonlocal held
        time.sleep(0.003)
        with lock:
            held -= weights[job]

    def report(outcome):
        outcomes.append(outcome)
        return True

    stream(range(len(weights)), read, lambda job: job, write, report, weights.__getitem__, MemoryBudget(size))
    return most, outcomes


@pytest.mark.parametrize("size", [100, 60, 30])
def test_no_more_is_in_work_than_there_is_room_for(size):
    most, outcomes = most_in_work([30, 20, 10, 30, 25] * 4, size)
    assert most <= size
    assert [outcome.error for outcome in outcomes] == [None] * 20


def test_what_is_too_large_is_done_by_itself():
    most, outcomes = most_in_work([10, 500, 10, 400, 10], 40)
    assert most == 500
    assert len(outcomes) == 5


def test_room_is_given_back_after_failures():
    outcomes = []

    def fail_at(stage):
        def act(job):
            if job % 3 == stage:
                raise ValueError(stage)
            return job

        return act

    def report(outcome):
        outcomes.append(outcome)
        return True

    stream(range(12), fail_at(0), fail_at(1), fail_at(2), report, lambda job: 10, MemoryBudget(10))
    assert sorted(outcome.job for outcome in outcomes) == list(range(12))
    assert all(outcome.error for outcome in outcomes)


def test_an_interrupt_ends_a_reader_that_waits_for_room():
    class Stop(BaseException):
        pass

    def interrupt(job):
        raise Stop

    with pytest.raises(Stop):
        stream(
            range(3),
            lambda job: job,
            interrupt,
            lambda job: None,
            lambda outcome: True,
            lambda job: 10,
            MemoryBudget(10),
        )
    budget = MemoryBudget(10)
    budget.acquire(10)
    budget.close()
    with pytest.raises(ClosedError):
        budget.acquire(10)


def test_the_estimate_is_of_the_header_alone(tmp_path):
    image = nib.Nifti1Image(np.zeros((20, 30, 40, 2), np.int8), np.eye(4))
    image.to_filename(tmp_path / "a.nii.gz")
    assert memory_of(tmp_path / "a.nii.gz") == 20 * 30 * 40 * 2 * BYTES_PER_VOXEL
    (tmp_path / "bad.nii.gz").write_bytes(b"nothing")
    assert memory_of(tmp_path / "bad.nii.gz") == memory_of(tmp_path / "absent.nii.gz") == 0


def test_a_name_that_is_no_text_in_the_locale(make_dataset, tmp_path):
    """Where indexed_gzip is installed, nibabel's way of opening such a file ends the process."""
    raw = make_dataset("sub-01/anat/sub-01_T1w.nii.gz", root="r\u00e4w")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    code = "import sys; from getnet_bids.cli.app import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, raw, tmp_path / "\u00f6ut", "participant", "--device", "cpu", "--no-refine"]
    done = subprocess.run(command, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "\u00f6ut/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz").is_file()
