"""What comes from outside is data: nothing in it is run, leads out of the output folder, or reaches a network."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from getnet_bids.bids.discovery import Source, find_images
from getnet_bids.bids.names import Name
from getnet_bids.bids.outputs import Outputs, sidecar
from getnet_bids.bids.provenance import KEY
from getnet_bids.cli import app
from getnet_bids.comparison.methods import METHODS
from getnet_bids.comparison.outputs import FILES, Comparison, files_before
from getnet_bids.run import console
from tests.phantoms.ellipsoid import scan

from ..reports.html import Page
from ..reports.test_browser import browser, show  # noqa: F401
from .images import nifti

N4 = METHODS["n4"]

ROOT = Path(__file__).parents[2]
SOURCES = [path for folder in ("getnet_bids", "workflows", "training") for path in (ROOT / folder).rglob("*.py")]
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"}
CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "torch.load",
    "yaml.load",
    "yaml.unsafe_load",
}
CALLS |= {"yaml.full_load", "yaml.load_all", "pandas.read_pickle", "pd.read_pickle", "torch.jit.load", "torch.hub.load"}
ALLOWED = {("training/checkpoint.py", "torch.load")}
"""A training's own checkpoint, read with weights_only=True, which unpickles tensors and plain values alone."""
ONE = "sub-01/anat/sub-01_T1w.nii.gz"


