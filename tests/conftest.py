"""Small images and datasets, made with numpy."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

AFFINE = np.array([[-6.0, 0, 0, 90], [0, 0, 6.0, -80], [0, -6.0, 0, 70], [0, 0, 0, 1]])
"""6 mm voxels, neither axis order nor signs the usual."""


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    """See that a test leaves torch its threads: with fewer, the last bits of later tests' results are others."""
    before = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else 0
    yield
    if before:
        assert sys.modules["torch"].get_num_threads() == before


@pytest.fixture(scope="session")
def head() -> NDArray[np.float32]:
    """Give a textured ellipsoid of 168 mm under a known smooth gain, in weak noise, 6 mm voxels."""
    rng = np.random.default_rng(7)
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in (30, 34, 32)], indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    tissue = np.where(radius < 0.5, 900, 600) * (1 + 0.1 * np.sign(np.sin(9 * x) * np.sin(8 * y) * np.sin(7 * z)))
    gain = np.exp(0.3 * x - 0.25 * y * z + 0.2 * z)
    signal = np.where(radius < 0.85, tissue * gain, 0)
    return np.hypot(signal + rng.normal(0, 8, x.shape), rng.normal(0, 8, x.shape)).astype(np.float32)


@pytest.fixture
def image(head: NDArray[np.float32]) -> nib.Nifti1Image:
    """Give the head as int16 with a header full of things to be kept."""
    image = nib.Nifti1Image(head.astype(np.int16), AFFINE)
    image.set_qform(AFFINE, code=1)
    image.set_sform(AFFINE, code=4)
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = b"a scan"
    image.header["cal_max"] = 1200
    image.header.set_intent("t test", (3,))
    return image


@pytest.fixture
def make_dataset(tmp_path: Path, image: nib.Nifti1Image) -> Callable[..., Path]:
    """Give a function that makes a dataset with the head under each of the names given."""

    def make(*relatives: str, root: str = "raw") -> Path:
        bids = tmp_path / root
        bids.mkdir(exist_ok=True)
        about = {"Name": "Test", "BIDSVersion": "1.10.0", "DatasetType": "raw", "Authors": ["A", "B"]}
        (bids / "dataset_description.json").write_text(json.dumps(about))
        (bids / "README").write_text("A dataset for a test.\n")
        for relative in relatives:
            path = bids / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            image.to_filename(path)
        return bids

    return make
