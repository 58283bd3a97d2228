"""The pages on files, options and containers: what they print is run, from top to bottom, with the real libraries."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.datasets import add

from .snippets import DOCS, ROOT, blocks, lay_out

pytestmark = pytest.mark.slow

HERE = Path(sys.executable).parent
SESSIONS = [f"sub-01/ses-{label}/anat/sub-01_ses-{label}_T1w.nii.gz" for label in "ab"]


def shell(command: str, folder: Path) -> str:
    """Run a command with this environment's programs on the PATH; return what it prints."""
    env = {**os.environ, "PATH": f"{HERE}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout


def commands(page: str, word: str) -> list[str]:
    """Return the commands in those blocks of a page that contain a word."""
    return [line for block in blocks(DOCS / page, "console") if word in block.text for line in block.commands]


@pytest.fixture(scope="module")
def place(tmp_path_factory, head):
    """Return a folder with ``bids``, and the results of a plain run where the page on outputs has them."""
    folder = tmp_path_factory.mktemp("pages")
    lay_out(folder, head)
    for level in ("participant", "group"):
        shell(f"getnet-bids bids bids/derivatives/getnet {level}", folder)
    return folder


@pytest.mark.parametrize("word", ["BIDSLayout", "bids2table"])
def test_other_programs_read_the_outputs(place, word):
    (block,) = (block for block in blocks(DOCS / "outputs.rst", "python") if word in block.text)
    if importlib.util.find_spec(re.search(r"^(?:from|import) (\w+)", block.text)[1]) is None:
        pytest.skip(f"{word} is not installed")
    (place / "script.py").write_text(block.text)
    assert "sub-01_desc-preproc_T1w" in shell(f"{sys.executable} script.py", place)


def test_small_files(place):
    (command,) = commands("outputs.rst", "--output-dtype same")
    shell(command, place)
    (small,) = (place / "bids/derivatives/small").rglob("*_T1w.nii.gz")
    plain = place / "bids/derivatives/getnet" / small.relative_to(place / "bids/derivatives/small")
    assert nib.load(small).get_data_dtype() == np.int16
    assert small.stat().st_size < 0.7 * plain.stat().st_size
    np.testing.assert_allclose(nib.load(small).get_fdata(), nib.load(plain).get_fdata(), atol=0.51)


def test_sessions_at_the_same_time_and_the_layouts(place, tmp_path):
    image = nib.load(place / "T1w.nii.gz")
    shutil.copytree(place / "bids", tmp_path / "bids", ignore=shutil.ignore_patterns("sub-*", "derivatives"))
    add(tmp_path / "bids", *SESSIONS, image=image)
    shell("\n".join(commands("app.rst", "--session-label")), tmp_path)
    made = {path.name for path in (tmp_path / "out").rglob("*_desc-preproc_T1w.nii.gz")}
    assert made == {"sub-01_ses-a_desc-preproc_T1w.nii.gz", "sub-01_ses-b_desc-preproc_T1w.nii.gz"}
    cited = tmp_path / "out" / "logs"
    assert "@inproceedings" in (cited / "CITATION.bib").read_text()
    assert all("algorithm" in (cited / f"CITATION.{kind}").read_text() for kind in ("md", "html"))
    (command,) = commands("app.rst", "--output-layout")
    shell(command, tmp_path)
    assert len(list((tmp_path / "out" / "getnet_bids").rglob("*_desc-preproc_T1w.nii.gz"))) == 2


def test_an_image_of_simpleitk_gives_one(place):
    if importlib.util.find_spec("SimpleITK") is None:
        pytest.skip("SimpleITK is not installed: pip install 'getnet_bids[torchio]'")
    (block,) = (block for block in blocks(DOCS / "instead.rst", "python") if "SimpleITK" in block.text)
    (place / "script.py").write_text(block.text)
    shell(f"{sys.executable} script.py", place)
    plain = nib.load(next((place / "bids/derivatives/getnet").rglob("*_desc-preproc_T1w.nii.gz")))
    made = nib.load(place / "out.nii.gz")
    np.testing.assert_allclose(made.get_fdata(), plain.get_fdata(), rtol=1e-3)
    np.testing.assert_allclose(made.affine, plain.affine, atol=1e-4)


def test_the_boutiques_descriptor_is_made_as_printed(tmp_path):
    if shutil.which("bosh", path=HERE) is None:
        pytest.skip("boutiques is not installed: pip install 'getnet_bids[peers]'")
    (tmp_path / "containers").symlink_to(ROOT / "containers")
    for command in commands("hpc.rst", "bosh validate"):
        shell(command, tmp_path)
    assert json.loads((tmp_path / "getnet_bids.json").read_text())["container-image"]["image"] == "IMAGE"