def calls_in(tree):
    """Return each call's dotted name and keyword arguments."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            yield ast.unparse(node.func), keywords


def imports_in(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_nothing_in_the_package_can_run_what_it_reads():
    """No pickle, no eval, no shell. What nipype leaves in its working folder are pickles of its own: docs say so."""
    assert len(SOURCES) > 80
    found = set()
    for path in SOURCES:
        tree, name = ast.parse(path.read_text()), path.relative_to(ROOT).as_posix()
        found |= {(name, module) for module in MODULES & set(imports_in(tree))}
        for call, keywords in calls_in(tree):
            if call in CALLS:
                found.add((name, call))
            assert keywords.get("allow_pickle", "False") == "False", name
            assert keywords.get("shell", "False") == "False", name
            if call == "torch.load":
                assert keywords["weights_only"] == "True", name
    assert found == ALLOWED


def tree_of(folder: Path) -> dict[str, str]:
    """Return every file and link of a folder, with its content's hash."""
    content = {}
    for path in folder.rglob("*"):
        if path.is_symlink():
            content[str(path)] = f"-> {os.readlink(path)}"
        elif path.is_file():
            content[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return content


EVIL = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"
AWAY = "../../../../away"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Return a dataset in which every text is hostile, what lay around it before, and what getnet-bids made of it."""
    around = tmp_path_factory.mktemp("around")
    raw, out = around / "raw", around / "out"
    anat = raw / "sub-01" / "anat"
    anat.mkdir(parents=True)
    away = around / "away"
    away.mkdir()
    (away / "precious.nii.gz").write_bytes(b"precious")
    evil = dict.fromkeys(("Manufacturer", "SeriesDescription", "PatientName", "SkullStripped", "Units"), EVIL)
    evil |= {"ImageType": [EVIL, "NORM"], "IntendedFor": [AWAY, "/etc/passwd"], "Sources": [f"bids:raw:{AWAY}"]}
    about = {"Name": EVIL, "BIDSVersion": "1.10.0", "Authors": [EVIL, "\ud800"], "License": AWAY, "DatasetDOI": EVIL}
    (raw / "dataset_description.json").write_text(json.dumps(about))
    (raw / "participants.tsv").write_text(f"participant_id\tname\nsub-{AWAY}\t{EVIL}\nsub-01\t=cmd|' /C calc'!A0\n")
    (raw / ".bidsignore").write_text("../\n/../**\n!\n[\n\\\n!../../away\n")
    (raw / "T1w.json").write_text(json.dumps(evil))
    (anat / "sub-01_T1w.json").write_text("[" * 200_000)
    nifti(scan((20, 22, 18))).to_filename(raw / ONE)
    cut = (raw / ONE).read_bytes()[:900]
    for name in (
        f"sub-01_acq-{EVIL.replace('/', '')}_T1w.nii.gz",
        "sub-..%2F..%2Faway_T1w.nii.gz",
        "\x1b]0;evil\x07_T1w.nii",
    ):
        (anat / name).write_bytes(cut)
    (anat / "sub-01_run-2_T1w.nii.gz").write_bytes(cut)
    (anat / "sub-01_run-3_T1w.nii.gz").symlink_to(away / "precious.nii.gz")
    (anat / "sub-01_run-4_T1w.nii.gz").symlink_to("/dev/zero")
    (raw / "sub-02").symlink_to(away)
    (raw / "sub-..").mkdir()
    (raw / "sub-..").rmdir()
    (raw / "sub-.._").mkdir()
    # Nobody asked for these.
    for name in ("getnet_bids.toml", "config.toml", "plugin.yml", "sitecustomize.py", "bids_filter_file.json"):
        (raw / name).write_text("work-dir = '../away'\nplugin: !!python/object/apply:os.mkdir [../away/ran]\n")
    before = tree_of(around)
    here = Path.cwd()
    try:
        os.chdir(raw)
        code = app.main([str(raw), str(out), "participant", "--device", "cpu", "-v"])
    finally:
        os.chdir(here)
    return raw, out, before, code


def test_nothing_leads_out_of_the_output_folder(hostile):
    raw, out, before, code = hostile
    after = tree_of(raw.parent)
    assert code == console.SOME_FAILED
    assert {path: mark for path, mark in after.items() if not path.startswith(f"{out}/")} == before
    assert not [path for path in out.rglob("*") if path.is_symlink()]
    (status,) = out.glob("logs/*/status.tsv")
    rows = {line.split("\t")[0]: line.split("\t")[1] for line in status.read_text().splitlines()[1:]}
    runs = {f"sub-01/anat/sub-01_run-{i}_T1w.nii.gz": "failed" for i in (2, 3, 4)}
    assert rows == {ONE: "done", **runs}
    assert "not a regular file" in status.read_text()
    assert app.main([str(out.parent / "raw"), str(out), "group"]) == 1
    after = tree_of(raw.parent)
    assert {path: mark for path, mark in after.items() if not path.startswith(f"{out}/")} == before


def test_json_that_is_written_can_be_read(hostile):
    for path in hostile[1].rglob("*.json"):
        json.loads(path.read_bytes())


def spoil(out):
    """Put hostile text into all that pages are made of: sidecar, logs, a crash file, a comparison's table."""
    path = out / "sub-01/anat/sub-01_desc-preproc_T1w.json"
    content = json.loads(path.read_text())
    content["Sources"] = [f"bids:raw:sub-01/anat/{EVIL}_T1w.nii.gz"]
    made = content[KEY]
    made.update(
        Device=EVIL, Remarks=[EVIL], Weights=EVIL, Software={EVIL: EVIL}, Options={EVIL: [EVIL]}, Seconds=10**400
    )
    made["Measures"][EVIL] = 1.0
    made["Figures"].update(Planes=[EVIL], Columns=EVIL, Window=[EVIL, EVIL])
    path.write_text(json.dumps(content))
    run = out / "logs" / "20200101T000000-0000"
    run.mkdir()
    source = f"sub-01/anat/{EVIL.replace('/', '')}_bold.nii.gz"
    lines = ["source\tstatus\tseconds\treason", f"{source}\tfailed\t1\t{EVIL}; see crash-a.txt"]
    lines += [f"javascript:alert(1)/../{EVIL}\tfailed\t1\t{EVIL}"]
    (run / "status.tsv").write_text("\n".join(lines) + "\n")
    (run / "crash-a.txt").write_text(EVIL)
    (out / "logs" / "CITATION.md").write_text(f"# Cite\n\n> {EVIL}\n\n*{EVIL}*\n")
    table = out / "sub-01/anat/sub-01_mod-T1w_desc-inu_metrics.tsv"
    table.write_text(f"region\tmethod\tcv\n{EVIL}\t{EVIL}\t{EVIL}\n")


@pytest.fixture(scope="module")
def pages(hostile, tmp_path_factory):
    """Return the pages of hostile results."""
    raw, out, *_ = hostile
    copy = tmp_path_factory.mktemp("pages") / "out"
    shutil.copytree(out, copy)
    spoil(copy)
    assert app.main([str(raw), str(copy), "participant", "--reports-only"]) == 0
    assert app.main([str(raw), str(copy), "group"]) == 1
    return [copy / "sub-01.html", copy / "group_metrics.html"]


def test_pages_escape_everything(hostile, pages):
    page = hostile[1] / "sub-01.html"
    Page(page).check(page.parent)
    for page in map(Page, pages):
        assert all("/json" in script.get("type", "") for script in page.all("script")[:-1])
        assert page.all("script")[-1] == {}  # the page's own, which its policy names by its hash
        for tag, attributes in page.elements:
            assert not [key for key in attributes if key.startswith("on")], tag
            assert attributes.get("src", "data:").startswith("data:")
            assert not re.match(r"\s*[a-z]+:|/|\.\.", attributes.get("href", "data").removeprefix("data:"))
    assert "onerror" in Page(pages[0]).text


def test_pages_do_nothing_in_a_browser(browser, pages):  # noqa: F811
    for path in pages:
        show(browser, path)
        assert "hacked" not in browser.title


def test_names_do_not_reach_the_terminal_as_they_are(capsys):
    console.say("sub-01_\x1b]0;evil\x07\x1b[31m\udc80_T1w.nii: passed\nover")
    assert capsys.readouterr().err == "getnet-bids: sub-01_\\x1b]0;evil\\x07\\x1b[31m\\xdc80_T1w.nii: passed over\n"


@pytest.mark.parametrize(
    "listed",
    [
        *("sub-01/../../x/anat/sub-01_T1w.nii", "../sub-01/anat/sub-01_T1w.nii", "/sub-01/anat/sub-01_T1w.nii"),
        *("sub-01/anat/../sub-01_T1w.nii", "sub-01/..//anat/sub-01_T1w.nii", "sub-01/ses-../anat/sub-01_T1w.nii"),
    ],
)
def test_an_index_does_not_lead_out_of_the_dataset(tmp_path, listed):
    """As a database that somebody else has made may say."""
    assert find_images(tmp_path, listing=[listed]).sources == []


def test_a_former_comparison_cannot_have_other_files_removed(tmp_path):
    source = Source(tmp_path / "raw", ONE, Name.parse("sub-01_T1w.nii.gz"))
    comparison = Comparison.of(source, tmp_path / "out", N4)
    ours = ["sub-01/anat/sub-01_desc-N4_T1w.nii.gz", "sub-01/figures/sub-01_mod-T1w_desc-inu_comparison.png"]
    others = ["../raw/sub-01/anat/sub-01_T1w.nii.gz", "/etc/passwd", "sub-02/anat/sub-02_T1w.nii.gz", "", "sub-01/anat"]
    others += ["sub-01/../sub-02/sub-01_x.nii.gz", "sub-01/anat/../../../sub-01_x", "dataset_description.json", "a\0b"]
    mark = sidecar(comparison.other.corrected)
    mark.parent.mkdir(parents=True)
    mark.write_text(json.dumps({KEY: {FILES: dict.fromkeys(ours + others, 1)}}))
    assert files_before(comparison)["Outputs"] == dict.fromkeys(ours, 1)
    for nonsense in ({}, {KEY: []}, {KEY: {FILES: ["x"]}}, {KEY: {FILES: 3}}):
        mark.write_text(json.dumps(nonsense))
        assert files_before(comparison) == {"Outputs": {}, "OutputChecksums": {}}


def test_outputs_stay_below_the_output_folder(tmp_path):
    source = Source(tmp_path / "raw", ONE, Name.parse("sub-01_T1w.nii.gz"))
    for path in Outputs.of(source, tmp_path / "out").images:
        assert path.resolve().is_relative_to((tmp_path / "out").resolve())
    for evil in ("sub-../../x_T1w.nii.gz", "sub-01_acq-../x_T1w.nii.gz", "../sub-01_T1w.nii.gz", "sub-01_T1w/../x.nii"):
        with pytest.raises(ValueError, match=r"value must match|not an entity|not a suffix"):
            Name.parse(evil)


DEEP = 20_000
HOSTILE_FILES = {
    "deep JSON": ("--bids-filter-file", '{"t1w":' * DEEP, "not JSON"),
    "JSON of another shape": ("--bids-filter-file", '{"t1w": ["a"]}', "must be an object of objects"),
    "deep TOML": ("--config-file", f"a = {'[' * DEEP}", "not TOML"),
    "deep tables in TOML": ("--config-file", f"a = {'{a=' * DEEP}", "not TOML"),
    "binary TOML": ("--config-file", b"\xff\xfe\x00", "not TOML"),
    "deep YAML": ("--use-plugin", "[" * DEEP, "not valid YAML"),
    "YAML with objects": ("--use-plugin", "plugin: !!python/object/apply:os.mkdir [ran]\n", "not valid YAML"),
    "YAML that grows": (
        "--use-plugin",
        "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)),
        "names no plugin",
    ),
}


@pytest.mark.parametrize("what", HOSTILE_FILES)
def test_hostile_files_of_options_are_refused_on_one_line(make_dataset, tmp_path, capsys, monkeypatch, what):
    option, text, reason = HOSTILE_FILES[what]
    raw, path = make_dataset(ONE), tmp_path / "given"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    monkeypatch.chdir(tmp_path)
    more = ["--compare", "n4"] if option == "--use-plugin" else []
    monkeypatch.setattr("getnet_bids.cli.app.is_installed", lambda name: True)  # some Pythons have no antspyx
    assert app.main([str(raw), str(tmp_path / "out"), "participant", option, str(path), *more]) == console.USAGE
    said = capsys.readouterr().err
    assert said.startswith("getnet-bids: ")
    assert reason in said
    assert said.count("\n") == 1
    assert len(said) < 1000
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("text", ["[" * DEEP, '{"a":' * DEEP, "\ud800".encode(errors="surrogatepass"), b"\0", b"{} {}"])
def test_a_hostile_description_is_no_dataset(make_dataset, tmp_path, capsys, text):
    raw = make_dataset(ONE)
    (raw / "dataset_description.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert app.main([str(raw), str(tmp_path / "out"), "participant"]) == console.NOT_BIDS
    assert capsys.readouterr().err.count("\n") == 1


HOOK = """
import os, sys
NETWORK = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}

def watch(event, arguments):
    local = event == "socket.connect" and isinstance(arguments[1], (str, bytes))
    if event in NETWORK and not local:
        with open(os.environ["WATCHED"], "a") as file:
            file.write(f"{event} {arguments}\\n")
        raise OSError(f"no network: {event}")

sys.addaudithook(watch)
"""


@pytest.fixture
def offline(tmp_path):
    """Return a function that runs Python in a process that is watched for networking, and has no network if may be."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(HOOK)
    alone = ["unshare", "-rn"]
    try:
        permitted = subprocess.run([*alone, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        permitted = False

    def run(*arguments):
        unset = ("NO_ET", "NIPYPE_NO_ET")
        env = {key: value for key, value in os.environ.items() if key not in unset}
        path = os.pathsep.join(filter(None, (str(tmp_path / "hook"), env.get("PYTHONPATH"))))
        env |= {"PYTHONPATH": path, "WATCHED": str(tmp_path / "watched"), "HOME": str(tmp_path)}
        command = [*(alone if permitted else []), sys.executable, *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        watched = tmp_path / "watched"
        return done.returncode, done.stderr, watched.read_text() if watched.exists() else ""

    return run


def test_the_watch_sees_networking(offline):
    """Or it would be no proof that there is none."""
    code, said, seen = offline("-c", "import urllib.request; urllib.request.urlopen('http://example.org')")
    assert code == 1
    assert "no network" in said
    assert "example.org" in seen


COMMANDS = """
import sys
from pathlib import Path
from getnet_bids.cli import app, one
raw, out, image = sys.argv[1:]
assert one.main([image, "corrected.nii.gz", "--device", "cpu"]) == 0
assert app.main([raw, out, "participant", "--device", "cpu"]) == 0
assert app.main([raw, out, "group"]) == 0
for picture in Path(out).rglob("*_before.jpg"):
    picture.unlink()  # to be drawn anew, for which nipype is loaded
assert app.main([raw, out, "participant", "--reports-only"]) == 0
assert list(Path(out).rglob("*_before.jpg"))
import getnet_bids.workflows
from getnet_bids.interfaces import GetNetCorrection
GetNetCorrection()
"""


def test_nothing_phones_home(offline, make_dataset, tmp_path):
    raw = make_dataset(ONE)
    code, said, seen = offline("-c", COMMANDS, raw, tmp_path / "out", raw / ONE)
    assert (code, seen) == (0, ""), said


@pytest.mark.slow
def test_a_comparison_phones_nowhere(offline, make_dataset, tmp_path):
    command = ["-m", "getnet_bids.cli.app", make_dataset(ONE), tmp_path / "out", "participant", "--compare", "n4"]
    code, said, seen = offline(*command, "--device", "cpu", "--nprocs", "1")
    assert (code, seen) == (0, ""), said
