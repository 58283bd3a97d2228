"""Small images as files, and a folder to run in."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

os.environ.setdefault("NO_ET", "1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that is the working directory."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def scan(tmp_path: Path, image: nib.Nifti1Image) -> Path:
    """Return the file of a shaded head."""
    path = tmp_path / "sub-01_T1w.nii.gz"
    image.to_filename(path)
    return path


@pytest.fixture
def mask(tmp_path: Path, image: nib.Nifti1Image) -> Path:
    """Return the file of a mask on it."""
    inside = np.zeros(image.shape, np.uint8)
    inside[5:25, 5:29, 5:27] = 1
    path = tmp_path / "mask.nii.gz"
    nib.Nifti1Image(inside, image.affine).to_filename(path)
    return path
