"""What import-linter cannot see: `training` and `workflows` lie outside the package's folder."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(not (ROOT / "Makefile").is_file(), reason="this is no checkout")


def imports(path: Path) -> set[str]:
    """Absolute names of what a file of getnet_bids imports."""
    inside = path.is_relative_to(ROOT / "getnet_bids")
    package = ["getnet_bids", *path.relative_to(ROOT / "getnet_bids" if inside else ROOT).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = [*base, *([node.module] if node.module else [])]
            found |= {".".join([*stem, alias.name]) for alias in node.names}
    return found


def uses(folder: Path) -> set[str]:
    """Name the parts of getnet_bids, one below it, that the files of a folder import from, their own apart."""
    names = {name for path in folder.rglob("*.py") for name in imports(path)}
    parts = {name.split(".")[1] for name in names if name.startswith("getnet_bids.")}
    return parts - {folder.name, "__version__"}


@pytest.mark.parametrize("path", sorted((ROOT / "getnet_bids").rglob("*.py")), ids=lambda p: p.stem)
def test_nothing_in_the_package_uses_training(path):
    assert not [name for name in imports(path) if name.startswith("getnet_bids.training")]


@pytest.mark.parametrize("layer", ["core", "bids", "interfaces", "reports", "run", "cli"])
def test_only_the_comparison_uses_workflows(layer):
    assert "workflows" not in uses(ROOT / "getnet_bids" / layer)


def test_what_lies_outside_uses_what_it_may():
    assert uses(ROOT / "workflows") <= {"core", "interfaces"}
    assert uses(ROOT / "training") <= {"core", "files", "machine", "marks", "weights"}


def test_a_use_would_be_seen():
    """The other tests pass on nothing found: what is there must be found."""
    assert uses(ROOT / "workflows")
    assert {"core", "weights"} <= uses(ROOT / "training")
    assert "workflows" in uses(ROOT / "getnet_bids" / "comparison")
