from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from getnet_bids.cli.parser import app_parser, image_parser
from getnet_bids.errors import GetNetError
from getnet_bids.settings import device, named_path, path, percent, positive_float, positive_int, seed

OPTIONS = Path(__file__).parents[2] / "docs" / "options.rst"
HEAVY = {"torch", "numpy", "nibabel", "nipype", "pandas", "ants", "jinja2", "bids", "pathspec", "scipy"}


def names(parser):
    return {name for action in parser._actions for name in action.option_strings if name.startswith("--")}


def test_getnet_has_no_options_of_datasets():
    shared = names(app_parser()) & names(image_parser())
    model = {"--weights", "--device", "--batch-size", "--precision", "--refine", "--no-refine", "--smoothness"}
    model |= {"--output-dtype", "--compress"}
    model |= {"--uncertainty"}  # a file of the one, a flag of the other
    assert shared == model | {"--help", "--verbose", "--version"}


@pytest.mark.parametrize("make", [app_parser, image_parser])
def test_every_option_has_help_and_the_docs_are_made_of_it(make):
    # tests/test_docs.py looks at what Sphinx makes of these lines.
    assert re.search(rf":module: getnet_bids.cli.parser\n +:func: {make.__name__}\n", OPTIONS.read_text())
    for action in make()._actions:
        assert action.help


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(option):
    script = (
        "import sys; from getnet_bids.cli.app import main\n"
        f"try: main([{option!r}])\n"
        f"except SystemExit: print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert done.stdout


@pytest.mark.parametrize(
    ("read", "good", "bad"),
    [
        (device, ["auto", "cpu", "cuda", "cuda:1", "mps"], ["gpu", "cuda:", "cuda:x", "cpu:0"]),
        (positive_int, ["1", "32"], ["0", "-1", "1.5", "x", ""]),
        (seed, ["0", "17"], ["-1", "1.0", str(2**63)]),
        (positive_float, ["0.5", "1e2"], ["0", "-3", "nan", "inf", "x"]),
        (path, ["a", "."], [""]),
        (percent, ["30", "0.1"], ["0", "100", "-5", "nan", "x"]),
        (named_path, ["a=/b", "fmriprep-23.1=x/y=z", "/data/smriprep"], ["=x", "a=", "a b=/x", "/"]),
    ],
)
def test_values(read, good, bad):
    for text in good:
        read(text)
    for text in bad:
        with pytest.raises(GetNetError, match=r"is not|NAME|is empty"):
            read(text)


def test_abbreviations_are_refused():
    with pytest.raises(SystemExit):
        app_parser().parse_args(["raw", "out", "participant", "--mod", "T1w"])
