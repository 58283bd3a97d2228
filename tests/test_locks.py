from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from getnet_bids.files import HIDDEN, LOCK, atomic, has_locks, locked, open_held, part_of, remove_abandoned, sweep

HOLD = """
import sys, time
from pathlib import Path
from getnet_bids.files import open_held
file = open_held(Path(sys.argv[1]), "wb")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def held_elsewhere(tmp_path):
    """Return a part that another process holds, and the process."""
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


@pytest.fixture(params=[37, 38, 95], ids=["ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def no_locks(request, monkeypatch):
    """Let locks fail as NFS without a lock daemon, Lustre without ``-o flock`` and others do."""
    pytest.importorskip("fcntl")

    def refuse(*_, **__):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr("fcntl.flock", refuse)


@pytest.mark.usefixtures("no_locks")
def test_a_file_system_without_locks(tmp_path):
    assert not has_locks(tmp_path)
    with locked(tmp_path / "image.nii.gz"), atomic(tmp_path / "a.txt") as file:
        file.write(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    part = part_of(tmp_path / "b.txt")
    open_held(part, "wb").close()
    assert not remove_abandoned(part)
    os.utime(part, (1, 1))
    assert remove_abandoned(part)


def test_a_file_system_with_locks(tmp_path):
    assert has_locks(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_sweep_of_some_folders_looks_into_no_other(tmp_path, monkeypatch):
    for name in ("sub-01/anat", "sub-02/anat"):
        (tmp_path / name).mkdir(parents=True)
    lefts = [part_of(tmp_path / name / "a") for name in (".", "sub-01/anat", "sub-02/anat")]
    for left in lefts:
        left.touch()
    walked, walk = [], os.walk
    monkeypatch.setattr("os.walk", lambda top: walked.append(Path(top)) or walk(top))
    assert sweep(tmp_path, ["sub-01", "sub-03"]) == 2
    assert walked == [tmp_path / "sub-01", tmp_path / "sub-03"]
    assert [left.exists() for left in lefts] == [False, False, True]


AS_NOBODY = """
import os, sys
from pathlib import Path
from getnet_bids.files import write_text
from getnet_bids.files import locked, sweep
folder = Path(sys.argv[1])
os.umask(0o022)
os.setgid(65534), os.setuid(65534)
with locked(folder / "image.nii.gz"):
    write_text(folder / "image.nii.gz", "whole")
sweep(folder)
"""


@pytest.fixture
def folder():
    """Make a folder that every user reaches, as pytest's own are not, and may write to."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("mode", [0o644, 0o600])
@pytest.mark.parametrize("sticky", [False, True])
def test_another_users_lock_stops_nobody(folder, mode, sticky):
    folder.chmod(0o1777 if sticky else 0o777)
    left = folder / f"{HIDDEN}image.nii.gz{LOCK}"
    left.touch()
    left.chmod(mode)
    done = subprocess.run([sys.executable, "-c", AS_NOBODY, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (folder / "image.nii.gz").read_text() == "whole"
    assert left.exists() == (sticky or mode == 0o600)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be another user")
def test_another_users_folder_is_named_not_the_lock_in_it(folder):
    folder.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", AS_NOBODY, folder], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"PermissionError: [Errno 13] Permission denied: '{folder}'"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be another user")
def test_another_users_lock_that_is_held_is_waited_for(folder):
    left = folder / f"{HIDDEN}image.nii.gz{LOCK}"
    with open_held(left, "ab") as file, subprocess.Popen([sys.executable, "-c", AS_NOBODY, folder]) as process:
        left.chmod(0o644)
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(3)
            assert not (folder / "image.nii.gz").exists()
        finally:
            file.close()
        assert process.wait(60) == 0
    assert (folder / "image.nii.gz").exists()


def test_a_rename_that_a_scanner_is_in_the_way_of_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr("getnet_bids.files.MOVABLE", False)
    replace, calls = os.replace, []

    def busy(source, target):
        calls.append(target)
        if len(calls) < 3:
            raise PermissionError(13, "in use", os.fspath(target))
        replace(source, target)

    monkeypatch.setattr("os.replace", busy)
    with atomic(tmp_path / "a.txt") as file:
        file.write(b"whole")
    assert (tmp_path / "a.txt").read_bytes() == b"whole"
    monkeypatch.setattr("getnet_bids.files.RENAME_WAITS", ())
    calls.clear()
    with pytest.raises(PermissionError, match=r"a\.txt"), atomic(tmp_path / "a.txt") as file:
        file.write(b"other")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_where_open_files_stay_a_part_of_this_machine_goes_after_a_day(tmp_path, monkeypatch):
    monkeypatch.setattr("getnet_bids.files.MOVABLE", False)
    part = part_of(tmp_path / "a")
    part.touch()
    assert not remove_abandoned(part)
    os.utime(part, (1, 1))
    assert remove_abandoned(part)


def test_a_part_can_lie_in_another_folder(tmp_path):
    """Where the next run looks for what a killed one left, as it does not look into the folder of each run."""
    (tmp_path / "run").mkdir()
    with atomic(tmp_path / "run" / "planned.tsv", tmp_path) as file:
        assert len(list(tmp_path.glob(".getnet-*.part"))) == 1
        assert not list((tmp_path / "run").iterdir())
        file.write(b"source\n")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["planned.tsv"]
    assert not list(tmp_path.glob(".getnet-*"))
