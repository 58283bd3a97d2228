"""Photographs made with numpy, and settings of trainings of seconds."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from getnet_bids.training.photographs import Photographs, photographs

TINY = (
    "widths=[4,4,4,8]", "depths=[1,1,1,1]", "batch=4", "chunk=2", "ahead=1",
    "precision=32-true", "validation=0.2", "warmup=3",
)  # fmt: skip
"""A training of a few seconds, in float32."""


def scene(seed: int, height: int = 260, width: int = 300) -> np.ndarray:
    """Draw overlapping ellipses with texture, shape (height, width), uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 256
    out = np.full((height, width), rng.uniform(0, 255))
    for _ in range(12):
        cy, cx, a, b = rng.uniform([0, 0, 0.05, 0.05], [1, 1, 0.5, 0.5])
        out[((y - cy) / a) ** 2 + ((x - cx) / b) ** 2 < 1] = rng.uniform(0, 255)
    return np.clip(out + 12 * rng.standard_normal(out.shape), 0, 255).astype(np.uint8)


def generator(seed: int = 0) -> torch.Generator:
    """Return a generator with a seed."""
    return torch.Generator().manual_seed(seed)


def jpeg(array: np.ndarray, **kwargs) -> bytes:
    """Encode an array of gray values."""
    out = io.BytesIO()
    Image.fromarray(array).save(out, "JPEG", quality=90, **kwargs)
    return out.getvalue()


@pytest.fixture(autouse=True)
def one_thread():
    """Keep torch to one thread: small tensors, and bits that depend on nothing else."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 30 photographs in ImageNet's layout."""
    folder = tmp_path_factory.mktemp("imagenet")
    for i in range(30):
        path = folder / f"n{i % 3:08d}" / f"n{i % 3:08d}_{i}.JPEG"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(jpeg(scene(i)))
    return folder


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the caches."""
    return tmp_path_factory.mktemp("caches")


@pytest.fixture(scope="session")
def photos(folder: Path, caches: Path) -> Photographs:
    """Return the folder's photographs, cached."""
    return photographs([folder], caches)
