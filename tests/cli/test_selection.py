"""What is asked for by label and name, and what is said where there is none of it."""

from __future__ import annotations

import codecs

import pytest

from getnet_bids.cli.app import labels, main
from getnet_bids.run.console import CommandError
from tests.datasets import add, describe

IMAGES = (
    "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz",
    "sub-01/ses-b/anat/sub-01_ses-b_T1w.nii.gz",
    "sub-02/ses-a/anat/sub-02_ses-a_T2w.nii.gz",
)


@pytest.fixture
def dry_run(tmp_path, capsys):
    """Return a function that lists the images that options select, and what is said."""
    add(describe(tmp_path / "raw"), *IMAGES)
    (tmp_path / "raw" / "sub-03" / "anat").mkdir(parents=True)

    def run(*options):
        code = main([str(tmp_path / "raw"), str(tmp_path / "out"), "participant", "--dry-run", *options])
        printed = capsys.readouterr()
        return code, [line.split("\t")[0] for line in printed.out.splitlines()[1:]], printed.err

    return run


def test_all_that_is_asked_for_is_there(dry_run):
    assert dry_run() == (0, [*IMAGES], "")
    assert dry_run("--session-label", "a", "--participant-label", "01", "-m", "T1w") == (0, [IMAGES[0]], "")


@pytest.mark.parametrize(
    ("options", "absent"),
    [
        (("--session-label", "zz", "a"), "ses-zz"),
        (("--participant-label", "01", "02", "03"), "sub-03"),
        (("--participant-label", "01", "99"), "sub-99"),
        (("-m", "T1w", "T2w", "FLAIR"), "FLAIR"),
        (("--session-label", "a", "zz", "--participant-label", "03", "01"), "sub-03, ses-zz"),
    ],
)
def test_what_is_not_there_is_named_beside_what_is(dry_run, options, absent):
    code, taken, said = dry_run(*options)
    assert code == 0
    assert taken
    assert said == f"getnet-bids: no image to correct for {absent}; check the spelling, or leave it out\n"


@pytest.mark.parametrize(
    ("options", "absent"),
    [
        (("--session-label", "zz"), "ses-zz"),
        (("--participant-label", "03"), "sub-03"),
        (("--participant-label", "99"), "sub-99"),
        (("-m", "FLAIR"), "FLAIR"),
    ],
)
def test_alone_it_is_an_error_that_names_it(dry_run, options, absent):
    code, taken, said = dry_run(*options)
    assert (code, taken) == (18, [])
    assert said.count(absent) == 1
    assert said.count("\n") == 1


TABLE = "participant_id\tage\nsub-01\t30\nsub-02\tn/a\n"


@pytest.mark.parametrize(
    ("prefix", "content"),
    [
        ("sub-", b"sub-01\nsub-02\n"),
        ("sub-", codecs.BOM_UTF8 + b"01\r\n02\r\n"),
        ("sub-", "01\n02\n".encode("utf-16")),
        ("sub-", b"01, 02"),
        ("sub-", b"# these two\nsub-01 sub-02"),
        ("sub-", TABLE.encode()),
        ("sub-", codecs.BOM_UTF8 + TABLE.replace("\n", "\r\n").encode()),
        ("sub-", TABLE.encode("utf-16")),
        ("sub-", "participant_id\tcentre\r\nsub-01\tZürich\r\nsub-02\tn/a\r\n".encode("cp1252")),
        ("sub-", b"age,participant_id\n30,sub-01\n40,sub-02\n"),
        ("sub-", b'"participant_id";"age"\n"01";"30"\n"02";"40"\n'),
        ("ses-", b"session_id\tacq_time\nses-01\t2019\nses-02\tn/a\n"),
    ],
)
def test_files_of_labels(tmp_path, prefix, content):
    (tmp_path / "labels.tsv").write_bytes(content)
    assert labels([str(tmp_path / "labels.tsv")], prefix) == ("01", "02")


def test_a_file_without_a_label_is_named(tmp_path):
    (tmp_path / "labels.txt").write_text("# later\n")
    with pytest.raises(CommandError, match=r"labels\.txt: holds no label"):
        labels([str(tmp_path / "labels.txt")], "sub-")


def test_what_is_no_label_is_named_as_it_was_given():
    for given in ("sub-01/", "sub-sub-01"):
        with pytest.raises(CommandError, match=f"'{given}' is not a label"):
            labels([given], "sub-")


def test_several_files_and_labels_at_once(tmp_path):
    for name, text in (("a.txt", "01 02"), ("b.txt", "02\n04")):
        (tmp_path / name).write_text(text)
    assert labels([str(tmp_path / "a.txt"), "sub-03", str(tmp_path / "b.txt")], "sub-") == ("01", "02", "03", "04")
