"""Sphinx configuration."""

from getnet_bids import __version__

project = "getnet_bids"
author = "The getnet_bids developers"
release = version = __version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.intersphinx", "numpydoc"]
autodoc_mock_imports = ["lightning", "tensorboard"]
autodoc_typehints = "none"
numpydoc_show_class_members = False
intersphinx_mapping = {}
html_theme = "furo"
html_title = f"getnet_bids {version}"
exclude_patterns = ["_build"]
