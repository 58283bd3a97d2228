"""Datasets for tests, getnet-bids on them, and the tables that it leaves."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from getnet_bids.cli.app import main

ONE = "sub-01/anat/sub-01_T1w.nii.gz"
TWO = "sub-02/ses-a/anat/sub-02_ses-a_acq-x_run-1_FLAIR.nii.gz"
"""The images of the dataset in tests/cli/conftest.py."""


def describe(root: Path, **more: object) -> Path:
    """Make a folder a raw dataset, or what ``DatasetType`` says, and return it."""
    root.mkdir(parents=True, exist_ok=True)
    about = {"Name": "Test", "BIDSVersion": "1.10.0", "DatasetType": "raw", **more}
    (root / "dataset_description.json").write_text(json.dumps(about))
    return root


def add(root: Path, *relatives: str, image: nib.Nifti1Image | None = None) -> None:
    """Write an image under each of some names; empty files if there is none."""
    for relative in relatives:
        path = root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        if image is None:
            path.touch()
        else:
            image.to_filename(path)


def as_scan(head: NDArray[np.float32], voxel: float = 6.0) -> nib.Nifti1Image:
    """Return an image of whole numbers, as scanners write it, its first axis from right to left."""
    return nib.Nifti1Image(head.astype(np.int16), np.diag([-voxel, voxel, voxel, 1.0]))


def data(path: str | Path) -> NDArray[Any]:
    """Read an image's values."""
    return np.asanyarray(nib.load(path).dataobj)


def app(*arguments: object) -> int | str | None:
    """Run getnet-bids in this process and return its exit code."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as end:
        return end.code


def issues(dataset: Path) -> list[dict[str, Any]]:
    """Return the errors and warnings of the BIDS validator; skips the test where there is none."""
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    validator = shutil.which("bids-validator-deno", path=path)
    if validator is None:
        pytest.skip("bids-validator-deno is not installed")
    done = subprocess.run([validator, "--format", "json", dataset], capture_output=True, text=True)
    found = json.loads(done.stdout)["issues"]["issues"]
    return [issue for issue in found if issue["severity"] in ("error", "warning")]


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a TSV file."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def status(out: Path) -> dict[str, dict[str, str]]:
    """Read the last run's ``status.tsv``, by image."""
    # Of runs that began in the same second the name does not tell the order.
    last = max(out.glob("logs/*/status.tsv"), key=lambda path: (path.parent.name[:15], path.stat().st_mtime_ns))
    return {row["source"]: row for row in read_table(last)}
