"""What is published: built, and installed where no checkout is."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import getnet_bids

ROOT = Path(__file__).parents[1]
SOURCES = {
    "getnet_bids": ROOT / "getnet_bids",
    "getnet_bids/training": ROOT / "training",
    "getnet_bids/workflows": ROOT / "workflows",
}
"""Folders of the package, and of the checkout."""
COMMANDS = ("getnet", "getnet-bids", "getnet-demo", "getnet-evaluate", "getnet-photographs", "getnet-train")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / "Makefile").is_file(), reason="this is no checkout"),
]


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command as a user without a checkout does; return what it prints."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COV", "PYTEST"))}
    made = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    # setuptools, of a folder with data that is not declared as a package.
    assert "would be ignored" not in made.stderr
    return made.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Build as a release does, the wheel from the source distribution, in a copy without what git leaves out."""
    copy = tmp_path_factory.mktemp("build") / "checkout"
    hidden = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "_build", "generated", "build", "dist", "runs")
    shutil.copytree(ROOT, copy, ignore=hidden)
    run(sys.executable, "-m", "build", "--no-isolation", cwd=copy)
    return copy


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    """Return the wheel that was built from the source distribution."""
    (found,) = (built / "dist").glob("*.whl")
    return found


def names_in(wheel: Path) -> set[str]:
    """List a wheel's files."""
    with zipfile.ZipFile(wheel) as file:
        return set(file.namelist())


def files_wanted() -> Iterator[str]:
    """List the modules and data of the package as they lie in the checkout."""
    for package, folder in SOURCES.items():
        for path in folder.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{package}/{path.relative_to(folder).as_posix()}"


def test_the_wheel_holds_the_package_whole_and_nothing_else(wheel):
    names = names_in(wheel)
    assert {name for name in names if ".dist-info/" not in name} == set(files_wanted())
    assert {"getnet_bids/weights/getnet.safetensors", "getnet_bids/weights/getnet.md", "getnet_bids/py.typed"} <= names
    assert sum(name.endswith(".dist-info/licenses/LICENSE") for name in names) == 1
    with zipfile.ZipFile(wheel) as file:
        weights = file.read("getnet_bids/weights/getnet.safetensors")
    assert weights == (ROOT / "getnet_bids/weights/getnet.safetensors").read_bytes()


def test_the_source_distribution_holds_no_more_than_it_takes_to_build(built):
    (archive,) = (built / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {member.name.partition("/")[2] for member in tar.getmembers() if member.isfile()}
    tops = {name.partition("/")[0] for name in names}
    assert {"LICENSE", "README.rst", "pyproject.toml", "setup.py", "getnet_bids", "training", "workflows"} <= tops
    assert not tops & {"benchmarks", "containers", "docs", "tests"}


def test_a_wheel_straight_from_the_checkout_holds_the_same(built, wheel, tmp_path):
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path, cwd=built)
    assert names_in(next(tmp_path.glob("*.whl"))) == names_in(wheel)


def test_metadata_for_the_index(wheel):
    with zipfile.ZipFile(wheel) as file:
        (name,) = (name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = file.read(name).decode()
    head = metadata.partition("\n\n")[0].splitlines()
    assert f"Version: {getnet_bids.__version__}" in head
    assert "License-Expression: Apache-2.0" in head
    assert "Description-Content-Type: text/x-rst" in head


def test_all_commands_work_where_it_is_installed(wheel, tmp_path):
    home = tmp_path / "env"
    run(sys.executable, "-m", "venv", "--without-pip", home, cwd=tmp_path)
    python = home / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    # The dependencies of this environment. Its own .pth files, an editable checkout among them, do not count there.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    package = Path(run(python, "-c", "import getnet_bids; print(getnet_bids.__file__)", cwd=tmp_path).strip())
    assert package.is_relative_to(home)

    for command in COMMANDS:
        assert command in run(home / "bin" / command, "--help", cwd=tmp_path)
        assert getnet_bids.__version__ in run(home / "bin" / command, "--version", cwd=tmp_path)
    ball = np.sum(np.square(np.mgrid[-1:1:24j, -1:1:24j, -1:1:24j]), 0) < 0.8
    image = (1000 * ball * np.linspace(0.8, 1.2, 24)).astype(np.float32)
    nib.Nifti1Image(image, np.diag([6, 6, 6, 1])).to_filename(tmp_path / "in.nii.gz")
    run(home / "bin" / "getnet", "in.nii.gz", "out.nii.gz", "--field", "field.nii.gz", "--device", "cpu", cwd=tmp_path)
    made, field = (np.asarray(nib.load(tmp_path / name).dataobj) for name in ("out.nii.gz", "field.nii.gz"))
    np.testing.assert_allclose(made * field, image, rtol=1e-5)
    assert made[ball].std() < 0.5 * image[ball].std()
