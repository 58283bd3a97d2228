"""getnet-bids doctor: right about a machine that is well, and about what is spoiled here."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
import torch

import getnet_bids
from getnet_bids.cli.app import main
from getnet_bids.run import doctor, imports
from getnet_bids.weights import default_weights

from ..elsewhere import BLOCK


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Try few imports: all of them take ten seconds."""
    monkeypatch.setattr(imports, "IMPORTS", {"torch": "nothing runs without it", "isal": "getnet-bids needs it"})


def told(look, *arguments):
    found = doctor.Diagnosis()
    look(found, *arguments)
    return found


def test_what_a_report_needs_is_there_and_nothing_is_wrong(capsys, tmp_path):
    assert main(["doctor", "--device", "cpu", "--output-dir", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    for text in (
        getnet_bids.__version__,
        f"torch {version('torch')}",
        "precision ",
        f"{tmp_path}",
        "file locks",
        " GB",
    ):
        assert text in printed
    assert re.search(r"^wrong +nothing$", printed, re.MULTILINE)
    error = float(re.search(r"error of the field ([\d.]+)", printed)[1])
    # Much closer than what is tolerated, so that a new algorithm does not make the expected error stale.
    assert error == pytest.approx(doctor.EXPECTED_ERROR, abs=0.001)


def test_the_head_is_shaded_much_more_than_is_tolerated():
    image, gain, inside = doctor.known_head()
    assert image.shape == gain.shape == doctor.SHAPE
    assert gain[inside].min() > 0
    assert np.log(gain[inside]).std() > 6 * (doctor.EXPECTED_ERROR + doctor.ERROR_TOLERANCE)


@pytest.mark.parametrize(("more", "right"), [(-0.004, True), (0.003, True), (0.005, False)])
def test_a_result_that_is_not_right_is_wrong(monkeypatch, more, right):
    result = doctor.SelfTest(0.14, doctor.EXPECTED_ERROR + more, "cpu", "float32", 1.0, 1.0)
    monkeypatch.setattr(doctor, "self_test", lambda device: result)
    assert [("cannot be trusted" in line) for line in told(doctor.look_at_result, "cpu").wrong] == [True] * (not right)


def test_a_device_that_is_not_there(capsys):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert main(["doctor", "--device", "cuda"]) == 1
    assert "WRONG" in capsys.readouterr().out


def test_spoiled_weights(monkeypatch, tmp_path):
    path = tmp_path / default_weights().name
    shutil.copy(default_weights().with_suffix(".md"), path.with_suffix(".md"))
    path.write_bytes(default_weights().read_bytes()[:-1] + b"\0")
    monkeypatch.setattr(doctor, "default_weights", lambda: path)
    (wrong,) = told(doctor.look_at_weights).wrong
    assert "model card" in wrong


def test_packages_that_are_old_or_gone(monkeypatch):
    def version(name):
        if name == "isal":
            raise doctor.PackageNotFoundError(name)
        return "0.1" if name == "torch" else "99"

    monkeypatch.setattr(doctor, "version", version)
    gone, old = sorted(told(doctor.look_at_versions).wrong)
    assert re.match(r"isal>=\S+ is not installed \(getnet-bids needs it\); pip install 'isal>=", gone)
    assert "torch 0.1 is too old; pip install 'torch>=" in old


def test_packages_that_fail_or_end_the_process(monkeypatch, tmp_path):
    (tmp_path / "spoiled_one.py").write_text("raise OSError('libspoiled.so: cannot open')\n")
    (tmp_path / "spoiled_two.py").write_text("import os; os._exit(132)\n")
    (tmp_path / "spoiled_three.py").write_text("import no_such_module\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    names = ("json", "spoiled_one", "spoiled_two", "csv", "spoiled_three")
    monkeypatch.setattr(imports, "IMPORTS", dict.fromkeys(names, "a test needs it"))
    failing = imports.failing_imports()
    assert failing.keys() == {"spoiled_one", "spoiled_two", "spoiled_three"}
    one, two, three = (failing[f"spoiled_{number}"] for number in ("one", "two", "three"))
    assert "OSError libspoiled.so: cannot open" in one
    assert "(a test needs it): ends the process (exit 132)" in two
    assert "no_such_module" in three


@pytest.mark.parametrize(
    ("fails", "advised"),
    [
        ("raise PermissionError(13, 'Permission denied', '/home/none/.cache')", "set HOME to a folder"),
        ("raise OSError(30, 'Read-only file system', '/home/none/.cache')", "set HOME to a folder"),
        ("raise MemoryError", "more memory"),
        ("raise ImportError('libspoiled.so: failed to map segment from shared object')", "more memory"),
        ("raise ImportError('libspoiled.so: undefined symbol')", "install it again with pip"),
        ("'\\udcfc'.encode()", "PYTHONUTF8=1"),
    ],
)
def test_what_to_do_about_a_package_depends_on_why_it_fails(monkeypatch, tmp_path, fails, advised):
    (tmp_path / "spoiled.py").write_text(f"{fails}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(imports, "IMPORTS", {"spoiled": "a test needs it"})
    assert advised in imports.failing_imports()["spoiled"].rpartition(";")[2]


def test_a_package_that_is_not_installed_is_reported_once(monkeypatch):
    def version(name):
        if name == "nilearn":
            raise doctor.PackageNotFoundError(name)
        return "99"

    monkeypatch.setattr(doctor, "version", version)
    monkeypatch.setattr(doctor, "failing_imports", lambda: {"nilearn": "nilearn cannot", "PIL": "PIL cannot"})
    monkeypatch.setattr(doctor, "look_at_result", lambda *_: None)
    about = [line for line in doctor.diagnose().wrong if "nilearn" in line or "PIL" in line]
    assert len(about) == 2
    assert "nilearn>=" in about[0]
    assert about[1] == "PIL cannot"


def test_without_numpy_the_doctor_says_so():
    code = f"{BLOCK.format(names={'numpy'})}\nfrom getnet_bids.cli.app import main; sys.exit(main(['doctor']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout.splitlines()[1] == "WRONG  numpy is blocked; install getnet_bids again with pip"
    assert done.stderr == ""


def test_a_limit_of_addresses_is_a_fact():
    """As for jobs of Grid Engine and PBS."""
    code = (
        "import resource; from getnet_bids.run import doctor\n"
        "resource.setrlimit(resource.RLIMIT_AS, (9 * 10**9,) * 2)\n"
        "found = doctor.Diagnosis(); doctor.look_at_machine(found); print(found.facts)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ulimit -v 9.0 GB" in done.stdout


def test_what_slurm_gave_a_job_is_a_fact(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "2")
    (given,) = (what for about, what in told(doctor.look_at_machine).facts if about == "variables")
    assert "SLURM_JOB_ID=17 SLURM_CPUS_PER_TASK=2" in given


def test_a_temporary_folder_that_cannot_be_used_is_a_remark(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(doctor.tempfile, "tempdir", None)
    assert not told(doctor.look_at_temporary_folder).remarks
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    monkeypatch.setattr(doctor.tempfile, "tempdir", None)
    (remark,) = told(doctor.look_at_temporary_folder).remarks
    assert remark.startswith(f"TMPDIR={tmp_path / 'none'} is not")


def test_too_little_memory(monkeypatch):
    monkeypatch.setattr(doctor, "memory_limit", lambda: 1_000_000_000)
    (wrong,) = told(doctor.look_at_machine).wrong
    assert "1.0 GB of memory are less than the 2.0 GB" in wrong
    assert "--mem-mb 500" in wrong


def test_more_threads_than_processors_is_a_remark(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4000")
    found = told(doctor.look_at_machine)
    assert "4000 is more than the" in found.remarks[0]


def test_an_output_folder_that_is_not_there_would_be_made(tmp_path):
    found = told(doctor.look_at_folder, tmp_path / "new" / "out", "output")
    assert not found.wrong
    assert found.facts[0][1].startswith(f"{tmp_path / 'new' / 'out'}: ")
    assert not list(tmp_path.iterdir())


def test_an_output_folder_that_cannot_be_made_is_wrong_and_named(tmp_path):
    (tmp_path / "file").touch()
    (wrong,) = told(doctor.look_at_folder, tmp_path / "file" / "out", "output").wrong
    assert wrong.startswith(f"output folder {tmp_path / 'file' / 'out'}: cannot be written to: Not a directory")
    assert ".part" not in wrong


def test_a_package_that_this_python_has_not_is_a_remark(monkeypatch):
    class Ours:
        requires = ("antspyx>=0.5.3; python_version < '3'", "numpy>=1", "monai>=1; extra == 'monai'")

    def without_antspyx(name):
        if name == "antspyx":
            raise doctor.PackageNotFoundError(name)
        return "99"

    monkeypatch.setattr(doctor, "distribution", lambda name: Ours)
    for module in (doctor, imports):
        monkeypatch.setattr(module, "version", without_antspyx)
    found = told(doctor.look_at_versions)
    assert not found.wrong
    (remark,) = found.remarks
    assert re.match(r"antspyx is not there for Python 3\.\d+: --compare n4 does not run", remark)
    monkeypatch.setattr(imports, "IMPORTS", {"ants": "--compare needs it"})
    monkeypatch.setattr(imports.subprocess, "run", lambda *_, **__: pytest.fail("it was imported"))
    assert imports.failing_imports() == {}


def test_a_dataset_may_be_called_doctor(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "out", "participant"]) == 66
    assert "doctor: no such folder" in capsys.readouterr().err
