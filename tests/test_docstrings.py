"""Docstrings say what the signatures say."""

from pathlib import Path

import pytest

import getnet_bids

ROOT = Path(__file__).parents[1]
BESIDE = ("training", "workflows")
"""Folders of modules that belong to the package and do not lie in its own."""
WRONG = {"PR01", "PR02", "PR03", "PR04", "PR06", "PR10"}
"""numpydoc's: parameters not documented, unknown, in another order, without a type."""
FRONT = [
    *(f"getnet_bids.{name}" for name in getnet_bids.__all__),
    "getnet_bids.core.correction.correct_volume",
    "getnet_bids.images.read",
    "getnet_bids.images.like",
    "getnet_bids.training.loop.train",
    "getnet_bids.workflows.init_comparison_wf",
    "getnet_bids.workflows.init_getnet_wf",
    "getnet_bids.workflows.init_n4_wf",
    "getnet_bids.workflows.init_tissue_wf",
]
"""What users call: here every parameter must be documented."""

pytestmark = pytest.mark.skipif(not (ROOT / "Makefile").is_file(), reason="this is no checkout")


@pytest.mark.parametrize("name", FRONT)
@pytest.mark.filterwarnings("ignore:Unknown section (Inputs|Outputs)")
def test_what_users_call_is_documented_whole(name):
    from numpydoc.validate import validate

    found = validate(name)
    assert not [text for code, text in found["errors"] if code in WRONG], name
    assert found["docstring"]
