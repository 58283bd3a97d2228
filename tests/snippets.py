"""Code blocks of README and docs, taken out as they are printed; and what the page of outputs says."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from getnet_bids import columns
from getnet_bids.comparison.methods import names as method_names
from tests.datasets import add, describe

ROOT = Path(__file__).parents[1]
README, DOCS = ROOT / "README.rst", ROOT / "docs"
OUTPUTS = DOCS / "outputs.rst"
AFFINE = np.diag([-2.0, 2, 2, 1])
"""2 mm voxels: the tests' head is too small for a human one then, so that no template is laid on it."""


@dataclass(frozen=True)
class Block:
    """A code block: its language, and its text without the indentation."""

    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """What stands behind the prompts, continued lines joined."""
        joined = re.sub(r"\\\n\s*", "", self.text)
        return [line.removeprefix("$ ") for line in joined.splitlines() if line.startswith("$ ")]


def blocks(page: Path, language: str) -> list[Block]:
    """Return a page's code blocks in a language."""
    found = re.finditer(rf"^( *)\.\. code-block:: {language}\n\n((?:\1 +.*\n|\n)+)", page.read_text(), re.MULTILINE)
    out = []
    for match in found:
        lines = match[2].rstrip("\n").splitlines()
        indent = min(len(line) - len(line.lstrip()) for line in lines if line)
        out.append(Block(language, "\n".join(line[indent:] for line in lines) + "\n"))
    return out


def words(command: str) -> list[str]:
    """Split a command as the shell does; a comment is none of it, nor where its output goes."""
    split = shlex.split(command, comments=True)
    return split[: next((i for i, word in enumerate(split) if word in ("|", ">")), len(split))]


def lay_out(folder: Path, head: np.ndarray) -> None:
    """Put a head where the snippets expect one: ``T1w.nii.gz``, and in a dataset, ``bids``."""
    image = nib.Nifti1Image(head.astype(np.int16), AFFINE)
    add(folder, "T1w.nii.gz", "bids/sub-01/anat/sub-01_T1w.nii.gz", image=image)
    describe(folder / "bids")


def undescribed(folder: Path, source: str, suffix: str) -> list[str]:
    """List the files of a derivative dataset, keys of its sidecars and columns of its tables that are not explained.

    Parameters
    ----------
    folder : Path
        With results of one image.
    source, suffix : str
        That image's name.
    """
    tables = [columns.STATUS, columns.MEASURES, columns.group_columns(method_names()), columns.comparison_columns([])]
    page = OUTPUTS.read_text() + "".join(
        f"``{column.name}`` {column.description}" for table in tables for column in table
    )
    missing = []
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        pattern = as_pattern(path.relative_to(folder), source, suffix)
        if not stands(pattern, page):
            missing.append(pattern)
        names: set[str] = set()
        if path.suffix == ".json" and path.name != "dataset_description.json" and path.name != "descriptions.json":
            names = keys(json.loads(path.read_text()))
        elif path.suffix == ".tsv":
            names = set(path.read_text().partition("\n")[0].split("\t"))
        missing += [f"{pattern}: {name}" for name in sorted(names) if f"``{name}``" not in page]
    return missing


def as_pattern(path: Path, source: str, suffix: str) -> str:
    """Turn a file's path into what the page calls it."""
    if path.parts[0] == "logs":
        return re.sub(r"^logs/[^/]+/", "logs/<run>/", path.as_posix())
    name = path.name.replace(source + "_", "<source>_").replace(f"-{suffix}_", "-<suffix>_")
    name = name.replace(f"_{suffix}.", "_<suffix>.")
    name = re.sub(r"label-\w+?_", "label-<tissue>_", name)
    return re.sub(r"^sub-\w+\.html", "sub-<label>.html", name)


def stands(pattern: str, page: str) -> bool:
    """Return whether a file is on the page, by its name, or by that of its image with the extension behind it."""
    if f"``{pattern}``" in page:
        return True
    stem, dot, extension = pattern.partition(".")
    cell = re.search(rf"``{re.escape(stem)}\.nii\.gz``[^*]*?(?=``<source>|\*|\n\n|$)", page)
    return cell is not None and f"``{dot}{extension}``" in cell[0]


BY_NAME = ("Outputs", "OutputChecksums", "Files", "FileChecksums", "Software", "given")
"""Keys of objects whose own keys are names of files or programs."""


def keys(content: dict[str, Any]) -> set[str]:
    """Return a sidecar's keys at all levels; what is listed by file or by program has no keys of its own."""
    found = set(content)
    for key, value in content.items():
        if isinstance(value, dict) and key not in BY_NAME:
            found |= keys(value) - {"Description", "Units"}
    return found
