from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from getnet_bids import __version__
from getnet_bids.cli.one import main


@pytest.fixture
def scan(tmp_path, image):
    image.to_filename(tmp_path / "in.nii.gz")
    return tmp_path / "in.nii.gz"


def test_corrected_times_field_is_the_input(scan, tmp_path):
    out, field = tmp_path / "out.nii.gz", tmp_path / "field.nii"
    assert main([str(scan), str(out), "--field", str(field), "--device", "cpu", "-v"]) == 0
    product = nib.load(out).get_fdata() * nib.load(field).get_fdata()
    np.testing.assert_allclose(product, nib.load(scan).get_fdata(), rtol=1e-5, atol=1e-5)


STOP = """
import signal, sys
from getnet_bids import images
from getnet_bids.cli.one import main

def stop(image, file):
    file.write(b"a part")
    signal.raise_signal(int(sys.argv[1]))  # on Windows os.kill ends a process, whatever the number

images.nib.Nifti1Image.to_stream = stop
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_amid_writing_leaves_nothing(scan, tmp_path, number):
    command = [sys.executable, "-c", STOP, str(int(number)), scan, tmp_path / "out.nii", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 128 + number
    assert done.stderr.splitlines()[-1].startswith(f"getnet: {number.name}: stopped")
    assert [path.name for path in tmp_path.iterdir()] == [scan.name]


def test_options_change_the_result(scan, tmp_path):
    fields = []
    for i, options in enumerate([[], ["--no-refine"], ["--smoothness", "150"], ["--batch-size", "3"]]):
        field = tmp_path / f"{i}.nii"
        assert main([str(scan), str(tmp_path / "o.nii"), "--field", str(field), "--device", "cpu", *options]) == 0
        fields.append(nib.load(field).get_fdata())
    assert np.abs(fields[0] - fields[1]).max() > 1e-3
    assert np.abs(fields[0] - fields[2]).max() > 1e-3
    np.testing.assert_allclose(fields[0], fields[3], rtol=1e-3)


def test_a_mask_is_used(scan, tmp_path, image):
    inside = np.zeros(image.shape, np.uint8)
    inside[5:20, 5:20, 5:20] = 1
    nib.Nifti1Image(inside, image.affine).to_filename(tmp_path / "mask.nii.gz")
    out = str(tmp_path / "out.nii.gz")
    assert main([str(scan), out, "--mask", str(tmp_path / "mask.nii.gz"), "--device", "cpu"]) == 0


def run(capsys, *arguments):
    """Return the exit code and what was said."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as end:
        code = end.code
    captured = capsys.readouterr()
    return code, captured.err + captured.out


