"""What disks, permissions, clocks and other people do to a run: it says so, loses nothing, and can be run again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from getnet_bids.bids.discovery import find_images
from getnet_bids.core.network import GetNet, GetNetConfig, pack_weights
from getnet_bids.reports.records import RunHistory
from tests.datasets import add, as_scan, describe

from .launcher import Launcher
from .leavings import assert_whole, done_in, results, rows

IMAGES = [f"sub-{i:02}/anat/sub-{i:02}_T1w.nii.gz" for i in range(1, 6)]


@pytest.fixture(scope="module")
def launcher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("launcher")
    (folder / "quick.safetensors").write_bytes(pack_weights(GetNet(GetNetConfig((4, 4, 4, 4), (1, 1, 1, 1)))))
    launcher = Launcher(folder, "--device", "cpu", "--weights", folder / "quick.safetensors")
    yield launcher
    launcher.close()


@pytest.fixture(scope="module")
def original(tmp_path_factory, head, launcher):
    """Return a dataset, and its undisturbed results."""
    raw, out = (tmp_path_factory.mktemp("faults") / name for name in ("raw", "out"))
    for i, relative in enumerate(IMAGES):
        add(raw, relative, image=as_scan(head[::2, ::2, ::2] * (1 + 0.1 * i), 12.0))
    describe(raw)
    assert launcher.run(raw, out, "participant")[0] == 0
    return raw, out


@pytest.fixture
def raw(original, tmp_path):
    """Return a copy of the dataset."""
    return shutil.copytree(original[0], tmp_path / "raw")


@pytest.fixture
def both(original, tmp_path):
    """Return copies of the dataset and of its results."""
    return [shutil.copytree(path, tmp_path / path.name) for path in original]


@pytest.fixture
def disk(tmp_path):
    """Return a function that mounts a disk of some size in memory, or makes it larger."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(size: str, *options: str) -> Path:
        how = ",".join([f"size={size}", *options])
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", how, "tmpfs", place], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"this user cannot mount a disk: {done.stderr.strip()}")
        return place

    yield mount
    while os.path.ismount(place):
        subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture(scope="module")
def permissions(launcher, tmp_path_factory):
    """Skip where a process cannot put off its right to read everything."""
    secret = tmp_path_factory.mktemp("secret") / "file"
    secret.touch(0o000)
    before = f"os._exit(0 if os.access({str(secret)!r}, os.R_OK, effective_ids=True) else 9)"
    if launcher.start(unprivileged=True, before=before).end() != 9:
        pytest.skip("permissions do not stop this user, who cannot change that")


def assert_one_line(said):
    assert said.startswith("getnet-bids: ")
    assert said.count("\n") == 1


