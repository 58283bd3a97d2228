from __future__ import annotations

import threading
import time

import pytest

from getnet_bids.cli.stream import stream


def collect(outcomes, stop_on_failure=False):
    def report(outcome):
        outcomes.append(outcome)
        return not (stop_on_failure and outcome.error)

    return report


def test_every_job_goes_through_the_three_stages_in_order():
    done, outcomes = [], []
    stream(range(20), lambda x: x + 1, lambda x: x * 10, done.append, collect(outcomes))
    assert done == [10 * (x + 1) for x in range(20)]
    assert [o.job for o in outcomes] == list(range(20))
    assert not any(o.error for o in outcomes)


@pytest.mark.parametrize("stage", ["read", "compute", "write"])
@pytest.mark.parametrize("error", [ValueError("bad"), MemoryError()])
def test_an_error_in_any_stage_ends_its_job_alone(stage, error):
    def stage_of(name):
        def act(x):
            if name == stage and x == 3:
                raise error
            return x

        return act

    outcomes = []
    stream(range(6), stage_of("read"), stage_of("compute"), stage_of("write"), collect(outcomes))
    assert sorted(o.job for o in outcomes) == list(range(6))
    assert [o.job for o in outcomes if o.error] == [3]
    assert next(o.error for o in outcomes if o.error) is error


def test_stopping_at_the_first_failure():
    outcomes = []
    stream(range(50), lambda x: x, lambda x: 1 // (x - 2), lambda x: None, collect(outcomes, stop_on_failure=True))
    assert sorted(o.job for o in outcomes) == [0, 1, 2]


def test_at_most_three_jobs_are_in_memory():
    held, most, lock = 0, 0, threading.Lock()

    def read(x):
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)

    def write(x):
        nonlocal held
        time.sleep(0.01)
        with lock:
            held -= 1

    stream(range(30), read, lambda x: time.sleep(0.001), write, collect([]))
    assert (held, most) == (0, 3)


def test_reading_and_writing_go_on_beside_computing():
    started = time.monotonic()
    stages = [lambda x: time.sleep(0.05)] * 3
    stream(range(10), *stages, collect([]))
    assert time.monotonic() - started < 10 * 3 * 0.05 * 0.7


def test_after_an_interrupt_what_is_being_written_is_finished():
    finished = []

    def compute(x):
        if x == 2:
            raise KeyboardInterrupt
        return x

    def write(x):
        time.sleep(0.05)
        finished.append(x)

    outcomes = []
    with pytest.raises(KeyboardInterrupt):
        stream(range(9), lambda x: x, compute, write, collect(outcomes))
    assert finished == [0, 1]
    assert [o.job for o in outcomes] == [0, 1]


def test_an_error_in_reporting_is_not_lost():
    def report(outcome):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        stream(range(9), lambda x: x, lambda x: x, lambda x: None, report)
