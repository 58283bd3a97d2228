"""Gathering the listed photographs from git clones and folders: checks, shards, resumption, refusals."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from getnet_bids.training.gathering import cli, shards
from getnet_bids.training.gathering.cli import main
from getnet_bids.training.gathering.listed import Listed, check, commands, find_clone, listed, package_file
from getnet_bids.training.gathering.shards import SHARD, webp
from getnet_bids.training.photographs import photographs
from getnet_bids.training.sources import gray_of

from .conftest import jpeg, scene

FILES = {f"a folder/{i} é.jpg": jpeg(scene(40 + i)) for i in range(5)}
"""Photographs of a repository."""


def git(place: Path, *words: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", "-C", place, *who, *words], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """Make a git repository, someone/things, in which a later commit takes the first photograph away."""
    place = tmp_path / "clones" / "someone" / "things"
    for path, data in FILES.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(data)
    git(place, "init", "--quiet")
    git(place, "add", ".")
    git(place, "commit", "--quiet", "--message", "Photographs")
    return place


@pytest.fixture
def photos(origin: Path, monkeypatch: pytest.MonkeyPatch) -> list[Listed]:
    """List its photographs, last first, and take that list for the package's."""
    commit = git(origin, "rev-parse", "HEAD")
    rows = [
        Listed("things", "CC0-1.0", "someone/things", commit, path, hashlib.sha256(data).hexdigest())
        for path, data in reversed(FILES.items())
    ]
    monkeypatch.setattr(cli, "listed", lambda: rows)
    monkeypatch.setattr(shards, "SHARD", 2)
    return rows


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def test_from_a_clone_to_training(
    origin: Path, photos: list[Listed], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    git(origin, "rm", "--quiet", photos[0].path)
    git(origin, "commit", "--quiet", "--message", "One less")
    out = tmp_path / "shards"
    assert main(["--clones", str(origin.parents[1]), "--out", str(out)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "things (someone/things): 5 of 5 found"
    assert len(said) == 4
    assert all("other bytes than the package's weights" in line for line in said[1:])
    assert sorted(p.name for p in out.iterdir()) == ["photos-00.tar", "photos-01.tar", "photos-02.tar"]
    found = members(out / "photos-00.tar") | members(out / "photos-01.tar") | members(out / "photos-02.tar")
    assert sorted(found) == [f"{i:06d}.webp" for i in range(5)]
    cache = photographs([out], tmp_path / "cache")
    assert len(cache) == 5
    for i, photo in enumerate(photos):
        errors = [np.abs(cache[i] - gray_of(data, "").astype(float)).mean() for data in FILES.values()]
        assert list(FILES)[int(np.argmin(errors))] == photo.path
        assert min(errors) < 12


def test_shards_are_the_same_bytes_each_time(origin: Path, photos: list[Listed], tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert main(["--clones", str(origin.parents[1]), "--out", str(tmp_path / name)]) == 0
    for name in ("photos-00.tar", "photos-02.tar"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_it_goes_on_and_never_writes_over(
    origin: Path, photos: list[Listed], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "shards"
    command = ["--clones", str(origin.parents[1]), "--out", str(out)]
    assert main(command) == 0
    (out / "photos-01.tar").unlink()
    before = (out / "photos-00.tar").stat().st_mtime_ns
    assert main(command) == 0
    assert (out / "photos-00.tar").stat().st_mtime_ns == before
    assert "photos-00.tar: there already, 2 photographs" in capsys.readouterr().out
    assert len(members(out / "photos-01.tar")) == 2
    (out / "photos-01.tar").write_bytes(b"a diary")
    assert main(command) == 1
    assert "photos-01.tar: there already, with other content" in capsys.readouterr().err
    assert (out / "photos-01.tar").read_bytes() == b"a diary"


def test_other_and_missing_files_are_told_and_refused(
    origin: Path, photos: list[Listed], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    plain = tmp_path / "plain" / "things"
    (plain / "a folder").mkdir(parents=True)
    for path in list(FILES)[:4]:
        (plain / path).write_bytes(FILES[path])
    (plain / photos[2].path).write_bytes(b"another")
    out = tmp_path / "shards"
    assert main(["--clones", str(plain.parent), "--out", str(out)]) == 1
    said = capsys.readouterr()
    assert "3 of 5 found; 1 missing; 1 are other files than listed" in said.out
    assert "nothing written" in said.err
    assert not out.exists()
    assert main(["--clones", str(plain.parent), "--out", str(out), "--partial"]) == 0
    assert [list(members(path)) for path in sorted(out.iterdir())] == [
        ["000001.webp"],
        ["000003.webp"],
        ["000004.webp"],
    ]
    assert main(["--clones", str(tmp_path / "nowhere"), "--check"]) == 1
    assert "0 of 5 found; no clone of it there" in capsys.readouterr().out


@pytest.mark.parametrize("layout", ["someone/things.git", "someone+things/repo", "things"])
def test_clones_of_any_layout_are_found(origin: Path, photos: list[Listed], tmp_path: Path, layout: str) -> None:
    place = tmp_path / "elsewhere" / layout
    git(tmp_path, "clone", "--quiet", "--bare", str(origin), str(place))
    good, whole = check(photos, [tmp_path / "empty", tmp_path / "elsewhere"], print)
    assert whole
    assert good == [True] * 5


def test_the_listed_commands_fetch_what_is_gathered(
    origin: Path, photos: list[Listed], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Run in a shell as they are printed, but for the place that they fetch from."""
    assert main(["--list", "--clones", str(tmp_path / "new clones")]) == 0
    text = capsys.readouterr().out.replace("https://github.com/someone/things", f"file://{origin}")
    subprocess.run(["sh"], input=text, check=True, text=True, capture_output=True)
    assert find_clone("someone/things", [tmp_path / "new clones"]) is not None
    assert main(["--clones", str(tmp_path / "new clones"), "--check"]) == 0


def test_the_packages_list_agrees_with_its_terms(capsys: pytest.CaptureFixture) -> None:
    photos = listed()
    assert len(photos) >= 30_000
    assert len({p.sha256 for p in photos}) == len(photos)
    assert all(len(p.sha256) == 64 and len(p.commit) == 40 and p.repository.count("/") == 1 for p in photos)
    open_ones = {"MIT", "Apache-2.0", "BSD-2-Clause", "CC0-1.0", "public domain"}
    assert {p.licence for p in photos if not p.licence.startswith("CC-BY")} <= open_ones
    assert not [p for p in photos if "NC" in p.licence or "ND" in p.licence]
    assert main(["--terms"]) == 0
    terms = capsys.readouterr().out
    for (collection, licence, repository, commit), count in Counter(
        (p.collection, p.licence, p.repository, p.commit[:7]) for p in photos
    ).items():
        row = next(line for line in terms.splitlines() if line.startswith(f"| {count:,} | {collection} |"))
        assert f"| {licence} |" in row
        assert row.endswith(f"| {repository}, commit {commit} |")
    for licence, count in Counter(p.licence for p in photos).items():
        assert f"{licence}" in terms
        assert f"| {count:,} |" in terms
    assert len(package_file("shards.sha256").read_text().splitlines()) == -(-len(photos) // SHARD)
    assert sum(line.startswith("git init") for line in commands(photos)) == len({p.repository for p in photos})


def test_webp_is_what_the_training_would_decode() -> None:
    data = webp(jpeg(scene(3, 400, 900)), "wide")
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size) == ("WEBP", (320, 256))
