"""The pages: they build without a warning, their links and options are real, their examples run."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import numpy as np
import pytest

import getnet_bids
from getnet_bids.bids.discovery import Source
from getnet_bids.bids.names import Name
from getnet_bids.bids.outputs import REFERENCES, Outputs, place_beside, sidecar
from getnet_bids.cli.app import main as app
from getnet_bids.cli.demo import MARK, demo_parser
from getnet_bids.cli.parser import app_parser, doctor_parser, image_parser
from getnet_bids.comparison.methods import METHODS
from getnet_bids.comparison.outputs import Comparison
from getnet_bids.core.correction import correct_volume
from getnet_bids.core.options import Options
from getnet_bids.reports.pictures import Pictures
from getnet_bids.training.cli import export_parser, train_parser
from getnet_bids.training.evaluation.cli import make_parser
from getnet_bids.training.gathering.cli import make_parser as gather_parser
from getnet_bids.training.recipe import load_recipe
from getnet_bids.weights import load_network

from .snippets import DOCS, OUTPUTS, README, ROOT, as_pattern, blocks, lay_out, undescribed, words

N4 = METHODS["n4"]

PAGES = sorted(DOCS.glob("*.rst"))
PARSERS = {
    "getnet": image_parser,
    "getnet-bids": app_parser,
    "getnet-bids doctor": doctor_parser,
    "getnet-demo": demo_parser,
    "getnet-photographs": gather_parser,
    "getnet-train": train_parser,
    "getnet-train export": export_parser,
    "getnet-evaluate": make_parser,
}
FOREIGN = {"--nv", "--cleanenv", "--target", "--gres", "--ntasks-per-node", "--time"}
FOREIGN |= {"--subject-anatomical-reference", "--skull-strip-t1w", "--dwi-biascorrect"}
"""Options of other programs that pages speak of."""
OF_EXTRAS = {"getnet_bids.monai", "getnet_bids.torchio"}
"""Modules that import what only an extra brings."""


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """Build the pages from a copy, since Sphinx writes stubs beside its sources."""
    pytest.importorskip("sphinxarg", reason="the docs' tools are not installed")
    root = tmp_path_factory.mktemp("docs")
    shutil.copytree(DOCS, root / "docs", ignore=shutil.ignore_patterns("_build", "generated"))
    for path in ROOT.glob("*.rst"):
        shutil.copy(path, root)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", root / "docs", root / "html"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return root / "html"


class Page(HTMLParser):
    """What a page links to, and what can be linked to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors = {""}
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "id":
                self.anchors.add(value)
            elif name in ("href", "src") and value and tag != "link":
                self.links.append(value)


def actions(parser):
    """Return a parser's actions, those of its commands as well."""
    for action in parser._actions:
        yield action
        for name, below in (action.choices or {}).items() if action.dest == "command" else ():
            assert name
            yield from actions(below)


def options(parser):
    return {name for action in actions(parser) for name in action.option_strings if name.startswith("--")}


@pytest.mark.slow
def test_links_lead_somewhere(html):
    pages = {path: Page(path) for path in html.rglob("*.html")}
    assert len(pages) > 10
    broken = []
    for path, page in pages.items():
        for link in page.links:
            url = urlparse(link)
            if url.scheme in ("http", "https"):
                assert re.fullmatch(r"[\w-]+(\.[\w-]+)+", url.netloc), link
                continue
            target, anchor = urldefrag(link)
            target = (path.parent / unquote(target).split("?")[0]).resolve() if target else path
            if not target.exists() or (target in pages and unquote(anchor) not in pages[target].anchors):
                broken.append(f"{path.name}: {link}")
    assert broken == []


@pytest.mark.slow
def test_every_option_is_on_its_page(html):
    page = re.sub(r"<[^>]+>", "", (html / "options.html").read_text())
    for parser in PARSERS.values():
        for action in actions(parser()):
            assert action.help or action.dest == "command"
            for name in action.option_strings:
                assert name in page
    assert str(Path.home()) not in page


