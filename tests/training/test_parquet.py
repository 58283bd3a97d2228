"""Photographs in Parquet files, as Hugging Face has ImageNet."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from getnet_bids.training.photographs import photographs
from getnet_bids.training.sources import MedicalImageError, find, gray_of

from .conftest import jpeg, scene

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def write(path: Path, columns: dict, rows: int = 3) -> Path:
    parquet.write_table(pyarrow.table(columns), path, row_group_size=rows)
    return path


def hugging_face(images: list[bytes | None]) -> dict:
    return {"label": list(range(len(images))), "image": [{"bytes": data, "path": "n0.JPEG"} for data in images]}


def test_hugging_faces_imagenet(folder: Path, tmp_path: Path) -> None:
    images = [jpeg(scene(i)) for i in range(8)]
    write(tmp_path / "train-00000-of-00002.parquet", hugging_face(images[:5]))
    write(tmp_path / "train-00001-of-00002.parquet", hugging_face(images[5:]))
    items, _ = find([tmp_path])
    assert [item.read() for item in items] == images
    assert items[4].name.endswith("train-00000-of-00002.parquet:1:1")
    cache = photographs([tmp_path], tmp_path / "cache")
    assert len(cache) == 8
    assert all(np.array_equal(cache[i], gray_of(data, "")) for i, data in enumerate(images))


def test_bytes_alone(tmp_path: Path) -> None:
    images = [jpeg(scene(i)) for i in range(2)]
    items, _ = find([write(tmp_path / "a.parquet", {"jpg": images, "url": ["a", "b"]})])
    assert [item.read() for item in items] == images


def test_rows_without_a_photograph_are_skipped(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write(tmp_path / "a.parquet", hugging_face([jpeg(scene(1)), None]))
    assert len(photographs([tmp_path], tmp_path / "cache")) == 1
    assert "a.parquet:0:1: no bytes of a photograph in this row" in capsys.readouterr().err


def test_medical_images_are_refused_there_too(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", hugging_face([bytes(128) + b"DICM" + bytes(400)]))
    with pytest.raises(MedicalImageError, match=r"a\.parquet:0:0 is a DICOM image"):
        photographs([tmp_path], tmp_path / "cache")


def test_other_tables_and_damaged_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none of its columns has photographs"):
        find([write(tmp_path / "a.parquet", {"text": ["a"], "label": [1]})])
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(ValueError, match="not a whole Parquet file"):
        find([tmp_path / "b.parquet"])


def test_without_pyarrow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.parquet", hugging_face([jpeg(scene(1))]))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"Parquet files need pyarrow: pip install 'getnet_bids\[parquet\]'"):
        find([tmp_path])
