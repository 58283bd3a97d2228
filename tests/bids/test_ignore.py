from __future__ import annotations

import subprocess

import pytest

from getnet_bids.bids.discovery import find_images, read_ignored
from tests.datasets import add

PATHS = [
    "sub-01/anat/sub-01_T1w.nii.gz",
    "sub-01/anat/sub-01_T2w.nii.gz",
    "sub-02/ses-a/anat/sub-02_ses-a_T1w.nii.gz",
    "sub-02/ses-b/anat/sub-02_ses-b_acq-x_T1w.nii",
    "sub-03/anat/sub-03_FLAIR.nii.gz",
]
FILES = [
    "*_T2w.nii.gz",
    "sub-02/",
    "/sub-03",
    "**/ses-b/**",
    "anat/*_T1w*",
    "sub-0[12]/**/*_T?w*\n!*-01_T1w.nii.gz",
    "# all\n\n   \n*\n!*/\n!*FLAIR*",
    "!\n\\\nsub-03/**",
    "\ufeffsub-01",
    "sub-01\r\nsub-03\r\n",
]


@pytest.mark.parametrize("text", FILES)
def test_patterns_mean_what_they_mean_to_git(tmp_path, text):
    (tmp_path / ".bidsignore").write_text(text, encoding="utf-8", newline="")
    (tmp_path / ".gitignore").write_text(text.replace("\ufeff", "").replace("\r", ""), encoding="utf-8")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    ask = ["git", "-C", tmp_path, "check-ignore", "--no-index", *PATHS]
    by_git = subprocess.run(ask, capture_output=True, text=True).stdout.split()
    ignored = read_ignored(tmp_path)
    assert [path for path in PATHS if ignored(path)] == by_git


def test_no_file_ignores_nothing(tmp_path):
    assert not any(map(read_ignored(tmp_path), PATHS))


def test_ignored_images_are_skipped_with_a_word(tmp_path):
    add(tmp_path, *PATHS)
    (tmp_path / ".bidsignore").write_text("*_T2w*\nsub-02\n*_bold*\n")
    found = find_images(tmp_path)
    assert [source.relative for source in found.sources] == [PATHS[0], PATHS[4]]
    assert found.skipped == dict.fromkeys(PATHS[1:4], "listed in .bidsignore")
