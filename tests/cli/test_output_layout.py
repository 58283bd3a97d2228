from __future__ import annotations

import pytest

from getnet_bids.cli.app import parse
from getnet_bids.configuration import to_toml

BIDS = ["raw", "out", "participant"]


@pytest.mark.parametrize(("given", "folder"), [((), "out"), (("bids",), "out"), (("legacy",), "out/getnet_bids")])
def test_output_layout(given, folder, tmp_path):
    settings = parse([*BIDS, *(f"--output-layout={one}" for one in given)])
    assert settings.output_dir.as_posix() == folder
    (tmp_path / "kept.toml").write_text(to_toml(settings))
    assert parse([*BIDS, "--config-file", str(tmp_path / "kept.toml")]).output_dir == settings.output_dir
