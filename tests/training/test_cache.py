"""The cache: made once, checked, duplicates and unreadable files left out, sources untouched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from getnet_bids.files import ABANDONED_AFTER
from getnet_bids.training import photographs as module
from getnet_bids.training.photographs import open_cache, photographs
from getnet_bids.training.sources import MedicalImageError

from .conftest import jpeg, scene


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    for i in range(5):
        (data / f"{i}.jpg").write_bytes(jpeg(scene(i)))
    return data


def the_cache(caches: Path) -> Path:
    (cache,) = caches.iterdir()
    return cache


def test_made_once(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = photographs([data], tmp_path / "caches")
    monkeypatch.setattr(module, "build_cache", lambda *_: pytest.fail("made again"))
    second = photographs([data], tmp_path / "caches")
    assert len(first) == len(second) == 5
    assert all(np.array_equal(first[i], second[i]) for i in range(5))


def test_duplicates_and_unreadable(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (data / "again.jpg").write_bytes((data / "0.jpg").read_bytes())
    (data / "broken.jpg").write_bytes((data / "1.jpg").read_bytes()[:3000])
    photos = photographs([data], tmp_path / "caches")
    assert len(photos) == 5
    assert (photos.facts["duplicates"], photos.facts["skipped"]) == (1, 1)
    assert f"skipped {data / 'broken.jpg'}: " in "".join(capsys.readouterr())


def test_only_unreadable(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "0.jpg").write_bytes(b"x")
    with pytest.raises(ValueError, match="none of the 1 photographs could be read"):
        photographs([tmp_path / "data"], tmp_path / "caches")
    assert list((tmp_path / "caches").iterdir()) == []


def test_16_bits_are_refused_and_leave_no_cache(data: Path, tmp_path: Path) -> None:
    Image.fromarray(scene(0).astype(np.uint16)).save(data / "slice.png")
    with pytest.raises(MedicalImageError, match=r"slice\.png has more than 8 bits"):
        photographs([data], tmp_path / "caches")
    assert list((tmp_path / "caches").iterdir()) == []


@pytest.mark.parametrize("what", ["pixels", "shorter", "index", "facts"])
def test_damage_is_seen_and_mended(data: Path, tmp_path: Path, what: str) -> None:
    good = [photographs([data], tmp_path / "caches")[i].copy() for i in range(5)]
    cache = the_cache(tmp_path / "caches")
    if what == "pixels":
        pixels = bytearray((cache / "pixels.bin").read_bytes())
        pixels[1000] ^= 1
        (cache / "pixels.bin").write_bytes(pixels)
    elif what == "shorter":
        os.truncate(cache / "pixels.bin", 1000)
    elif what == "index":
        index = np.load(cache / "index.npy")
        index["offset"][1] += 1
        np.save(cache / "index.npy", index)
    else:
        (cache / "cache.json").write_text("{")
    with pytest.raises(ValueError, match=r"damaged|not a cache"):
        open_cache(cache)
    mended = photographs([data], tmp_path / "caches")
    assert all(np.array_equal(mended[i], good[i]) for i in range(5))


def test_a_random_subset(data: Path, tmp_path: Path) -> None:
    def some(seed: int) -> set[bytes]:
        return {d.item() for d in photographs([data], tmp_path / "caches", limit=3, seed=seed).index["digest"]}

    assert len(some(0)) == 3
    assert some(0) == some(0)
    assert len(set.union(*(some(seed) for seed in range(4)))) > 3


def test_sources_are_only_read(data: Path, tmp_path: Path) -> None:
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in data.iterdir()}
    photographs([data], tmp_path / "caches")
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in data.iterdir()} == before


def test_another_process_was_faster(data: Path, tmp_path: Path) -> None:
    photographs([data], tmp_path / "caches")
    cache = the_cache(tmp_path / "caches")
    facts = json.loads((cache / "cache.json").read_text())
    module.build_cache(module.find([data])[0], cache, ["late"])
    assert json.loads((cache / "cache.json").read_text()) == facts
    assert the_cache(tmp_path / "caches") == cache


def test_others_of_the_group_can_read_a_cache(data: Path, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        photographs([data], tmp_path / "caches")
    finally:
        os.umask(before)
    cache = the_cache(tmp_path / "caches")
    assert cache.stat().st_mode & 0o777 == 0o750
    assert {path.stat().st_mode & 0o777 for path in cache.iterdir()} == {0o640}


def test_processes_decode_what_threads_do(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = module.find([data])[0]
    module.build_cache(items, tmp_path / "threads", [], threads=2)
    monkeypatch.setattr(module, "MIN_FOR_PROCESSES", 2)
    monkeypatch.setattr(module, "PER_PROCESS", 2)
    assert isinstance(module.workers(len(items), 2), module.ProcessPoolExecutor)
    module.build_cache(items, tmp_path / "processes", [], threads=2)
    for name in module.FILES:
        assert (tmp_path / "threads" / name).read_bytes() == (tmp_path / "processes" / name).read_bytes()


def test_what_a_killed_process_has_left_is_removed_after_a_day(data: Path, tmp_path: Path) -> None:
    photographs([data], tmp_path / "caches")
    cache = the_cache(tmp_path / "caches")
    old, new, other = (cache.with_name(f".{cache.name}-{name}") for name in ("01234567", "89abcdef", "notes"))
    for work in (old, new, other):
        work.mkdir()
        (work / ("notes.txt" if work == other else "pixels.bin")).write_bytes(b"part")
    before = time.time() - ABANDONED_AFTER - 10
    for path in (*old.iterdir(), *other.iterdir(), old, new, other):  # in `new` the file is still written to
        os.utime(path, (before, before))
    photographs([data], tmp_path / "caches")
    assert sorted(cache.parent.iterdir()) == sorted([cache, new, other])


DECODE = """
import sys
from getnet_bids.training import photographs, cli
photographs.MIN_FOR_PROCESSES, photographs.PER_PROCESS = 2, 1
photographs.processors = lambda: 2
if __name__ == "__main__":
    sys.exit(cli.main(sys.argv[1:]))
"""


def processes_of(group: int) -> list[int]:
    """List the processes of a group that run."""
    states = [path.read_text().rpartition(")")[2].split() for path in Path("/proc").glob("[0-9]*/stat")]
    return [int(words[2]) for words in states if int(words[2]) == group and words[0] != "Z"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="lists processes as Linux does")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_while_photographs_are_decoded(tmp_path: Path, number: signal.Signals, code: int) -> None:
    (tmp_path / "data").mkdir()
    for i in range(20):
        (tmp_path / "data" / f"{i:04}.jpg").write_bytes(jpeg(scene(i)))
    for i in range(20, 4000):
        os.link(tmp_path / "data" / f"{i % 20:04}.jpg", tmp_path / "data" / f"{i:04}.jpg")
    (tmp_path / "start.py").write_text(DECODE)
    words = ["--data", tmp_path / "data", "--cache", tmp_path / "caches", "--cache-only"]
    command = [sys.executable, tmp_path / "start.py", *words]
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True) as process:
        while not [path for path in tmp_path.glob("caches/.*/pixels.bin") if path.stat().st_size]:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.01)
        if number == signal.SIGINT:  # as a terminal does
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in said
    assert list((tmp_path / "caches").iterdir()) == []
    deadline = time.monotonic() + 10
    while processes_of(process.pid) and time.monotonic() < deadline:  # Python's resource tracker is the last
        time.sleep(0.05)
    assert processes_of(process.pid) == []
