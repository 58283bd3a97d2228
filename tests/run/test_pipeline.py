from __future__ import annotations

import signal
import threading
import time

import pytest

from getnet_bids.run.pipeline import stream


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


def test_stopping_at_the_first_failure_ends_what_is_computed_beside_it():
    outcomes, begun, failed = [], threading.Barrier(3), threading.Event()

    def report(outcome):
        outcomes.append(outcome)
        if outcome.error:
            failed.set()
        return not outcome.error

    def compute(x):
        begun.wait(10)
        if x == 0:
            raise ValueError
        failed.wait(10)
        time.sleep(0.1)

    stream(range(50), lambda x: x, compute, lambda x: None, report, compute_workers=3)
    assert sorted(o.job for o in outcomes) == [0, 1, 2]
    assert [o.job for o in outcomes if o.error] == [0]


@pytest.mark.parametrize(("compute_workers", "io_workers"), [(1, 1), (1, 2), (4, 1)])
def test_as_many_jobs_are_in_work_as_told_and_no_more(compute_workers, io_workers):
    counts = {"held": 0, "computing": 0}
    most = dict(counts)
    lock, together = threading.Lock(), {"held": threading.Event(), "computing": threading.Event()}
    wanted = {"held": compute_workers + io_workers, "computing": compute_workers}

    def more(kind, by):
        with lock:
            counts[kind] += by
            most[kind] = max(most[kind], counts[kind])
            if counts[kind] >= wanted[kind]:
                together[kind].set()

    def compute(x):
        more("computing", 1)
        assert together["computing"].wait(10)
        time.sleep(0.001)
        more("computing", -1)

    def write(x):
        assert together["held"].wait(10)
        more("held", -1)

    outcomes = []
    stream(
        range(30),
        lambda x: more("held", 1),
        compute,
        write,
        collect(outcomes),
        compute_workers=compute_workers,
        io_workers=io_workers,
    )
    assert not any(o.error for o in outcomes)
    assert counts == {"held": 0, "computing": 0}
    assert most == wanted


def test_reading_and_writing_go_on_beside_computing():
    meeting = threading.Barrier(3, timeout=10)  # a job in each stage at the same moment
    outcomes = []

    def stage(x):
        meeting.wait()
        return x

    # Job 0 is written while 1 is computed and 2 is read, and so on: the three stages meet three times.
    def read(x):
        return stage(x) if x >= 2 else x

    def compute(x):
        return stage(x) if 1 <= x <= 3 else x

    def write(x):
        stage(x) if x <= 2 else None

    stream(range(5), read, compute, write, collect(outcomes), io_workers=2)
    assert not any(outcome.error for outcome in outcomes)


@pytest.fixture
def interruptible():
    """Have SIGINT interrupt, which a shell's background jobs ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_after_an_interrupt_what_is_being_written_is_finished():
    written, computed, writing = [], [], threading.Event()

    def compute(x):
        if x == 1:
            writing.wait(5)
            time.sleep(0.3)  # by now the main thread waits
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(0.1)
        computed.append(x)
        return x

    def write(x):
        writing.set()
        time.sleep(1)
        written.append(x)

    outcomes = []
    with pytest.raises(KeyboardInterrupt):
        stream(range(9), lambda x: x, compute, write, collect(outcomes))
    assert computed == [0, 1]
    assert written == [0]
    assert [o.job for o in outcomes] == [0]


def test_an_error_in_reporting_is_not_lost():
    def report(outcome):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        stream(range(9), lambda x: x, lambda x: x, lambda x: None, report)
