"""The files that the images are made from agree with each other and with the package; the build itself is a command."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
if not (ROOT / "Dockerfile").is_file():
    pytest.skip("not a checkout", allow_module_level=True)
DOCKERFILE = (ROOT / "Dockerfile").read_text()
APPTAINER = (ROOT / "Apptainer.def").read_text()


def versions(name):
    lines = (ROOT / name).read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    # The images' Python.
    here = [pin for pin in pins if pin.marker is None or pin.marker.evaluate({"python_version": "3.11"})]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in here}


LOCKED = versions("containers/lock.txt")


def test_the_lock_has_all_that_the_package_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in map(Requirement, project["dependencies"]):
        assert LOCKED[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_the_lock_has_the_versions_that_the_tests_passed_with():
    tested = versions("constraints.txt")
    assert {name: LOCKED[name] for name in LOCKED.keys() & tested.keys()} == {
        name: tested[name] for name in LOCKED.keys() & tested.keys()
    }


def test_the_two_images_have_the_same_environment():
    docker = re.search(r"^ENV (.*?[^\\])$", DOCKERFILE, re.MULTILINE | re.DOTALL)[1]
    ours = dict(pair.split("=", 1) for pair in docker.replace("\\\n", " ").split())
    theirs = dict(re.findall(r"^ +export (\w+)=(.+)$", APPTAINER.partition("%environment")[2], re.MULTILINE))
    # Apptainer has the /tmp of the host.
    assert theirs.pop("MPLCONFIGDIR").startswith(ours.pop("MPLCONFIGDIR"))
    assert ours == theirs
    assert ours["NO_ET"] == "1"


def test_the_two_images_have_the_same_arguments_and_steps():
    ours = dict(re.findall(r"^ARG (BASE|TORCH_INDEX)=(\S+)$", DOCKERFILE, re.MULTILINE))
    theirs = dict(re.findall(r"^    (BASE|TORCH_INDEX)=(\S+)$", APPTAINER, re.MULTILINE))
    assert ours == theirs
    assert len(ours) == 2
    steps = [re.findall(r"sh containers/install.sh (\w+)", text) for text in (DOCKERFILE, APPTAINER)]
    assert steps == [["dependencies", "package"]] * 2


def copied():
    """What Dockerfile copies from the checkout."""
    lines = [line for line in DOCKERFILE.splitlines() if re.match("COPY (?!--from)", line)]
    return [source for line in lines for source in line.split()[1:-1]]


def test_what_is_copied_is_there_and_not_ignored():
    let_in = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    files = APPTAINER.partition("%files")[2].partition("%post")[0]
    into_apptainer = re.findall(r"^    (\S+) /\S+$", files, re.MULTILINE)
    assert into_apptainer
    for source in [*copied(), *into_apptainer]:
        assert (ROOT / source).exists(), source
    for source in copied():
        assert any(source == name or source.startswith(f"{name}/") for name in let_in), source


def test_the_package_is_whole_in_the_build():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["setuptools"]["packages"]
    outside = {
        name.split(".")[1] for name in packages if name.startswith(("getnet_bids.workflows", "getnet_bids.training"))
    }
    assert {"getnet_bids", *outside} <= set(copied())
