"""README: what it shows runs as printed, its links lead somewhere, and it renders where Sphinx is not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlparse

import pytest
from PIL import Image

from .snippets import README, ROOT, blocks, lay_out, undescribed, words

pytestmark = pytest.mark.slow

TEXT = README.read_text()
NOT_RUN = {
    "pip install --extra-index-url https://download.pytorch.org/whl/cpu .": "the same, from torch's own index",
    "pip install .": "is what the tests' environment is made by",
    "pip install '.[train]'": "the same",
    "getnet-train --recipe default --data /data/photographs": "trains for hours",
}


def environment() -> dict[str, str]:
    """Return an environment with the entry points on the PATH."""
    path = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
    return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def place(tmp_path_factory, head):
    """Return a folder in which all commands of README have been run, from top to bottom."""
    folder = tmp_path_factory.mktemp("readme")
    lay_out(folder, head)
    commands = [command for block in blocks(README, "console") for command in block.commands]
    for command in commands:
        if " ".join(command.split("#")[0].split()) in NOT_RUN:
            continue
        done = subprocess.run(command, shell=True, cwd=folder, env=environment(), capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    return folder


def test_all_four_ways_are_shown():
    shown = TEXT[TEXT.index("Four ways") : TEXT.index("What you get")]
    for way in ("getnet-bids bids", "getnet T1w", "GetNetCorrection", "getnet_bids.correct("):
        assert way in shown


def test_commands_run_as_printed(place):
    assert {"corrected.nii.gz", "field.nii.gz"} <= {path.name for path in place.iterdir()}
    assert (place / "bids/derivatives/getnet/group_metrics.html").is_file()
    assert (place / "comparison/sub-01/anat/sub-01_desc-N4_T1w.nii.gz").is_file()


def test_what_is_said_to_be_written_is_there(place):
    (listing,) = (block.text for block in blocks(README, "text") if "biasfield" in block.text)
    for line in listing.splitlines():
        pattern = line.split()[0].replace("<run>", "*")
        assert list((place / "bids/derivatives/getnet").glob(pattern)), pattern


def test_every_file_of_these_runs_is_explained(place):
    for folder in ("bids/derivatives/getnet", "comparison"):
        assert undescribed(place / folder, "sub-01", "T1w") == []


@pytest.mark.parametrize("block", blocks(README, "python"), ids=lambda block: block.text.split()[1])
def test_python_runs_as_printed(block, tmp_path, head):
    lay_out(tmp_path, head)
    checks = {
        "GetNetCorrection": "assert outputs.output_image and outputs.bias_image",
        "correct(": "assert result.field",
    }
    (check,) = (check for word, check in checks.items() if word in block.text)
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", f"{block.text}\n{check}"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_is_not_run_would_run():
    from getnet_bids.training.cli import train_parser
    from getnet_bids.training.recipe import load_recipe

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    printed = {" ".join(c.split("#")[0].split()) for b in blocks(README, "console") for c in b.commands}
    assert set(NOT_RUN) <= printed
    for command in NOT_RUN:
        program, *arguments = words(command)
        if program == "pip":
            assert set(re.findall(r"\[(\w+)\]", command)) <= set(extras)
        else:
            load_recipe(train_parser().parse_args(arguments).recipe, [])


def test_links_lead_somewhere():
    targets = re.findall(r"`[^`<]+<([^>]+)>`__", TEXT) + re.findall(r"^.. image:: (.+)$", TEXT, re.MULTILINE)
    files = re.findall(r"``((?:benchmarks|docs|getnet_bids)/[\w./-]+)``", TEXT)
    assert len(targets) > 8
    for target in targets + files:
        link = urlparse(target)
        if link.scheme:
            assert link.scheme == "https"
            assert re.fullmatch(r"[\w-]+(\.[\w-]+)+", link.netloc)
        else:
            assert (ROOT / target).is_file(), target


def test_the_picture_is_small_and_whole():
    (name,) = re.findall(r"^.. image:: (.+)$", TEXT, re.MULTILINE)
    assert (ROOT / name).stat().st_size < 300_000
    with Image.open(ROOT / name) as picture:
        picture.verify()
        assert picture.width > 800


def test_it_renders_without_sphinx():
    docutils = pytest.importorskip("docutils.core")
    docutils.publish_string(TEXT, writer="html5", settings_overrides={"halt_level": 1, "report_level": 1})
    assert not re.findall(r":[a-z]+:`", TEXT)