def test_options_that_pages_speak_of_are_there():
    known = set().union(*(options(parser()) for parser in PARSERS.values())) | FOREIGN
    spoken_of = {
        f"{page.name}: {name}": name
        for page in [*PAGES, README]
        for text in re.findall(r"``(--[^`]+)``", page.read_text())
        for name in re.findall(r"--[a-z][\w-]*", text)
    }
    assert len(spoken_of) > 50
    assert [where for where, name in spoken_of.items() if name not in known] == []
    assert set(spoken_of.values()) >= FOREIGN


def test_a_heading_is_not_lost_in_its_paragraph():
    """Sphinx takes a heading that is on one line with its underline and the text below it for ordinary text."""
    for page in [*ROOT.glob("*.rst"), *PAGES]:
        lost = re.findall(r"^.*\w ([-=.~^])\1{4,} \w.*$", page.read_text(), re.M)
        assert not lost, page.name


@pytest.mark.parametrize("page", [*PAGES, README], ids=lambda page: page.name)
def test_commands_on_pages_can_be_parsed(page):
    for block in blocks(page, "console"):
        for command in block.commands:
            program, *arguments = words(command)
            if arguments and f"{program} {arguments[0]}" in PARSERS:
                program, arguments = f"{program} {arguments[0]}", arguments[1:]
            if program in PARSERS:
                args = PARSERS[program]().parse_args(arguments)
                if program == "getnet-train":
                    load_recipe(args.recipe or "default", args.set)


