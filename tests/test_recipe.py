"""What tells others of a release agrees with the package: conda's recipe, CITATION.cff, Zenodo, the change log."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from jinja2 import Environment
from packaging.requirements import Requirement
from packaging.version import Version

import getnet_bids

ROOT = Path(__file__).parents[1]
if not (ROOT / "recipe").is_dir():
    pytest.skip("not a checkout", allow_module_level=True)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OTHER_NAMES = {"isal": "python-isal", "torch": "pytorch", "matplotlib": "matplotlib-base"}
"""What conda-forge calls packages of PyPI."""


SECTIONS = ["package", "source", "build", "requirements", "test", "about", "extra"]
"""In the order that conda-forge's linter asks for."""


@pytest.fixture(scope="module")
def recipe():
    text = (ROOT / "recipe" / "meta.yaml").read_text()
    return yaml.safe_load(Environment(autoescape=False).from_string(text).render(PYTHON="python"))


def test_the_recipe_needs_what_the_package_needs(recipe):
    ours = {}
    for requirement in map(Requirement, PROJECT["dependencies"]):
        ours[OTHER_NAMES.get(requirement.name, requirement.name)] = str(requirement.specifier)
    theirs = dict(line.split() for line in recipe["requirements"]["run"])
    assert theirs.pop("python") == PROJECT["requires-python"]
    assert theirs == ours


def test_the_recipe_has_the_packages_version_and_commands(recipe):
    assert recipe["package"]["version"] == getnet_bids.__version__
    assert dict(line.split(" = ") for line in recipe["build"]["entry_points"]) == PROJECT["scripts"]
    assert (ROOT / "recipe" / recipe["source"]["path"] / "pyproject.toml").is_file()
    assert (ROOT / recipe["about"]["license_file"]).is_file()


def test_the_recipe_keeps_the_rules_of_conda_forge(recipe):
    assert list(recipe) == SECTIONS
    assert recipe["package"]["name"] == recipe["package"]["name"].lower()
    assert recipe["build"]["noarch"] == "python"
    assert recipe["build"]["number"] == 0
    # The least Python is named once: built and tested with it alone, run with it and what is newer.
    least = PROJECT["requires-python"].removeprefix(">=")
    host, run, test = recipe["requirements"]["host"], recipe["requirements"]["run"], recipe["test"]
    assert host[0] == test["requires"][0] == f"python {least}"
    assert run[0] == f"python >={least}"
    assert {"pip", *tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]} == {
        line.replace(" ", "") for line in host[1:]
    }
    for line in [*host, *run, *test["requires"]]:
        assert re.fullmatch(r"[a-z][a-z0-9-]*( >?=?[0-9][0-9.]*)?", line), line
    assert "pip check" in test["commands"]
    assert {command.split()[0] for command in test["commands"]} <= {"pip", *PROJECT["scripts"]}
    assert recipe["about"]["license"] == PROJECT["license"]
    assert recipe["about"]["summary"]
    assert recipe["extra"]["recipe-maintainers"]


def test_the_citation_has_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert str(citation["version"]) == getnet_bids.__version__
    assert citation["license"] == PROJECT["license"]


def test_zenodo_has_the_citations_words():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    zenodo = json.loads((ROOT / ".zenodo.json").read_text())
    assert zenodo["title"] == citation["title"]
    assert zenodo["keywords"] == citation["keywords"]
    assert zenodo["license"] == citation["license"]
    assert [one["name"] for one in zenodo["creators"]] == [one["name"] for one in citation["authors"]]


def test_the_change_log_begins_with_this_version():
    first = (ROOT / "CHANGES.rst").read_text().split()[0]
    assert Version(first).release == Version(getnet_bids.__version__).release


def test_the_paper_cites_what_its_references_have():
    text = (ROOT / "paper" / "paper.md").read_text()
    entries = re.findall(r"^@\w+\{(\w+),", (ROOT / "paper" / "paper.bib").read_text(), re.MULTILINE)
    assert len(entries) == len(set(entries)) > 5
    assert set(re.findall(r"[\[ ]@(\w+)", text)) == set(entries)
    assert 500 < len(text.split()) < 1500  # two pages
