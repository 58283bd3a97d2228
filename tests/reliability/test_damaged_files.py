"""Files that are cut, damaged, absurd or no files: refused with one line, before memory is taken."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from getnet_bids.cli.one import main
from getnet_bids.errors import GetNetError
from getnet_bids.images import decode, magnitudes, read

from .images import BIG, DIM, edited, nifti, stored


def test_gzip_cut_short_anywhere(tmp_path):
    data = gzip.compress(stored().to_bytes(), mtime=0)
    for end in [*range(0, 30), *range(30, len(data), 13), *range(len(data) - 12, len(data))]:
        with pytest.raises(GetNetError, match=r"truncated|empty|neither NIfTI nor MGH"):
            decode(data[:end], "in.nii.gz")


def test_gzip_corrupted_anywhere():
    """A byte that is changed is noticed, unless it is one of gzip's header that means nothing: the time, say."""
    data = gzip.compress(stored().to_bytes(), mtime=0)
    voxels, passed = magnitudes(decode(data, "in.nii.gz")), []
    for place in [*range(0, 30), *range(30, len(data), 7), *range(len(data) - 12, len(data))]:
        for change in (0x01, 0x80, 0xFF):
            broken = bytearray(data)
            broken[place] ^= change
            try:
                image = decode(bytes(broken), "in.nii.gz")
            except GetNetError as error:
                assert "\n" not in str(error)  # noqa: PT017
                continue
            passed.append(place)
            np.testing.assert_array_equal(magnitudes(image), voxels)
    assert max(passed) < 10


HUGE = """
import resource, sys
from pathlib import Path
from getnet_bids.errors import GetNetError
from getnet_bids.images import decode
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
for name in sys.argv[1:]:
    data = Path(name).read_bytes()
    limit = taken + len(data) * 3 + 2**26
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    try:
        decode(data, name)
    except GetNetError as error:
        print(error)
"""


def test_absurd_dimensions_are_refused_before_memory_is_taken(tmp_path):
    """In a process that may take 64 MB: what the header promises would be 2 GB to 70 TB."""
    random = np.random.default_rng(0).integers(0, 2**16, (100, 100, 150), np.uint16)
    axes = [(DIM + i, "h", BIG) for i in (2, 4, 6)]
    second = bytearray(nib.Nifti2Image(random[:40, :36, :1].astype(np.int16), np.eye(4)).to_bytes())
    second[24:32] = (2**40).to_bytes(8, "little")
    third = bytearray(nib.MGHImage(random[:40, :36, :1].astype(np.int16), np.eye(4)).to_bytes())
    third[4:16] = (2**16).to_bytes(4, "big") * 3  # whose product is 0 in 32 bits
    files = {
        "axes.nii": edited(stored(), *axes),
        "axes.nii.gz": gzip.compress(edited(stored(), *axes)),
        "nifti2.nii": bytes(second),
        "nifti2.nii.gz": gzip.compress(bytes(second)),
        "axes.mgh": bytes(third),
        # gzip could pack 2 GB into this, but has not.
        "promise.nii.gz": gzip.compress(edited(nifti(random), *[(DIM + i, "h", 1000) for i in (2, 4, 6)]), 1),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    command = [sys.executable, "-c", HUGE, *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    said = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in said] == list(files)
    assert all("cannot hold" in line for line in said)


def test_a_pipe_is_no_image(tmp_path, capsys):
    """Reading one that nobody writes to would never end."""
    os.mkfifo(tmp_path / "in.nii")
    with pytest.raises(OSError, match="not a regular file"):
        read(tmp_path / "in.nii")
    assert main([str(tmp_path / "in.nii"), str(tmp_path / "out.nii")]) == 66
    assert "not a regular file" in capsys.readouterr().err
