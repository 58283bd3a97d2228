from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from getnet_bids.files import atomic
from getnet_bids.locks import HIDDEN, LOCK, locked, open_held, part_of, remove_abandoned, sweep

HOLD = """
import sys, time
from pathlib import Path
from getnet_bids.locks import open_held
file = open_held(Path(sys.argv[1]), "wb")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def held_elsewhere(tmp_path):
    """Give a part that another process holds, and the process."""
    part = part_of(tmp_path / "a.nii.gz")
    with subprocess.Popen([sys.executable, "-c", HOLD, part], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield part, process
        process.kill()


def test_a_part_in_work_stays_and_one_of_a_killed_process_goes(held_elsewhere, tmp_path):
    part, process = held_elsewhere
    assert sweep(tmp_path) == 0
    assert part.exists()
    process.kill()
    process.wait()
    assert sweep(tmp_path) == 1
    assert not list(tmp_path.iterdir())


def test_an_old_part_that_is_held_stays(held_elsewhere, tmp_path):
    part, _ = held_elsewhere
    os.utime(part, (1, 1))
    assert sweep(tmp_path) == 0


@pytest.mark.parametrize(("age", "removed"), [(0, False), (3600, False), (2 * 86_400, True)])
def test_a_part_of_another_machine_goes_after_a_day(tmp_path, age, removed):
    part = tmp_path / f"{HIDDEN}some-other-0123456789abcdef.part"
    part.touch()
    os.utime(part, (time.time() - age,) * 2)
    assert remove_abandoned(part) is removed


def test_a_sweep_takes_nothing_else(tmp_path):
    (tmp_path / "sub-01" / "anat").mkdir(parents=True)
    others = [".getnet-notes.txt", ".getnet-notes.part", ".getnet-thesis.lock", "a.part", "sub-01/anat/sub-01_T1w.json"]
    for name in others:
        (tmp_path / name).write_text("a user's")
    left = tmp_path / "sub-01" / "anat" / part_of(Path("a")).name
    left.touch()
    assert sweep(tmp_path) == 1
    assert not left.exists()
    assert all((tmp_path / name).exists() for name in others)


def test_a_sweep_while_files_are_written_harms_none(tmp_path):
    done, stop = [], threading.Event()

    def keep_sweeping():
        while not stop.is_set():
            sweep(tmp_path)

    sweeper = threading.Thread(target=keep_sweeping)
    sweeper.start()
    for i in range(300):
        with atomic(tmp_path / f"{i}.txt") as file:
            file.write(b"whole")
        done.append(i)
    stop.set()
    sweeper.join()
    assert all((tmp_path / f"{i}.txt").read_bytes() == b"whole" for i in done)


def test_a_file_with_the_name_of_a_lock_keeps_its_content(tmp_path):
    path = tmp_path / f"{HIDDEN}image.nii.gz{LOCK}"
    path.write_text("a user's")
    with locked(tmp_path / "image.nii.gz"):
        pass
    assert path.read_text() == "a user's"


def test_a_lock_lets_one_in_at_a_time(tmp_path):
    inside, most = 0, 0

    def work():
        nonlocal inside, most
        for _ in range(20):
            with locked(tmp_path / "image.nii.gz"):
                inside += 1
                most = max(most, inside)
                time.sleep(0.0005)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert not list(tmp_path.iterdir())


def test_a_lock_of_a_killed_process_neither_holds_nor_stays(tmp_path):
    path = tmp_path / "image.nii.gz"
    left = tmp_path / f"{HIDDEN}{path.name}{LOCK}"
    command = [sys.executable, "-c", HOLD, left]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        process.kill()
    with locked(path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    with locked(tmp_path / "image.nii.gz"), atomic(tmp_path / "a.txt") as file:
        file.write(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    part = part_of(tmp_path / "b.txt")
    open_held(part, "wb").close()
    assert not remove_abandoned(part)
    os.utime(part, (1, 1))
    assert remove_abandoned(part)
