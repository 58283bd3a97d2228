"""The Boutiques descriptor has what the parser has, and is valid."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from getnet_bids.cli.app import parse
from getnet_bids.cli.parser import app_parser
from getnet_bids.run import console

DESCRIBE = runpy.run_path(str(Path(__file__).parents[1] / "containers" / "boutiques.py"))["describe"]


def test_every_option_is_in_it_and_in_its_command_line():
    descriptor = DESCRIBE("ghcr.io/me/getnet_bids")
    flags = {one.get("command-line-flag") for one in descriptor["inputs"]}
    for action in app_parser()._actions:
        names = set(action.option_strings)
        assert not names or names & flags or action.dest in ("help", "version"), names
    keys = re.findall(r"\[\w+\]", descriptor["command-line"])
    assert keys == [one["value-key"] for one in descriptor["inputs"]]
    assert all(re.fullmatch(r"[\w /]+", error["description"]) for error in descriptor["error-codes"])
    assert {error["code"] for error in descriptor["error-codes"]} == {
        *(console.SOME_FAILED, console.NOT_BIDS, console.UNKNOWN_LEVEL, console.NOTHING_MATCHED, console.USAGE),
        *(console.BAD_DATA, console.NO_INPUT, console.CANNOT_CREATE, console.IO_ERROR),
    }


def test_types_are_those_of_the_options():
    kinds = {one["id"]: one for one in DESCRIBE()["inputs"]}
    assert kinds["smoothness"]["type"] == kinds["nprocs"]["type"] == "Number"
    assert (kinds["nprocs"]["integer"], kinds["smoothness"]["integer"]) == (True, False)
    assert kinds["no_refine"]["type"] == kinds["force"]["type"] == "Flag"
    assert (kinds["weights"]["type"], kinds["work_dir"]["type"]) == ("File", "String")
    assert kinds["modalities"]["list"]
    assert "T1w" in kinds["modalities"]["value-choices"]
    assert kinds["analysis_level"]["value-choices"] == ["participant", "group"]


def test_bosh_has_nothing_to_say(tmp_path):
    bosh = shutil.which("bosh", path=str(Path(sys.executable).parent))
    if bosh is None:
        pytest.skip("boutiques is not installed: pip install 'getnet_bids[peers]'")
    path = tmp_path / "getnet_bids.json"
    path.write_text(json.dumps(DESCRIBE("ghcr.io/me/getnet_bids:1")))
    subprocess.run([bosh, "validate", path], check=True)
    given = {"bids_dir": "/data", "output_dir": "/out", "analysis_level": "participant", "participant_label": ["01"]}
    (tmp_path / "given.json").write_text(json.dumps({**given, "no_refine": True, "smoothness": 90.5}))
    command = [bosh, "exec", "simulate", "-i", tmp_path / "given.json", path]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (line,) = (line for line in said.splitlines() if line.startswith("getnet-bids "))
    settings = parse(line.split()[1:])
    assert (settings.participant_label, settings.refine, settings.smoothness) == (("01",), False, 90.5)
