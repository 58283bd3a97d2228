"""Crops and the split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from getnet_bids.training.photographs import Photographs, photographs

from .conftest import jpeg, scene


def digests(photos: Photographs) -> set[bytes]:
    return set(photos.index["digest"].tolist())


def test_crops_are_parts_of_their_photographs(photos: Photographs) -> None:
    crops = photos.crops([3, 4], np.random.default_rng(0))
    assert crops.shape == (2, 1, 256, 256)
    for crop, i in zip(crops[:, 0], (3, 4), strict=True):
        photo = photos[i]
        h, w = photo.shape
        places = [(t, x) for t in range(h - 255) for x in range(w - 255)]
        assert any(np.array_equal(photo[t : t + 256, x : x + 256], crop) for t, x in places)


def test_split_by_content(photos: Photographs, folder: Path, tmp_path: Path) -> None:
    training, held_out = photos.split(0.3)
    assert digests(training) | digests(held_out) == digests(photos)
    assert not digests(training) & digests(held_out)
    # Elsewhere, under other names, with others beside them, they stay on their sides.
    for i, path in enumerate(sorted(folder.rglob("*.JPEG"), reverse=True)):
        (tmp_path / f"{i}.jpg").write_bytes(path.read_bytes())
    for i in range(5):
        (tmp_path / f"new{i}.jpg").write_bytes(jpeg(scene(100 + i)))
    more = photographs([tmp_path], tmp_path / "caches")
    assert len(more) == len(photos) + 5
    more_training, more_held_out = more.split(0.3)
    assert digests(training) <= digests(more_training)
    assert digests(held_out) <= digests(more_held_out)


def test_a_side_must_not_be_empty(photos: Photographs) -> None:
    with pytest.raises(ValueError, match="leaves none to hold out: give more photographs"):
        photos.split(0.0)
    with pytest.raises(ValueError, match="leaves none to train on"):
        photos.split(1.0)