def wait_for(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"no {what} in {seconds} s"
        time.sleep(0.01)


def logged(out, count):
    """Return whether some images have their lines."""
    return lambda: any(path.read_text().count("\n") > count for path in out.glob("logs/*/status.tsv"))


def fill(path):
    """Write a file until the disk is full."""
    with open(path, "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


def test_a_disk_that_fills_up(original, launcher, disk):
    raw, whole = original
    size = sum(path.stat().st_size for path in whole.rglob("*") if path.is_file())
    out = disk(f"{size // 2 // 1024}k") / "out"
    code, said = launcher.run(raw, out, "participant")
    assert code == 1
    assert "Traceback" not in said
    assert 0 < len(done_in(out)) < len(IMAGES)
    reasons = {reason.partition(":")[0] for status, reason in rows(out).values() if status == "failed"}
    assert reasons == {"No space left on device"}
    assert_whole(out)
    disk(f"{4 * size // 1024}k", "remount")
    assert launcher.run(raw, out, "participant")[0] == 0
    assert results(out) == results(whole)


def test_a_full_disk(original, launcher, disk):
    place = disk("64k")
    fill(place / "other")
    code, said = launcher.run(original[0], place / "out", "participant")
    assert code == 73
    assert_one_line(said)
    assert "cannot be written to: No space left on device" in said
    assert not [path for path in place.rglob("*") if path.is_file() and path.name != "other"]


def test_messages_that_nobody_can_be_told(original, launcher, tmp_path):
    raw, whole = original
    assert launcher.start(raw, tmp_path / "out", "participant", said="/dev/full").end() == 0
    assert results(tmp_path / "out") == results(whole)


def test_results_that_are_too_large_for_the_file_system(original, launcher, tmp_path):
    raw, whole = original
    largest = max(path.stat().st_size for path in whole.rglob("*desc-preproc_T1w.nii.gz"))
    out = tmp_path / "out"
    code, said = launcher.run(raw, out, "participant", file_size=largest - 200)
    assert code == 1
    assert "Traceback" not in said
    failed = [reason for status, reason in rows(out).values() if status == "failed"]
    assert failed
    assert all(reason.startswith("File too large: ") and ".getnet-" not in reason for reason in failed)
    assert_whole(out)


def test_output_that_is_read_only(both, launcher, permissions, tmp_path):
    raw, out = both
    for folder in (out / "logs", out):
        folder.chmod(0o555)
    for place in (out, out / "new"):
        code, said = launcher.run(raw, place, "participant", unprivileged=True)
        assert code == 73
        assert_one_line(said)
        assert "cannot be written to: Permission denied" in said
    for folder in (out, out / "logs"):
        folder.chmod(0o755)
    (out / "sub-02" / "anat").chmod(0o555)
    code, _ = launcher.run(raw, out, "participant", "--force", unprivileged=True)
    assert code == 1
    states = rows(out)
    assert [source for source, (status, _) in states.items() if status == "failed"] == [IMAGES[1]]
    assert states[IMAGES[1]][1].startswith("Permission denied: ")
    assert ".getnet-" not in states[IMAGES[1]][1]  # a hidden file tells nobody anything
    (out / "sub-02" / "anat").chmod(0o755)
    assert_whole(out)


def test_a_disk_that_is_mounted_read_only(both, launcher, disk):
    raw, out = both
    place = disk("50m")
    shutil.copytree(out, place / "out")
    disk("50m", "remount", "ro")
    code, said = launcher.run(raw, place / "out", "participant")
    assert code == 73
    assert_one_line(said)
    assert "Read-only file system" in said


def test_neither_the_home_nor_the_dataset_need_be_writable(raw, original, launcher, permissions, tmp_path):
    home, whole = tmp_path / "home", original[1]
    for path in [raw, *raw.rglob("*")]:
        path.chmod(0o555)
    home.mkdir(0o555)
    for place in (home, tmp_path / "absent"):
        out = tmp_path / f"out-{place.name}"
        environment = {"HOME": str(place), "XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": "", "MPLCONFIGDIR": ""}
        code, said = launcher.run(raw, out, "participant", environment=environment, unprivileged=True)
        assert (code, "Traceback" in said, "no pictures" in said) == (0, False, False)
        assert results(out) == results(whole)
    assert not list(home.iterdir())


def test_what_may_not_be_read(both, launcher, permissions, tmp_path):
    raw, out = both
    (raw / IMAGES[1]).chmod(0o000)
    (raw / IMAGES[2]).parent.chmod(0o000)
    os.utime(raw / IMAGES[1])  # so that its content would be compared with what was corrected
    code, said = launcher.run(raw, out, "participant", unprivileged=True)
    assert (code, "Traceback" in said) == (1, False)
    states = rows(out)
    folder = os.path.dirname(IMAGES[2])
    assert states[folder] == ("failed", "cannot be read: Permission denied")
    assert states[IMAGES[1]] == (
        "failed",
        f"Permission denied: {raw / IMAGES[1]}; change its permissions, or choose another place",
    )
    assert {states[source][0] for source in (IMAGES[0], *IMAGES[3:])} == {"skipped"}
    assert RunHistory(out).failed().keys() == {folder, IMAGES[1]}

    (raw / IMAGES[1]).chmod(0o644)
    (raw / IMAGES[2]).parent.chmod(0o755)
    assert launcher.run(raw, out, "participant", unprivileged=True)[0] == 0
    assert {status for status, _ in rows(out).values()} == {"skipped"}

    raw.chmod(0o000)
    code, said = launcher.run(raw, out, "participant", unprivileged=True)
    raw.chmod(0o755)
    assert code == 74
    assert_one_line(said)
    for folder in raw.glob("sub-*"):
        folder.chmod(0o000)
    code, said = launcher.run(raw, tmp_path / "new", "participant", unprivileged=True)
    for folder in raw.glob("sub-*"):
        folder.chmod(0o755)
    assert code == 74
    assert "no image can be read; check the permissions" in said.splitlines()[-1]


def test_results_that_may_not_be_read_are_named_by_the_group_level(both, launcher, permissions):
    raw, out = both
    (sidecar,) = out.glob("sub-02/anat/*_desc-preproc_T1w.json")
    sidecar.chmod(0o000)
    code, said = launcher.run(raw, out, "group", unprivileged=True)
    sidecar.chmod(0o644)
    assert code == 1
    assert f"{sidecar.name} may not be read; change its permissions" in said


def test_an_image_that_vanishes_after_it_was_listed(raw, launcher, tmp_path):
    out = tmp_path / "out"
    run = launcher.start(raw, out, "participant")
    wait_for(logged(out, 0), "folder of logs")
    (raw / IMAGES[-1]).unlink()
    assert run.end() == 1
    assert "Traceback" not in run.said
    assert rows(out)[IMAGES[-1]] == ("failed", f"No such file or directory: {raw / IMAGES[-1]}; check the path")
    assert sorted(done_in(out)) == IMAGES[:-1]
    assert_whole(out)


def test_an_output_folder_that_is_deleted_while_it_is_written_to(raw, original, launcher, tmp_path):
    out = tmp_path / "out"
    run = launcher.start(raw, out, "participant")
    wait_for(logged(out, 1), "image")
    while out.exists():
        shutil.rmtree(out, ignore_errors=True)
    assert run.end() == 74
    assert "Traceback" not in run.said
    last = run.said.splitlines()[-1]
    assert last.startswith("getnet-bids: No such file or directory: ")
    assert last.endswith("status.tsv; check the path")
    assert_whole(tmp_path)
    assert launcher.run(raw, out, "participant")[0] == 0
    assert results(out) == results(original[1])


def test_a_clock_that_goes_back(both, launcher):
    raw, out = both
    tomorrow = time.time() + 100_000
    for path in [*raw.rglob("*"), *out.rglob("*")]:
        os.utime(path, (tomorrow, tomorrow))
    first = next((out / "logs").glob("2*"))
    first.rename(first.with_name(f"29991231T235959-{first.name[-4:]}"))
    # Of what was made before the clock went back, nothing is made again unless its image changed ...
    assert launcher.run(raw, out, "participant")[0] == 0
    assert {status for status, _ in rows(out).values()} == {"skipped"}
    # ... and what has changed is, though its time is the earlier one.
    data = bytearray((raw / IMAGES[0]).read_bytes())
    data[len(data) // 2] ^= 0xFF
    (raw / IMAGES[0]).write_bytes(data)
    assert launcher.run(raw, out, "participant")[0] == 1
    assert rows(out)[IMAGES[0]][0] == "failed"
    # The last run has the last word, on the pages as well.
    assert list(RunHistory(out).failed()) == [IMAGES[0]]
    shutil.copy(raw / IMAGES[1], raw / IMAGES[0])
    assert launcher.run(raw, out, "participant")[0] == 0
    assert done_in(out) == [IMAGES[0]]
    assert not RunHistory(out).failed()


def test_ten_thousand_names_that_are_none(raw, launcher, tmp_path):
    strange = [
        "Überblick 1",
        "脳 ä é",
        "a\nb",
        "x" * 200,
        "$(touch pwned)",
        "-rf",
        "T1w",
        "😀_T1w",
        "sub-01_T1w (copy)",
    ]
    here = os.fsencode(raw / "sub-01" / "anat")
    for i in range(10_000):
        name = f"{strange[i % len(strange)]} {i} _T1w.nii.gz".encode()
        with open(os.path.join(here, b"\xff" + name if i % 10 == 0 else name), "wb"):
            pass
    folders = [f"sub-{name}" for name in strange if not name.isalnum()] + ["sub-"]
    for folder in folders:
        (raw / folder / "anat").mkdir(parents=True)
        (raw / folder / "anat" / f"{folder}_T1w.nii.gz").touch()
        (raw / f"{folder} 1").touch()
    started = time.monotonic()
    found = find_images(raw)
    assert time.monotonic() - started < 5
    assert [source.relative for source in found.sources] == IMAGES
    assert len(found.skipped) == 10_000 + len(folders)
    code, said = launcher.run(raw, tmp_path / "out", "participant", "--participant-label", "01")
    assert (code, "Traceback" in said) == (0, False)
    assert "more left out; -v names all" in said
    assert said.count("\n") < 12
    assert list(rows(tmp_path / "out")) == IMAGES[:1]


@pytest.mark.parametrize("options", [[], ["--mem-mb", "100"]])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(raw, launcher, tmp_path, options):
    for relative in (IMAGES[0], IMAGES[1].replace(".nii.gz", ".json"), ".bidsignore"):
        (raw / relative).unlink(missing_ok=True)
        os.mkfifo(raw / relative)
    run = launcher.start(raw, tmp_path / "out", "participant", *options)
    try:
        wait_for(logged(tmp_path / "out", len(IMAGES)), "end")
    except AssertionError:
        os.kill(run.pid, signal.SIGKILL)
        raise
    finally:
        code = run.end()
    assert code == 1
    states = rows(tmp_path / "out")
    assert states[IMAGES[0]] == ("failed", f"not a regular file: {raw / IMAGES[0]}")
    assert {status for status, _ in list(states.values())[1:]} == {"done"}


SLOW = """
def slow(path, quick=provenance.read_bytes):
    if "sub-03" in str(path):
        open({mark!r}, "w").close()
        time.sleep({seconds})
    return quick(path)
provenance.read_bytes = slow
"""


def test_a_read_that_blocks_holds_up_no_other_image(raw, launcher, tmp_path):
    out, mark = tmp_path / "out", tmp_path / "reading"
    run = launcher.start(raw, out, "participant", before=SLOW.format(mark=str(mark), seconds=6))
    wait_for(mark.exists, "slow read")
    wait_for(logged(out, len(IMAGES) - 1), "lines of the other images", 5.5)
    assert run.end() == 0
    assert done_in(out)[-1] == IMAGES[2]
    assert sorted(done_in(out)) == IMAGES


def test_a_signal_ends_a_run_whose_read_blocks(raw, launcher, tmp_path):
    out, mark = tmp_path / "out", tmp_path / "reading"
    run = launcher.start(raw, out, "participant", before=SLOW.format(mark=str(mark), seconds=2))
    wait_for(mark.exists, "slow read")
    os.kill(run.pid, signal.SIGTERM)
    assert run.end() == 128 + signal.SIGTERM
    assert run.said.splitlines()[-1] == "getnet-bids: SIGTERM: stopped; run the same command again to go on"
    assert_whole(out)
    assert launcher.run(raw, out, "participant")[0] == 0
