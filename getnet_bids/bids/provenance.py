"""Provenance of results: what sidecars record of it, and whether an image is done according to them."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from getnet_bids.core import ALGORITHM
from getnet_bids.files import checksum, hash_bytes, hash_file, read_bytes

from .metadata import read_object
from .names import NIFTI
from .outputs import Outputs, sidecar

KEY = "GetNet"
"""Key of the sidecar for all provenance."""
INCOMPLETE = "Incomplete"
"""Key of the sidecar of a result that is being written."""
SIZES, CHECKSUMS = "Outputs", "OutputChecksums"
"""Keys within the provenance for the sizes and checksums of the files that were written."""
REFERENCE = "Reference"
"""Key within it for what a field was estimated from, if that is not just the image."""


@dataclass(frozen=True)
class Recipe:
    """All that determines a result apart from the image.

    Parameters
    ----------
    weights : Path
        File of the network's weights.
    weights_hash : str
        Hash of that file.
    options : dict
        All options that change a result; not device, threads and batch size, which change it by rounding only.
    algorithm : int
        The algorithm number.

    Examples
    --------
    >>> recipe = Recipe(Path("w"), "sha256:0", {"refine": True, "smoothness": None})
    >>> recipe.options_hash == Recipe(Path("w"), "sha256:0", {"smoothness": None, "refine": True}).options_hash
    True
    """

    weights: Path
    weights_hash: str
    options: dict[str, Any]
    algorithm: int = ALGORITHM

    @cached_property
    def options_hash(self) -> str:
        """Hash of the options, independent of their order."""
        return hash_bytes(json.dumps(self.options, sort_keys=True).encode())


@dataclass(frozen=True)
class InputFile:
    """The state of a file when it was read.

    Parameters
    ----------
    size : int
        Bytes.
    modified : int
        Microseconds since 1970: nanoseconds would not survive a JSON reader that knows only doubles.
    hash : str
        Hash of its content.
    """

    size: int
    modified: int
    hash: str

    @classmethod
    def read(cls, path: Path) -> tuple[InputFile, bytes]:
        """Read a file; return its state and its bytes."""
        modified = path.stat().st_mtime_ns // 1000
        data = read_bytes(path)
        return cls(len(data), modified, hash_bytes(data)), data

    @classmethod
    def of(cls, path: Path) -> InputFile:
        """Determine the state of a file without keeping its bytes."""
        found = path.stat()
        return cls(found.st_size, found.st_mtime_ns // 1000, hash_file(path))

    @property
    def as_json(self) -> dict[str, Any]:
        """The state as stored in a sidecar."""
        return {"Size": self.size, "Modified": self.modified, "Hash": self.hash}

    @classmethod
    def from_json(cls, content: Any) -> InputFile:
        """Read the state from a sidecar; missing values match no file."""
        found = content if isinstance(content, dict) else {}
        return cls(found.get("Size", -1), found.get("Modified", -1), str(found.get("Hash")))

    def is_still(self, path: Path) -> bool:
        """Return whether a file is unchanged. If only the time differs, as after a copy, the content is hashed."""
        now = path.stat()
        if now.st_size != self.size:
            return False
        return now.st_mtime_ns // 1000 == self.modified or hash_file(path) == self.hash


def provenance(
    recipe: Recipe, source: InputFile, images: list[Path], run: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return a sidecar's entry about provenance.

    Parameters
    ----------
    recipe : Recipe
    source : InputFile
        The raw image.
    images : list of Path
        The complete output images.
    run : dict, optional
        Version, device, seconds and other facts about the run.

    Returns
    -------
    dict
    """
    return {
        "InputHash": source.hash,
        "InputSize": source.size,
        "InputModified": source.modified,
        "Algorithm": recipe.algorithm,
        "Weights": recipe.weights.name,
        "WeightsHash": recipe.weights_hash,
        "Options": recipe.options,
        "OptionsHash": recipe.options_hash,
        **record(images),
        **(run or {}),
    }


def record(files: Iterable[Path], root: Path | None = None) -> dict[str, Any]:
    """Return the sizes and checksums of files, by their names or, with a root, by their paths from there."""
    names = {file: file.name if root is None else file.relative_to(root).as_posix() for file in files}
    return {
        SIZES: {name: file.stat().st_size for file, name in names.items()},
        CHECKSUMS: {name: checksum(file) for file, name in names.items()},
    }


def is_done(source: Path, outputs: Outputs, recipe: Recipe, others: dict[str, Path] | None = None) -> bool:
    """Return whether an image's results are complete and were made from the same input and recipe.

    If the raw image's size and modification time are the same, its content counts as the same. If only the time
    differs, as after a copy, the content is hashed.

    Parameters
    ----------
    source : Path
        The raw image.
    outputs : Outputs
    recipe : Recipe
    others : dict of Path, optional
        Further files from which the field is estimated, by their paths in the raw dataset.

    Returns
    -------
    bool
    """
    made = read_object(sidecar(outputs.corrected)).get(KEY)
    if not isinstance(made, dict) or not all(path.is_file() for path in outputs.sidecars):
        return False
    wanted = {"Algorithm": recipe.algorithm, "WeightsHash": recipe.weights_hash, "OptionsHash": recipe.options_hash}
    if any(made.get(key) != value for key, value in wanted.items()):
        return False
    sizes = made.get(SIZES)
    if not isinstance(sizes, dict):
        return False
    copies = [outputs.corrected.with_name(str(name)) for name in sizes if not str(name).endswith(NIFTI)]
    if any((size := size_of(file)) is None or size != sizes.get(file.name) for file in [*outputs.images, *copies]):
        return False
    before = InputFile.from_json({key: made.get(f"Input{key}") for key in ("Size", "Modified", "Hash")})
    if not before.is_still(source):
        return False
    reference = made.get(REFERENCE)
    files = reference.get("Files", {}) if isinstance(reference, dict) else {}
    others = others or {}
    if not isinstance(files, dict) or files.keys() != others.keys():
        return False
    return all(InputFile.from_json(about).is_still(others[relative]) for relative, about in files.items())


def size_of(path: Path) -> int | None:
    """Return a file's size, or None if there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
