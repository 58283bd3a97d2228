from __future__ import annotations

import re
import tomllib
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from getnet_bids.bids.names import WEIGHTED
from getnet_bids.cli.app import parse
from getnet_bids.configuration import to_toml, toml
from getnet_bids.errors import GetNetError
from getnet_bids.run import console as exits
from getnet_bids.settings import Settings

BASE = ["raw", "out", "participant"]


@pytest.fixture
def config(tmp_path):
    """Return a function that parses a command line with a configuration file of some text."""

    def with_text(text, *arguments):
        path = tmp_path / "config.toml"
        path.write_text(text)
        return parse([*BASE, "--config-file", str(path), *arguments])

    return with_text


def test_values_of_all_kinds(config):
    args = config(
        """
        participant-label = ["01", "sub-02"]
        modalities = ["T1w"]
        derivatives = ["fmriprep=/data/fmriprep"]
        batch_size = 8
        smoothness = 40
        simulate-gain = 12.5
        refine = false
        no-field = true
        work-dir = "/scratch"
        device = "cuda:1"
        compare = "n4"
        nthreads = 4
        """
    )
    assert args.participant_label == ("01", "02")
    assert args.modalities == ("T1w",)
    assert args.derivatives == ("fmriprep=/data/fmriprep",)
    assert (args.batch_size, args.nprocs, args.smoothness, args.simulate_gain) == (8, 4, 40.0, 12.5)
    assert (args.refine, args.no_field, args.force) == (False, True, False)
    assert (args.work_dir, args.device, args.compare) == (Path("/scratch"), "cuda:1", "n4")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_files_of_other_editors(tmp_path, encoding):
    (tmp_path / "c.toml").write_bytes('work-dir = "/daten/Gehör"\r\n'.encode(encoding))
    assert parse([*BASE, "--config-file", str(tmp_path / "c.toml")]).work_dir == Path("/daten/Gehör")


def test_the_command_line_wins(config):
    text = 'refine = false\nbatch-size = 8\nparticipant-label = ["01"]\nprecision = "float32"\nmodalities = ["T2w"]\n'
    args = config(text, "--refine", "--participant-label", "02", "--participant-label", "03", "--batch-size", "32")
    assert args.participant_label == ("02", "03")  # not 01 as well
    assert (args.refine, args.batch_size, args.precision, args.modalities) == (True, 32, "float32", ("T2w",))
    assert config("", "-m", "PDw").modalities == ("PDw",)
    assert config("").modalities == WEIGHTED


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("participant_lable = ['01']", "did you mean participant-label?"),
        ("no-refine = true", "no option 'no-refine'"),
        ("config-file = 'x'", "no option 'config-file'"),
        ("bids_dir = '/x'", "no option 'bids_dir'"),
        ("[selection]\nmodalities = ['T1w']", "no option 'selection'"),
        ("refine = 'yes'", "true or false, not 'yes'"),
        ("batch-size = '8'", "a whole number, not '8'"),
        ("batch-size = true", "a whole number, not True"),
        ("batch-size = 8.0", "a whole number, not 8.0"),
        ("batch-size = 0", "'0' is not a whole number above 0"),
        ("smoothness = [3]", "a number, not [3]"),
        ("smoothness = -3", "not a number above 0"),
        ("weights = 3", "a string, not 3"),
        ("participant-label = [1, 2]", "a list of strings, not 1"),
        ("participant-label = []", "empty"),
        ("modalities = ['T1map']", "'T1map' is not one of T1w"),
        ("precision = 'half'", "'half' is not one of auto"),
        ("derivatives = ['a b=/x']", "NAME=PATH"),
        ("nprocs = 1\nn-cpus = 2", "twice"),
        ("refine = ", "not TOML"),
    ],
)
def test_what_is_wrong_is_told(config, text, said):
    with pytest.raises(exits.CommandError) as caught:
        config(text)
    assert said in str(caught.value)
    assert "config.toml" in str(caught.value)
    assert caught.value.code == exits.USAGE


def test_no_such_file():
    with pytest.raises(exits.CommandError) as caught:
        parse([*BASE, "--config-file", "absent.toml"])
    assert caught.value.code == exits.NO_INPUT


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--participant-label", "01", "02", "--no-refine", "--smoothness", "33.5", "--mem-mb", "4000", "-v"],
        ["-d", "a=x", "b=/y", "--compare", "n4", "--simulate-gain", "30", "--random-seed", "7", "-w", "work"],
        ["--weights", 'odd "name"/w.safetensors', "--bids-filter-file", "f.json", "--n-cpus", "3", "--force"],
    ],
)
def test_what_is_kept_comes_back(config, arguments):
    given = parse([*BASE, *arguments])
    back = config(to_toml(given, ["anything"]))
    for field in fields(given):
        name, value = field.name, getattr(given, field.name)
        if isinstance(value, Path) and name not in ("bids_dir", "output_dir"):
            value = value.absolute()
        if name == "derivatives" and value:
            value = tuple(f"{key}={path.absolute()}" for key, path in given.derivative_roots.items())
        assert getattr(back, name) == value, name


def test_the_kept_file_has_every_setting_and_the_run():
    kept = tomllib.loads(to_toml(parse([*BASE, "--weights", "w"]), ["raw", "out"]))
    assert kept.pop("run")["command"] == ["raw", "out"]
    optional = {field.name for field in fields(Settings) if field.default is None} - {"weights"}
    named = {field.name for field in fields(Settings)} - {"bids_dir", "output_dir", "analysis_level"} - optional
    assert {key.replace("-", "_") for key in kept} == named


def test_settings_never_change():
    with pytest.raises(FrozenInstanceError):
        parse(BASE).force = True


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"batch_size": 0}, "--batch-size: '0' is not"),
        ({"modalities": ("T1map",)}, "--modalities: 'T1map' is not one of"),
        ({"compare": "n5"}, "--compare: 'n5' is not one of n4"),
        ({"device": "gpu"}, "--device: 'gpu' is not"),
        ({"simulate_gain": 30.0}, "does something only with"),
    ],
)
def test_values_that_are_not_allowed_are_refused_wherever_they_come_from(values, said):
    with pytest.raises(GetNetError, match=re.escape(said)):
        Settings(bids_dir=Path("raw"), output_dir=Path("out"), analysis_level="participant", **values)


def test_options_are_toml():
    values = {"a": True, "b": 1.5, "c": 3, "d": ["x", 'quote " back \\ ünï 😀'], "e": Path("p/q"), "f": None, "g": []}
    assert tomllib.loads(toml(values)) == {**{k: v for k, v in values.items() if v is not None}, "e": "p/q"}
