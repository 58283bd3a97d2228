from __future__ import annotations

import pytest

from getnet_bids.bids.dataset import prepare_output
from getnet_bids.cli.app import check, parse
from getnet_bids.run import console as exits


@pytest.fixture
def checked(make_dataset, tmp_path, monkeypatch):
    """Return a function that checks a command line on a dataset."""
    monkeypatch.chdir(tmp_path)
    # What is checked here does not depend on antspyx, which some Pythons have no release of.
    monkeypatch.setattr("getnet_bids.cli.app.is_installed", lambda name: True)
    make_dataset()

    def run(*arguments, level="participant"):
        args = parse(["raw", "out", level, *arguments])
        check(args)
        return args

    return run


def refused(checked, *arguments, **options):
    with pytest.raises(exits.CommandError) as caught:
        checked(*arguments, **options)
    return caught.value.code, str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--simulate-gain", "30"], "--simulate-gain does something only with --compare n4"),
        (["--segmentation", "none"], "--segmentation does"),
        (["--template", "OASIS30ANTs"], "--template does"),
        (["--derivatives", "x=."], "--derivatives does"),
        (["--use-plugin", "x.yml"], "--use-plugin does"),
        (["--write-graph"], "--write-graph does"),
        (["--compare", "n4", "--random-seed", "3"], "--random-seed does something only with --simulate-gain"),
        (["--compare", "n4", "--segmentation", "derivatives"], "needs --derivatives"),
        (["--reports-only", "--dry-run"], "contradict"),
        (["--reports-only", "--force"], "contradict"),
        (["--compare", "n4", "--derivatives", "x=raw", "x=."], "two folders"),
        (["--participant-label", "a_b"], "not a label"),
    ],
)
def test_options_that_do_nothing_together(checked, arguments, said):
    code, text = refused(checked, *arguments)
    assert code == exits.USAGE
    assert said in text


@pytest.mark.parametrize("option", [["--compare", "n4"], ["--dry-run"], ["--force"], ["--reports-only"]])
def test_options_of_the_other_level(checked, option):
    code, text = refused(checked, *option, level="group")
    assert code == exits.USAGE
    assert f"{option[0]} is for the participant level" in text


@pytest.mark.parametrize(
    ("arguments", "level"), [(["--reports-only"], "participant"), ([], "group")], ids=["reports", "group"]
)
def test_reports_need_results(checked, tmp_path, arguments, level):
    assert refused(checked, *arguments, level=level)[0] == exits.NO_INPUT
    prepare_output(tmp_path / "raw", tmp_path / "out")
    checked(*arguments, level=level)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--bids-filter-file", "absent.json"],
        ["--weights", "absent"],
        ["--compare", "n4", "--use-plugin", "absent.yml"],
        ["--compare", "n4", "--derivatives", "x=absent"],
    ],
)
def test_files_that_are_not_there(checked, arguments):
    code, text = refused(checked, *arguments)
    assert code == exits.NO_INPUT
    assert "absent" in text


def test_a_folder_in_place_of_a_file(checked):
    for option in ("--bids-filter-file", "--weights"):
        assert "raw: is a folder" in refused(checked, option, "raw")[1]


def test_what_fits_together_passes(checked):
    checked("--compare", "n4", "--simulate-gain", "30", "--random-seed", "3", "--derivatives", "x=raw", "y=raw")
    checked("--segmentation", "auto", "--template", "bundled", "--random-seed", "0")  # the defaults, said aloud


def test_labels(checked, tmp_path):
    assert checked("--participant-label", "sub-01", "02", "01").participant_label == ("01", "02")
    (tmp_path / "labels.txt").write_text("sub-03\n04\n")
    assert checked("--participant-label", "labels.txt").participant_label == ("03", "04")
    (tmp_path / "labels.txt").write_text("\n")
    assert "holds no label" in refused(checked, "--session-label", "labels.txt")[1]
    (tmp_path / "labels.txt").write_bytes(b"\xff\xfe\x00")
    assert "not a text file" in refused(checked, "--session-label", "labels.txt")[1]


def test_a_method_whose_package_is_not_installed_is_refused_at_once(checked, monkeypatch):
    checked("--compare", "n4")

    monkeypatch.setattr("getnet_bids.cli.app.is_installed", lambda name: False)
    code, said = refused(checked, "--compare", "n4")
    assert code == exits.USAGE
    assert said.startswith("--compare n4 needs antspyx: pip install antspyx; if there is none for Python 3.")
    checked()
