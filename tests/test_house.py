"""Dependencies are declared and have tested versions; the workflows of GitHub run what the Makefile has."""

import ast
import re
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONTRIBUTING = ROOT / "CONTRIBUTING.rst"

ADAPTERS = ("monai", "torchio")
pytestmark = pytest.mark.skipif(not CONTRIBUTING.is_file(), reason="this is no checkout")


def declared() -> dict[str, set[str]]:
    """Return the names of the package's dependencies, by extra; those without an extra are "run"."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"run": project["dependencies"], **project["optional-dependencies"]}
    groups.pop("all")
    return {group: {name_of(text) for text in texts} - {"getnet_bids"} for group, texts in groups.items()}


def name_of(requirement: str) -> str:
    """Return the name in a requirement, in lower case."""
    return re.match(r"[\w.-]+", requirement)[0].lower()


def imported(path: Path) -> set[str]:
    """Name the distributions that a file imports from, those of the standard library and its own package apart."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules.add(node.module.partition(".")[0])
    outside = modules - sys.stdlib_module_names - {"getnet_bids"}
    return {distributions().get(module, [module])[0].lower() for module in outside}


@cache
def distributions() -> Mapping[str, list[str]]:
    """Name the distributions that each module comes from, also where antspyx has no release for this Python."""
    return {"ants": ["antspyx"], **packages_distributions()}


def workflows() -> list[Path]:
    """List the workflows of GitHub."""
    return sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_all_that_is_imported_is_declared():
    run, train = declared()["run"], declared()["train"] | declared()["parquet"]
    for folder in ("getnet_bids", "workflows"):
        for path in (ROOT / folder).rglob("[a-z_]*.py"):
            # An adapter to a library, and it alone, uses what the extra of that name brings.
            extra = declared()[path.stem] if path.parent == ROOT / "getnet_bids" and path.stem in ADAPTERS else set()
            assert imported(path) <= run | extra, path
    for path in (ROOT / "training").rglob("*.py"):
        assert imported(path) <= run | train, path


def test_lower_bounds_are_those_of_the_oldest_environment():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    all_of = [*project["dependencies"], *extras["train"], *extras["parquet"]]
    bounds = dict(text.partition(";")[0].split(">=") for text in all_of)
    lines = (ROOT / "constraints-min.txt").read_text().splitlines()
    oldest = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert oldest.keys() == bounds.keys()
    for name, version in oldest.items():
        # torch apart, see the file: a wheel without CUDA of the bound itself is not on every index.
        assert name == "torch" or padded(version) == padded(bounds[name]), name


def padded(version: str) -> list[int]:
    """Return a version as numbers that can be compared."""
    numbers = [int(part) for part in version.split(".")]
    return numbers + [0] * (4 - len(numbers))


def test_all_that_is_declared_has_a_tested_version():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    tested = {name_of(line) for line in lines if "==" in line}
    assert set().union(*declared().values()) <= tested


def test_workflows_run_what_the_makefile_has():
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    files = [*workflows(), ROOT / ".pre-commit-config.yaml", ROOT / ".ci" / "run"]
    asked = {file.name: re.findall(r"\bmake (?:--[a-z-]+ )*([a-z][a-z-]*)", file.read_text()) for file in files}
    assert set().union(*asked.values()) <= targets
    assert "test" in asked["test.yml"]
    assert "test" in asked["release.yml"]
    assert "docs" in asked["docs.yml"]


@pytest.mark.parametrize("path", workflows(), ids=lambda path: path.stem)
def test_workflows_may_do_no_more_than_read_unless_a_job_says_so(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 120, name
        for step in job["steps"]:
            # What an outsider names, such as a branch, must not become a part of a script.
            assert "${{" not in step.get("run", ""), step


@pytest.mark.parametrize("path", workflows(), ids=lambda path: path.stem)
def test_actions_are_named_by_commit_since_a_tag_can_be_moved(path):
    used = re.findall(r"uses: (.*)", path.read_text())
    assert used
    for action in used:
        # Dependabot reads the version in the comment, and writes the next one there.
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@pytest.mark.parametrize("path", workflows(), ids=lambda path: path.stem)
def test_files_that_workflows_name_are_there(path):
    named = re.findall(
        r"(?<!\S)(?:tests|containers|constraints)[\w./-]*\.(?:py|sh|txt)|(?<!\S)tests/\w+(?=\s)", path.read_text()
    )
    assert named or path.stem != "test"
    for name in named:
        assert (ROOT / name).exists(), name


def test_what_needs_other_peoples_libraries_is_run_with_them():
    of_peers = r"\b(monai|torchio|SimpleITK|smriprep|niworkflows|nibabies|pydra|bosh)\b"
    asks = rf"(importorskip|find_spec|which)\([^)]*{of_peers}|\[\"SimpleITK\"|^NEEDS = .*{of_peers}|\[\"monai\""
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("test_*.py")
        if path != Path(__file__) and re.search(asks, path.read_text(), re.MULTILINE)
    }
    listed = re.search(r"^PEERS := ((?:.*\\\n)*.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    assert files == set(listed.replace("\\", "").split()), "PEERS in the Makefile"
