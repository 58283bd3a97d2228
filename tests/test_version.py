import subprocess
from pathlib import Path

import pytest

import getnet_bids

ROOT = Path(__file__).parents[1]


def test_a_tag_on_this_commit_is_the_version():
    tags = subprocess.run(
        ["git", "-C", ROOT, "tag", "--points-at", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.split()
    if not tags:
        pytest.skip("this commit has no tag")
    assert getnet_bids.__version__ in tags
