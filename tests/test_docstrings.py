"""Docstrings say what the signatures say."""

import importlib
import inspect
from collections.abc import Iterator
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


def modules() -> list[str]:
    """Name all modules of the package, those that lie beside its folder as well."""
    inside = [path.relative_to(ROOT) for path in (ROOT / "getnet_bids").rglob("*.py")]
    beside = [Path("getnet_bids", path.relative_to(ROOT)) for part in BESIDE for path in (ROOT / part).rglob("*.py")]
    return sorted(".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in inside + beside)


def objects(module: str) -> Iterator[str]:
    """Name a module's public functions, classes and methods."""
    for name, thing in vars(importlib.import_module(module)).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module:
            continue
        if inspect.isfunction(thing):
            yield f"{module}.{name}"
        if inspect.isclass(thing):
            yield f"{module}.{name}"
            methods = (key for key, value in vars(thing).items() if inspect.isfunction(value))
            yield from (f"{module}.{name}.{key}" for key in methods if not key.startswith("_"))


@pytest.mark.parametrize("module", modules())
@pytest.mark.filterwarnings("ignore:Unknown section (Inputs|Outputs)")
def test_a_section_of_parameters_is_the_signature(module):
    from numpydoc.validate import validate

    for name in objects(module):
        found = validate(name)
        if "\nParameters\n" in inspect.cleandoc(found["docstring"] or ""):
            assert not [text for code, text in found["errors"] if code in WRONG], name


@pytest.mark.parametrize("name", FRONT)
@pytest.mark.filterwarnings("ignore:Unknown section (Inputs|Outputs)")
def test_what_users_call_is_documented_whole(name):
    from numpydoc.validate import validate

    found = validate(name)
    assert not [text for code, text in found["errors"] if code in WRONG], name
    assert found["docstring"]
