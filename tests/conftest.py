"""Small images and datasets, made with numpy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from .datasets import add, describe
from .phantoms import ellipsoid

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
def antspyx() -> Any:
    """Skip a test where there is no antspyx, as for a Python that it has no release for."""
    return pytest.importorskip("ants", reason="antspyx is not installed")


@pytest.fixture(scope="session")
def head() -> NDArray[np.float32]:
    """Return a textured ellipsoid of 168 mm under a known field, 6 mm voxels."""
    return ellipsoid.textured()


@pytest.fixture
def image(head: NDArray[np.float32]) -> nib.Nifti1Image:
    """Return the head as int16 with a header full of things to be kept."""
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
    """Return a function that makes a dataset with the head under each of the names given."""

    def make(*relatives: str, root: str = "raw") -> Path:
        bids = describe(tmp_path / root, Authors=["A", "B"])
        (bids / "README").write_text("A dataset for a test.\n")
        add(bids, *relatives, image=image)
        return bids

    return make
