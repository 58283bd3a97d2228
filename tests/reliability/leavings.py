"""What a run left: lines of its log, and files that must be whole."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
from PIL import Image

from getnet_bids.files import hash_file
from tests.datasets import status


def rows(out):
    """Return the lines of the last run's ``status.tsv``."""
    return {source: (row["status"], row["reason"]) for source, row in status(out).items()}


def done_in(out):
    return [source for source, (status, _) in rows(out).items() if status == "done"]


def assert_whole(out):
    """Assert that each file can be read to its end, and that none is left over."""
    for path in out.rglob("*"):
        if path.name.endswith(".nii.gz"):
            assert np.isfinite(nib.load(path).get_fdata()).all(), path
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix in (".jpg", ".png"):
            Image.open(path).load()
        elif path.suffix == ".html":
            assert path.read_text().rstrip().endswith("</html>"), path
        assert not path.name.startswith(".getnet-"), path


def results(out):
    """Return a hash of each image."""
    return {path.name: hash_file(path) for path in out.rglob("*.nii.gz")}