def defined(module: str) -> set[str]:
    """Return the classes and functions that a module's source defines, without importing it."""
    source = Path(importlib.util.find_spec(module).origin).read_text()
    return {node.name for node in ast.parse(source).body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_python_on_pages_imports_is_there(page):
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("getnet_bids"):
                there = defined(node.module) if node.module in OF_EXTRAS else dir(importlib.import_module(node.module))
                assert {alias.name for alias in node.names} <= set(there)


def test_the_pictures_show_the_steps_that_are_taken(head, monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    pictures = importlib.import_module("make_pictures")
    steps = pictures.stages_of(head, (6.0, 6.0, 6.0))
    network, options = load_network(device="cpu"), Options(precision="float32")
    np.testing.assert_array_equal(steps.refined, correct_volume(head, (6.0,) * 3, network, options=options).field)
    start = correct_volume(head, (6.0,) * 3, network, options=replace(options, refine=False))
    np.testing.assert_array_equal(steps.fused, start.field)
    for cells in steps.cells.values():
        seen = ~np.isnan(cells) & steps.foreground
        # Each cell is one estimate of the slice that it is in, at the place where the fused field has about the same.
        assert np.corrcoef(np.log(cells[seen]), np.log(steps.fused[seen]))[0, 1] > 0.9


@pytest.mark.slow
def test_the_reference_has_the_public_names(html):
    names = re.findall(r"^\.\. auto\w+:: (\S+)$", (DOCS / "api.rst").read_text(), re.MULTILINE)
    public = {f"getnet_bids.{name}" for name in getnet_bids.__all__}
    assert {name for name in names if name.count(".") == 1} == public
    assert set(names) <= Page(html / "api.html").anchors
    for name in names:
        module, _, thing = name.rpartition(".")
        assert hasattr(importlib.import_module(module), thing)


@pytest.mark.parametrize("page", [page for page in PAGES if ">>> " in page.read_text()], ids=lambda page: page.name)
def test_examples_on_pages_run(page, tmp_path, head, monkeypatch):
    if "import ants" in page.read_text():
        pytest.importorskip("ants", reason="antspyx is not installed")
    lay_out(tmp_path, head)
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried > 0
    assert failed == 0


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Run the demo in the folder of an earlier one; return its folder and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    for name in (MARK, "thesis.txt", "bids/sub-coil/anat/notes.txt", "derivatives/notes.txt"):
        (folder / "demo-output" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "demo-output" / name).write_text("a user's")
    command = [sys.executable, "-m", "getnet_bids.cli.demo"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return folder, done.stdout


@pytest.mark.slow
def test_the_demo_leaves_files_that_are_not_its_own(demo):
    folder, _ = demo
    for name in ("thesis.txt", "bids/sub-coil/anat/notes.txt", "derivatives/notes.txt"):
        assert (folder / "demo-output" / name).read_text() == "a user's"


def near(one: str, other: str) -> bool:
    """Return whether two lines are the same but for the last digit or so of numbers after a point."""
    number = r"\d+\.\d+"
    pairs = zip(re.findall(number, one), re.findall(number, other), strict=False)
    return re.sub(number, "#", one) == re.sub(number, "#", other) and all(
        abs(float(a) - float(b)) <= 0.003 for a, b in pairs
    )


@pytest.mark.slow
def test_the_quick_start_shows_what_the_demo_prints(demo):
    _, printed = demo
    (shown,) = (b.text for b in blocks(DOCS / "quickstart.rst", "console") if b.commands[0] == "getnet-demo")
    # What getnet-bids says goes to standard error, and holds seconds and the time.
    shown_lines = [line for line in shown.splitlines()[1:] if not re.match(r"\[|getnet-bids:", line)]
    printed_lines = printed.rstrip().splitlines()
    assert len(shown_lines) == len(printed_lines)
    assert [pair for pair in zip(shown_lines, printed_lines, strict=True) if not near(*pair)] == []


@pytest.mark.slow
def test_the_quick_start_reads_the_sidecar(demo):
    folder, _ = demo
    (block,) = (b for b in blocks(DOCS / "quickstart.rst", "console") if b.commands[0].startswith("grep"))
    done = subprocess.run(block.commands[0], shell=True, cwd=folder, capture_output=True, text=True, check=True)
    pairs = zip(block.text.splitlines()[1:], done.stdout.splitlines(), strict=True)
    assert [pair for pair in pairs if not near(*(line.strip() for line in pair))] == []


def test_outputs_are_those_that_the_code_names():
    source = Source(Path("raw"), "sub-01/anat/sub-01_T1w.nii.gz", Name.parse("sub-01_T1w.nii.gz"))
    plain = Outputs.of(source, Path())
    expected = {*plain.images, *plain.sidecars, *Pictures.of(source.name, Path()).all}
    expected |= set(Pictures.of(source.name, Path(), "simulatedGetNet").all)
    for simulated in (False, True):
        for contrast in (None, "T1w"):
            if simulated and contrast:
                continue
            one = Comparison(source, Path(), N4, contrast=contrast, simulated=simulated)
            images = [*one.other.images, *one.getnet.images, one.dseg, one.mask, one.probseg("GM")]
            images += one.shaded.images if simulated else []
            expected |= {*images, *map(sidecar, images), one.dseg_table, one.metrics, one.figure}
            expected.add(one.metrics.with_suffix(".json"))
            expected |= {one.table1} if simulated else set()
    for suffix in REFERENCES:
        series = Source(Path("raw"), f"x/sub-01_{suffix}.nii", Name.parse(f"sub-01_{suffix}.nii"))
        mean = Outputs.of(series, Path(), reference_only=True)
        expected |= {mean.corrected, sidecar(mean.corrected)}
    expected |= {place_beside(plain.corrected, ending) for ending in ("dwi.bval", "dwi.bvec", "aslcontext.tsv")}
    named = {as_pattern(path, "sub-01", "T1w") for path in expected}
    page = OUTPUTS.read_text()
    # An extension in brackets behind a name stands for the same name with that extension.
    shown = set(re.findall(r"``(<source>_[^`]+\.[^`]+)``", page))
    for names, extensions in re.findall(r"((?:``<source>_[^`]+``,?\s+)+)\(((?:``\.\w+``(?:, )?)+)\)", page):
        stems = [name.removesuffix(".nii.gz").removesuffix(".tsv") for name in re.findall(r"``([^`]+)``", names)]
        shown |= {stem + extension for stem in stems for extension in re.findall(r"``(\.\w+)``", extensions)}
    assert shown == named


def test_every_file_of_a_run_that_failed_is_explained(tmp_path, head):
    lay_out(tmp_path, head)
    broken = tmp_path / "bids/sub-01/anat/sub-01_T2w.nii.gz"
    broken.write_bytes((tmp_path / "T1w.nii.gz").read_bytes()[:-1000])
    out = tmp_path / "out"
    assert app([str(tmp_path / "bids"), str(out), "participant", "--device", "cpu"]) == 1
    assert app([str(tmp_path / "bids"), str(out), "group"]) == 1
    assert undescribed(out, "sub-01", "T1w") == []
