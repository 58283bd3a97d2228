"""Other systems than Linux, and installations that lack something; what the preambles do is shown to be done."""

from __future__ import annotations

import importlib.util
import pkgutil
import sys

import nibabel as nib
import numpy as np
import pytest

import getnet_bids

from .elsewhere import BLOCK, MACOS, WINDOWS, python

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="another system is simulated on Linux")

OPTIONAL = {"ants", "templateflow", "nilearn", "bids", "nipype", "matplotlib", "jinja2", "pandas", "sklearn"}
"""What one file's correction does without."""
BOTH = [WINDOWS, pytest.param(MACOS, marks=pytest.mark.slow)]
GETNET = "from getnet_bids.cli.one import main\nsys.exit(main(sys.argv[1:]))\n"
APP = "from getnet_bids.cli.app import main\nsys.exit(main(sys.argv[1:]))\n"
CORRECT = """
import getnet_bids
getnet_bids.correct(sys.argv[1], device="cpu").image.to_filename(sys.argv[2])
"""


@pytest.fixture(scope="module")
def scan(head, tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "in.nii.gz"
    nib.Nifti1Image(head.astype(np.int16), np.diag([6.0, 6.0, 6.0, 1.0])).to_filename(path)
    return path


@pytest.fixture(scope="module")
def expected(scan):
    return getnet_bids.correct(scan, device="cpu").image.get_fdata()


@pytest.mark.parametrize(
    ("preamble", "code", "options"),
    [
        (WINDOWS, GETNET, ["--device", "cpu"]),
        (WINDOWS, CORRECT, []),
        (MACOS, GETNET, ["--device", "cpu"]),
        (BLOCK.format(names=OPTIONAL), GETNET, ["--device", "cpu"]),
    ],
    ids=["getnet-windows", "correct-windows", "getnet-macos", "getnet-without"],
)
def test_one_image(scan, expected, tmp_path, preamble, code, options):
    done = python(preamble, code, scan, tmp_path / "out.nii.gz", *options)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(nib.load(tmp_path / "out.nii.gz").get_fdata(), expected, rtol=1e-4, atol=1e-3)
    assert not list(tmp_path.glob(".getnet-*"))


@pytest.mark.parametrize("preamble", BOTH, ids=["windows", "macos"])
def test_a_dataset_elsewhere(make_dataset, tmp_path, preamble):
    raw = make_dataset("sub-01/anat/sub-01_T1w.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz")
    for level in ("participant", "participant", "group"):
        done = python(preamble, APP, raw, tmp_path / "out", level, *["--device", "cpu"][: 2 * (level != "group")])
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
    assert len(list((tmp_path / "out").glob("sub-*/anat/*_desc-preproc_T1w.nii.gz"))) == 2
    assert (tmp_path / "out" / "desc-inu_metrics.tsv").is_file()
    assert not list((tmp_path / "out").rglob(".getnet-*"))


@pytest.mark.parametrize("preamble", BOTH, ids=["windows", "macos"])
def test_doctor_elsewhere(tmp_path, preamble):
    done = python(preamble, APP, "doctor", "--device", "cpu")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wrong             nothing" in done.stdout
    assert "self-test         error of the field" in done.stdout


def test_the_comparison_says_that_it_needs_a_unix(make_dataset, tmp_path):
    raw = make_dataset("sub-01/anat/sub-01_T1w.nii.gz")
    done = python(WINDOWS, APP, raw, tmp_path / "out", "participant", "--compare", "n4")
    assert done.returncode == 64
    why = "--compare needs nipype's plugins, which Windows has not got; use Linux, macOS, WSL or the container"
    assert done.stderr.splitlines()[-1] == f"getnet-bids: {why}"


IMPORTS = """
import importlib
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ImportError as error:
        print(name, error)
"""


def modules(package):
    path = importlib.util.find_spec(package).submodule_search_locations
    return [m.name for m in pkgutil.walk_packages(path, f"{package}.") if "__main__" not in m.name]


def test_every_module_imports_on_windows_but_those_that_run_nipype():
    adapters = {"getnet_bids.monai", "getnet_bids.torchio"}  # their libraries may not be here
    names = sorted({*modules("getnet_bids"), *modules("getnet_bids.workflows")} - adapters)
    done = python(WINDOWS, IMPORTS, *names)
    assert done.returncode == 0, done.stderr
    assert len(names) > 60
    failed = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert {name.rpartition(".")[0] for name in failed} <= {"getnet_bids.workflows", "getnet_bids.comparison"}
    assert set(failed.values()) <= {"pwd is blocked"}


@pytest.mark.slow
def test_the_training_imports_on_windows():
    done = python(f"import lightning, tensorboard\n{WINDOWS}", IMPORTS, *modules("getnet_bids.training"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_the_training_counts_processors_and_takes_signals_on_windows():
    code = """
from getnet_bids.training.gathering.shards import encoded
from getnet_bids.training.photographs import processors
from getnet_bids.training.signals import stop_on_signal
assert processors() > 0
assert list(encoded(0, [], None)) == []
with stop_on_signal() as asked:
    assert not asked.is_set()
"""
    done = python(f"import lightning, tensorboard\n{WINDOWS}", code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("preamble", "code"),
    [
        (WINDOWS, "import fcntl"),
        (WINDOWS, "import os; os.sched_getaffinity(0)"),
        (WINDOWS, "import signal; signal.SIGUSR1"),
        (WINDOWS, "import signal; signal.SIGIO"),
        (WINDOWS, "import os; os.O_NONBLOCK"),
        (WINDOWS, "import resource"),
        (WINDOWS, "import multiprocessing; 'forkserver' in multiprocessing.get_all_start_methods() or sys.exit(1)"),
        (MACOS, "os.sched_getaffinity(0)"),
        (MACOS, "open('/proc/meminfo')"),
        (MACOS, "open('/sys/fs/cgroup/cgroup.controllers')"),
        (WINDOWS, "import os; file = open(sys.argv[1], 'wb'); os.replace(sys.argv[1], sys.argv[1] + '2')"),
        (WINDOWS, "import os; file = open(sys.argv[1], 'wb'); os.unlink(sys.argv[1])"),
        (BLOCK.format(names=OPTIONAL), "import ants"),
    ],
)
def test_what_is_missing_is_missing(preamble, code, tmp_path):
    assert python(preamble, code, tmp_path / "file").returncode == 1


def test_the_plugin_starts_workers_without_a_forkserver():
    code = """
from getnet_bids.workflows.plugin import WatchedMultiProcPlugin, begin_worker, start_method
assert start_method() == "spawn"
plugin = WatchedMultiProcPlugin({"n_procs": 1})
assert plugin.pool.submit(len, "four").result() == 4
plugin.pool.shutdown()
"""
    done = python("import multiprocessing\nmultiprocessing.get_all_start_methods = lambda: ['spawn']\n", code)
    assert done.returncode == 0, done.stderr


def test_a_worker_ends_with_its_process_elsewhere_than_on_linux():
    code = """
import os, subprocess, sys
from multiprocessing import Pipe
from threading import Event
from getnet_bids.workflows.plugin import end_with
sys.platform = "darwin"
ours, theirs = Pipe()
end_with(ours.fileno())
theirs.close()
Event().wait(30)
sys.exit(5)
"""
    done = python("", code)
    assert done.returncode == 1, done.stderr
