from __future__ import annotations

import json

import pytest

from getnet_bids.bids.discovery import find_images
from getnet_bids.bids.layout import (
    DATABASE,
    choose,
    image_files,
    open_layout,
    read_queries,
    suffixes_of,
)
from getnet_bids.bids.names import WEIGHTED
from tests.datasets import add, describe

bids_layout = pytest.importorskip("bids.layout")

TREE = [
    "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz",
    "sub-01/ses-a/anat/sub-01_ses-a_acq-x_run-1_T1w.nii.gz",
    "sub-01/ses-a/anat/sub-01_ses-a_run-02_T1w.nii",
    "sub-01/ses-a/anat/sub-01_ses-a_UNIT1.nii.gz",
    "sub-01/ses-a/anat/sub-01_ses-a_part-phase_T2w.nii.gz",
    "sub-01/ses-a/anat/sub-01_ses-a_T1map.nii.gz",
    "sub-01/ses-a/func/sub-01_ses-a_task-rest_bold.nii.gz",
    "sub-01/ses-b/anat/sub-01_ses-b_T1w.nii.gz",
    "sub-01/ses-b/anat/sub-01_ses-b_T2w.nii.gz",
    "sub-02/anat/sub-02_T1w.nii.gz",
    "sub-02/anat/sub-02_FLAIR.nii.gz",
    "sub-010/anat/sub-010_T1w.nii.gz",
    "derivatives/x/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
]
T1W = {path for path in TREE if path.endswith(("T1w.nii.gz", "T1w.nii")) and not path.startswith("deriv")}
OTHERS = {TREE[8], TREE[10]}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    add(describe(root), *TREE)
    (root / "sub-01" / "ses-a" / "anat" / "sub-01_ses-a_T1w.json").write_text('{"RepetitionTime": 2}')
    return root


def taken(root, content, tmp_path, database=None, participants=None):
    """Return the images that a filter file leaves."""
    (tmp_path / "filter.json").write_text(json.dumps(content))
    queries, _ = read_queries(tmp_path / "filter.json")
    layout = open_layout(root, database, participants)
    listing = None if database is None else image_files(layout)
    found = find_images(
        root, participants, None, suffixes_of(queries, WEIGHTED), listing, choose(layout, queries, WEIGHTED)
    )
    return {source.relative for source in found.sources}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, T1W),
        ({"session": "a"}, {*TREE[:3]}),
        ({"session": ["a", "b"]}, {*TREE[:3], TREE[7]}),
        ({"session": None}, {TREE[9], TREE[11]}),
        ({"session": "*", "acquisition": "Query.NONE", "run": None}, {TREE[0], TREE[7]}),
        ({"session": "<Query.ANY: 2>", "run": "Query.OPTIONAL"}, {*TREE[:3], TREE[7]}),
        ({"run": 2}, {TREE[2]}),
        ({"run": "02"}, {TREE[2]}),
        ({"acquisition": [None, "x"], "session": "a", "run": 1}, {TREE[1]}),
        ({"subject": "0[12]$", "regex_search": True, "session": None}, {TREE[9]}),
        ({"suffix": "UNIT1"}, {TREE[3]}),
        ({"suffix": ["T1w", "UNIT1"], "session": "a"}, {*TREE[:4]}),
        ({"suffix": "T1map"}, set()),
        ({"datatype": "func", "suffix": "bold"}, {TREE[6]}),
        ({"datatype": "func"}, set()),
        ({"extension": ".nii"}, {TREE[2]}),
    ],
)
def test_queries(tree, tmp_path, query, expected):
    assert taken(tree, {"t1w": query}, tmp_path) == expected | OTHERS


def test_each_suffix_has_a_query_of_its_own(tree, tmp_path):
    filters = {
        "t1w": {"subject": "02"},
        "T2w": {"session": "x"},
        "flair": {"subject": "02"},
        "bold": {"task": "rest"},
        "xfm": {},
    }
    assert taken(tree, filters, tmp_path) == {TREE[9], TREE[10]}
    assert read_queries(tmp_path / "filter.json")[1] == ["xfm"]


def test_no_query_is_as_no_file(tree, tmp_path):
    assert taken(tree, {}, tmp_path) == {source.relative for source in find_images(tree).sources}


def test_some_subjects_alone_are_indexed(tree, tmp_path):
    assert taken(tree, {}, tmp_path, participants=["02"]) == {TREE[9], TREE[10]}
    files = image_files(open_layout(tree, None, ["01"]))
    assert sorted(files) == sorted(TREE[:9])


def test_a_database_is_made_and_used_again(tree, tmp_path):
    database = tmp_path / "new" / "db"
    assert taken(tree, {}, tmp_path, database) == T1W | OTHERS
    assert [path.name for path in database.iterdir()] == [DATABASE]
    made = (database / DATABASE).stat()
    late = tree / "sub-02" / "anat" / "sub-02_T2w.nii.gz"
    late.touch()
    try:  # what has come since is not in it
        assert taken(tree, {}, tmp_path, database, ["02"]) == {TREE[9], TREE[10]}
    finally:
        late.unlink()
    assert (database / DATABASE).stat().st_mtime_ns == made.st_mtime_ns


def test_a_database_that_pybids_made_is_used(tree, tmp_path):
    bids_layout.BIDSLayout(tree, database_path=tmp_path / "theirs")
    assert taken(tree, {"t1w": {"session": "b"}}, tmp_path, tmp_path / "theirs") == {TREE[7]} | OTHERS


def test_databases_that_cannot_be_used(tree, tmp_path):
    other = tmp_path / "other"
    (other / "sub-01" / "anat").mkdir(parents=True)
    open_layout(other, tmp_path / "db", None)
    with pytest.raises(ValueError, match="is the database of"):
        open_layout(tree, tmp_path / "db", None)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / DATABASE).write_text("no database")
    with pytest.raises(ValueError, match="not a PyBIDS database"):
        open_layout(tree, tmp_path / "bad", None)


def test_an_index_that_fails_leaves_nothing_that_looks_whole(tree, tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(bids_layout.BIDSLayoutIndexer, "__call__", fail)
    with pytest.raises(KeyboardInterrupt):
        open_layout(tree, tmp_path / "db", None)
    assert not list((tmp_path / "db").iterdir())


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"foo": 1}, "query 't1w': 'foo' is not"),
        ({"RepetitionTime": 2}, "query 't1w': 'RepetitionTime' is not"),
        ({"run": "Query.SOME"}, "query 't1w': Query.SOME is not one of"),
        ({"session": "(", "regex_search": True}, "query 't1w'"),
    ],
)
def test_queries_that_cannot_be_asked(tree, tmp_path, query, said):
    with pytest.raises(ValueError, match="query") as caught:
        taken(tree, {"t1w": query}, tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"t1w": "session"}', '{"t1w": null}'])
def test_files_that_hold_no_queries(tmp_path, text):
    (tmp_path / "filter.json").write_text(text)
    with pytest.raises(ValueError, match=r"filter\.json"):
        read_queries(tmp_path / "filter.json")
