"""What import-linter cannot see: `training` and `workflows` lie outside the package's folder."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def imports(path: Path) -> set[str]:
    """Absolute names of the modules that a file of getnet_bids imports."""
    package = ["getnet_bids", *path.relative_to(ROOT / "getnet_bids").parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = [*base, *([node.module] if node.module else [])]
            found |= {".".join([*stem, alias.name]) for alias in node.names}
    return found


@pytest.mark.parametrize("path", sorted((ROOT / "getnet_bids").rglob("*.py")), ids=lambda p: p.stem)
def test_nothing_in_the_package_uses_training(path):
    assert not [name for name in imports(path) if name.startswith("getnet_bids.training")]


@pytest.mark.parametrize("layer", ["core", "bids"])
def test_lower_layers_do_not_use_workflows(layer):
    for path in (ROOT / "getnet_bids" / layer).rglob("*.py"):
        assert not [name for name in imports(path) if name.startswith("getnet_bids.workflows")]
