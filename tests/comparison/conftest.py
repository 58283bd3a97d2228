"""A dataset to compare methods on, and how."""

from __future__ import annotations

import pytest

from tests.datasets import add, as_scan, describe

ONE, TWO = "sub-01/anat/sub-01_T1w.nii.gz", "sub-01/anat/sub-01_T2w.nii"
CUT, ABSENT = "sub-02/ses-a/anat/sub-02_ses-a_run-1_T1w.nii.gz", "sub-03/anat/sub-03_T1w.nii.gz"
COMMON = ("participant", "--compare", "n4", "--device", "cpu", "--nprocs", "1")


@pytest.fixture(scope="module")
def raw(tmp_path_factory, head):
    """Return a dataset of two contrasts of one head, a damaged image, and one that was not fetched."""
    raw = tmp_path_factory.mktemp("compared") / "raw"
    add(raw, ONE, TWO, image=as_scan(head))
    for relative in (CUT, ABSENT):
        (raw / relative).parent.mkdir(parents=True)
    (raw / CUT).write_bytes((raw / ONE).read_bytes()[:-3000])
    (raw / ABSENT).symlink_to("nowhere")
    return describe(raw)
