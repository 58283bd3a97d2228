"""A dataset of two images and its derivatives, which most tests of the App use."""

import shutil

import pytest

from tests.datasets import ONE, TWO, add, app, as_scan, describe


@pytest.fixture(scope="package")
def finished(tmp_path_factory, head):
    """Return a dataset and its derivatives."""
    raw, out = tmp_path_factory.mktemp("finished") / "raw", tmp_path_factory.mktemp("finished") / "out"
    add(describe(raw), ONE, TWO, image=as_scan(head))
    (raw / "T1w.json").write_text('{"SkullStripped": true}')
    assert app(raw, out, "participant", "--device", "cpu") == 0
    return raw, out


@pytest.fixture
def dataset(finished, tmp_path):
    """Return a copy of it that may be changed."""
    raw, out = (shutil.copytree(path, tmp_path / path.name) for path in finished)
    return raw, out
