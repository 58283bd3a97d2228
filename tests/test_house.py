"""The house in order: what CONTRIBUTING.rst and the workflows of GitHub speak of is there, and all of it."""

import ast
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONTRIBUTING = ROOT / "CONTRIBUTING.rst"
FOLDERS = ("getnet_bids", "workflows", "training", "benchmarks", "containers")
"""What is in these has to stand in the table of files."""
LONGEST = 400
"""Lines of a file."""

pytestmark = pytest.mark.skipif(not CONTRIBUTING.is_file(), reason="this is no checkout")


def files_told() -> list[str]:
    """List the files in the table: ``name`` in the first column, below a heading that is their folder."""
    section = CONTRIBUTING.read_text().partition("\nEvery file\n")[2].partition("\nHabits\n")[0]
    folder, found = "", []
    for line in section.splitlines():
        if heading := re.fullmatch("``([a-z_/]+/)``", line):
            folder = heading[1]
        elif row := re.match("((?:``[^`]+``(?:, )?)+)", line):
            found += [folder + name for name in re.findall("``([^`]+)``", row[1])]
    return found


def files_there() -> list[str]:
    """List the files of the folders that the table is of."""
    paths = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file())
    hidden = {"__pycache__"}
    return [path.relative_to(ROOT).as_posix() for path in paths if not hidden & set(path.parts)]


def declared() -> dict[str, set[str]]:
    """Give the names of the package's dependencies, by extra; those without an extra are "run"."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"run": project["dependencies"], **project["optional-dependencies"]}
    groups.pop("all")
    return {group: {name_of(text) for text in texts} - {"getnet_bids"} for group, texts in groups.items()}


def name_of(requirement: str) -> str:
    """Give the name in a requirement, in lower case."""
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
    return {distributions()[module][0].lower() for module in outside}


@cache
def distributions() -> Mapping[str, list[str]]:
    """Name the distributions that each module comes from."""
    return packages_distributions()


def workflows() -> list[Path]:
    """List the workflows of GitHub."""
    return sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_the_table_names_every_file_once_and_no_other():
    told = Counter(files_told())
    assert not [name for name, count in told.items() if count > 1]
    assert sorted(told) == sorted(files_there())


@pytest.mark.parametrize("folder", [*FOLDERS, "tests", "docs"])
def test_no_file_is_too_long_to_be_one_idea(folder):
    lengths = {path: len(path.read_text().splitlines()) for path in (ROOT / folder).rglob("*.py")}
    assert not {str(path): length for path, length in lengths.items() if length > LONGEST}


def test_all_that_is_imported_is_declared():
    run, train = declared()["run"], declared()["train"]
    for folder in ("getnet_bids", "workflows"):
        for path in (ROOT / folder).rglob("*.py"):
            assert imported(path) <= run, path
    for path in (ROOT / "training").rglob("*.py"):
        assert imported(path) <= run | train, path


def test_each_dependency_is_justified():
    section = CONTRIBUTING.read_text().partition("\nDependencies\n")[2]
    rows = [re.split(" {2,}", line) for line in section.split("\n\n")[2].splitlines() if not line.startswith("=")]
    assert rows[0] == ["package", "what for", "why not less"]
    assert sorted(row[0] for row in rows[1:]) == sorted(set().union(*declared().values()))
    assert all(len(row) == 3 for row in rows)


def test_lower_bounds_are_those_of_the_oldest_environment():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = dict(text.split(">=") for text in [*project["dependencies"], *project["optional-dependencies"]["train"]])
    lines = (ROOT / "constraints-min.txt").read_text().splitlines()
    oldest = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert oldest.keys() == bounds.keys()
    for name, version in oldest.items():
        # torch apart, see the file: a wheel without CUDA of the bound itself is not on every index.
        assert name == "torch" or padded(version) == padded(bounds[name]), name


def padded(version: str) -> list[int]:
    """Give a version as numbers that can be compared."""
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
            assert re.search(r"@(v\d|release/v\d)", step.get("uses", "@v1")), step
            # What an outsider names, such as a branch, must not become a part of a script.
            assert "${{" not in step.get("run", ""), step