@pytest.mark.parametrize(
    ("code", "said", "arguments"),
    [
        (64, "overwrite", ["in.nii.gz", "in.nii.gz"]),
        (64, "overwrite", ["in.nii.gz", "link.nii.gz"]),
        (64, "overwrite", ["in.nii.gz", "out.nii", "--field", "out.nii"]),
        (64, "overwrite", ["in.nii.gz", "out.nii", "--mask", "mask.nii", "--field", "mask.nii"]),
        (64, "OUT: is empty", ["in.nii.gz", ""]),
        (64, "IN: is empty", ["", "out.nii"]),
        (66, "broken link", ["circle.nii", "out.nii"]),
        (73, "no such folder", ["in.nii.gz", "circle.nii/out.nii"]),
        (74, "File name too long", ["in.nii.gz", f"{'x' * 300}.nii"]),
        (74, "File name too long", [f"{'x' * 300}.nii", "out.nii"]),
        (64, "must end in", ["in.nii.gz", "out.img"]),
        (64, "must end in", ["in.nii.gz", "out.nii", "--field", "field"]),
        (64, "required: OUT", ["in.nii.gz"]),
        (64, "above 0", ["in.nii.gz", "out.nii", "--smoothness", "-3"]),
        (64, "above 0", ["in.nii.gz", "out.nii", "--batch-size", "0"]),
        (64, "device", ["in.nii.gz", "out.nii", "--device", "abacus"]),
        (64, "not available", ["in.nii.gz", "out.nii", "--device", "cuda:77"]),
        (65, "truncated", ["bad.nii.gz", "out.nii"]),
        (65, "signal", ["empty.nii.gz", "out.nii"]),
        (65, "not the weights", ["in.nii.gz", "out.nii", "--weights", "bad.nii.gz"]),
        (65, "resample", ["in.nii.gz", "out.nii", "--mask", "small.nii.gz"]),
        (66, "no such file", ["absent.nii.gz", "out.nii"]),
        (66, "no such file", ["in.nii.gz", "out.nii", "--mask", "absent.nii.gz"]),
        (66, "no such file", ["in.nii.gz", "out.nii", "--weights", "absent"]),
        (66, "not fetched", ["annexed.nii.gz", "out.nii"]),
        (66, "is a folder", ["folder.nii", "out.nii"]),
        (73, "no such folder", ["in.nii.gz", "absent/out.nii"]),
        (73, "is a folder", ["in.nii.gz", "folder.nii"]),
    ],
)
def test_errors_are_one_line_and_a_code(scan, tmp_path, capsys, monkeypatch, code, said, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.nii.gz").write_bytes(scan.read_bytes()[:5000])
    (tmp_path / "link.nii.gz").symlink_to("in.nii.gz")
    (tmp_path / "annexed.nii.gz").symlink_to(".git/annex/objects/absent")
    (tmp_path / "folder.nii").mkdir()
    (tmp_path / "circle.nii").symlink_to("circle.nii")
    nib.Nifti1Image(np.zeros((20, 20, 20), np.float32), np.eye(4)).to_filename("empty.nii.gz")
    nib.Nifti1Image(np.ones((5, 5, 5), np.uint8), np.eye(4)).to_filename("small.nii.gz")
    nib.Nifti1Image(np.ones((5, 5, 5), np.uint8), np.eye(4)).to_filename("mask.nii")
    before = sorted(tmp_path.iterdir())
    got, text = run(capsys, *arguments)
    assert got == code
    assert said in text
    assert text.startswith("getnet: ")
    assert text.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_link_in_a_circle_is_replaced_like_any_output(scan, tmp_path, capsys):
    (tmp_path / "out.nii").symlink_to("out.nii")
    assert run(capsys, str(scan), str(tmp_path / "out.nii"), "--no-refine", "--device", "cpu")[0] == 0
    assert nib.load(tmp_path / "out.nii").shape == nib.load(scan).shape


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"getnet {__version__}\n")


@pytest.mark.parametrize("folder", ["/sys", "/proc/1"])
def test_a_folder_that_will_have_no_file_is_told_on_one_plain_line(scan, capsys, folder):
    if not os.path.isdir(folder):
        pytest.skip(f"no {folder} here")
    assert main([str(scan), f"{folder}/x.nii.gz", "--device", "cpu"]) == 73
    said = capsys.readouterr().err
    assert said.startswith("getnet: ")
    assert folder in said
    assert said.count("\n") == 1
    for riddle in ("[Errno", " -> ", ".getnet-", "Traceback"):
        assert riddle not in said


def test_uncertainty_and_verdict(scan, tmp_path, capsys):
    sd = tmp_path / "sd.nii.gz"
    assert main([str(scan), str(tmp_path / "out.nii"), "--uncertainty", str(sd), "--device", "cpu", "-v"]) == 0
    said = capsys.readouterr().err
    assert re.search(r"(corrected|nothing to correct|doubtful); the field is known to [0-9.]+% \(95th", said)
    made, given = nib.load(sd), nib.load(scan)
    assert made.shape == given.shape
    np.testing.assert_array_equal(made.affine, given.affine)
    assert (made.get_fdata() > 0).all()


def test_why_a_result_is_doubtful_is_said_without_being_asked(tmp_path, image, capsys):
    offset = nib.Nifti1Image(np.where(image.get_fdata() > 0, image.get_fdata(), 700).astype(np.float32), image.affine)
    offset.to_filename(tmp_path / "in.nii.gz")
    assert main([str(tmp_path / "in.nii.gz"), str(tmp_path / "out.nii"), "--device", "cpu", "--smoothness", "900"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert any("doubtful: a smoothness of 900 mm" in line for line in lines)
    assert all(line.startswith(f"getnet: {tmp_path / 'in.nii.gz'}: doubtful: ") for line in lines)
