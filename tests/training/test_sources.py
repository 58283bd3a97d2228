"""Finding photographs, in whatever they are packed; refusing medical images."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from getnet_bids.training.sources import MedicalImageError, find


def tar_of(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_imagenets_layout(folder: Path) -> None:
    items, _ = find([folder])
    assert len(items) == 30
    assert [i.name for i in items] == sorted(i.name for i in items)
    assert items[0].read()[:2] == b"\xff\xd8"


def test_shards_and_tars_within_tars_are_read_in_place(tmp_path: Path) -> None:
    inner = tar_of(tmp_path / "n01440764.tar", {"n01440764_1.JPEG": b"one", "n01440764_2.JPEG": b"two"}).read_bytes()
    (tmp_path / "n01440764.tar").unlink()
    tar_of(tmp_path / "train.tar", {"n01440764.tar": inner, "c/3.jpg": b"three", "LICENCE.txt": b"x", "._3.jpg": b"y"})
    tar_of(tmp_path / "shard-0.tar", {"4.png": b"four"})
    items, _ = find([tmp_path])
    assert [i.read() for i in items] == [b"four", b"one", b"two", b"three"]
    assert items[1].name.endswith("train.tar:n01440764.tar:n01440764_1.JPEG")


def test_links_are_followed_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").write_bytes(b"one")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert len(find([tmp_path])[0]) == 1


def test_the_fingerprint_tells_of_changes(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"one")
    _, before = find([tmp_path])
    assert find([tmp_path])[1] == before
    (tmp_path / "note.txt").write_text("not a photograph")
    assert find([tmp_path])[1] == before
    (tmp_path / "2.jpg").write_bytes(b"two")
    _, more = find([tmp_path])
    assert more != before
    os.utime(tmp_path / "2.jpg", (1, 1))
    assert find([tmp_path])[1] != more


@pytest.mark.parametrize("name", ["sub-01_T1w.nii.gz", "IM1.DCM", "brain.mgz", "head.nrrd", "subject04_crisp_v.mnc.gz"])
def test_medical_images_are_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "1.jpg").write_bytes(b"one")
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(MedicalImageError, match="is a medical image: GetNet is trained on photographs only"):
        find([tmp_path])
    packed = tar_of(tmp_path / "x.tar", {f"deep/{name}": b"x"})
    with pytest.raises(MedicalImageError, match="favours no anatomy"):
        find([packed])


@pytest.mark.parametrize(
    ("data", "kind"),
    [(bytes(128) + b"DICM", "DICOM"), (bytes(344) + b"n+1\0", "NIfTI"), (bytes(4) + b"n+2\0", "NIfTI")],
)
def test_medical_images_without_ending_are_refused_by_content(tmp_path: Path, data: bytes, kind: str) -> None:
    (tmp_path / "1.jpg").write_bytes(b"one")
    (tmp_path / "IM_0001").write_bytes(data)
    with pytest.raises(MedicalImageError, match=f"IM_0001 is a {kind} image"):
        find([tmp_path])


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing: no such folder or file"):
        find([tmp_path / "nothing"])
    with pytest.raises(ValueError, match="no photograph in it"):
        find([tmp_path])
    (tmp_path / "a.tar").write_bytes(b"not a tar file" * 100)
    with pytest.raises(ValueError, match=r"a\.tar: not a whole, plain tar file"):
        find([tmp_path])
    (tmp_path / "a.tgz").write_bytes(b"x")
    with pytest.raises(ValueError, match="unpack it"):
        find([tmp_path / "a.tgz"])


def test_packed_archives_within_a_folder_are_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "1.jpg").write_bytes(b"one")
    (tmp_path / "more.tar.gz").write_bytes(b"packed")
    (tmp_path / "train.zip").write_bytes(b"packed")
    tar_of(tmp_path / "shard.tar", {"2.jpg": b"two", "n01440764.tgz": b"packed"})
    assert len(find([tmp_path])[0]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    for name in ("more.tar.gz: unpack it", "train.zip: unpack it", "shard.tar:n01440764.tgz: an archive within"):
        assert sum(f"{name}" in line for line in said) == 1


def test_files_that_cannot_be_read_are_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "1.jpg").write_bytes(b"one")
    links = {"gone.jpg": "nowhere", "gone": "nowhere", "gone.tar": "nowhere", "round.png": "round.png"}
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "notes.txt").symlink_to("nowhere")
    assert [item.read() for item in find([tmp_path])[0]] == [b"one"]
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "6 files or folders that cannot be read left out"
    for name in ("gone.jpg: No such file", "gone: No such file", "gone.tar: No such file", "round.png: Too many"):
        assert sum(f"left out {tmp_path / name}" in line for line in said) == 1
    for name in ("pipe.jpg", "pipe"):
        assert f"left out {tmp_path / name}: not a regular file" in said
    with pytest.raises(OSError, match="not a regular file"):
        find([tmp_path / "pipe.jpg"])


def test_a_medical_image_that_was_not_fetched_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sub-01_T1w.nii.gz").symlink_to("nowhere")
    with pytest.raises(MedicalImageError):
        find([tmp_path])


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    try:
        with open(name, "wb") as file:
            file.write(b"one")
    except OSError:
        pytest.skip("the file system takes no such name")
    items, _ = find([tmp_path])
    assert [item.read() for item in items] == [b"one"]


@contextlib.contextmanager
def another_user() -> Iterator[None]:
    """Root may read everything; become another user."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_what_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "closed").mkdir(mode=0)
    (tmp_path / "1.jpg").write_bytes(b"one")
    (tmp_path / "LICENCE").touch(mode=0)
    monkeypatch.chdir(tmp_path)
    with another_user():
        items, _ = find([Path()])
    (tmp_path / "closed").chmod(0o700)
    assert len(items) == 1
    said = capsys.readouterr().err.splitlines()
    assert sorted(said[:2]) == ["left out ./LICENCE: Permission denied", "left out ./closed: Permission denied"]
    assert said[2:] == ["2 files or folders that cannot be read left out"]
