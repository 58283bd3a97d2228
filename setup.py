"""Shim: maps the top-level folders ``workflows`` and ``training`` into the package; all else is in pyproject.toml."""

from setuptools import setup

setup(
    package_dir={
        "getnet_bids": "getnet_bids",
        "getnet_bids.workflows": "workflows",
        "getnet_bids.training": "training",
    }
)
