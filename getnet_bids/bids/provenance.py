"""What a result was made from: written into its sidecar, and looked up there before it is made again."""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from getnet_bids.core.algorithm import ALGORITHM
from getnet_bids.files import hash_bytes, hash_file, read_bytes

from .metadata import read_object
from .outputs import Outputs, sidecar

KEY = "GetNet"
"""The sidecar's entry that holds all of this."""


@dataclass(frozen=True)
class Recipe:
    """What fixes a result, apart from the image.

    Parameters
    ----------
    weights : Path
        The network's weights.
    weights_hash : str
        Of that file.
    options : dict
        All that changes a result; device, threads and batch size do so by rounding alone and are no part of it.
    algorithm : int
        Number of the algorithm.

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
        """Hash of the options, whatever their order."""
        return hash_bytes(json.dumps(self.options, sort_keys=True).encode())


@dataclass(frozen=True)
class InputFile:
    """A file as it was when it was read.

    Parameters
    ----------
    size : int
        Bytes.
    modified : int
        Microseconds since 1970: nanoseconds would not survive a JSON reader that knows only doubles.
    hash : str
        Of its bytes.
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


def provenance(
    recipe: Recipe, source: InputFile, images: list[Path], run: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return a sidecar's entry.

    Parameters
    ----------
    recipe : Recipe
    source : InputFile
        The raw image.
    images : list of Path
        The images made, complete.
    run : dict, optional
        Version, device, seconds and what else is worth telling.

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
        "Outputs": {image.name: image.stat().st_size for image in images},
        **(run or {}),
    }


def is_done(source: Path, outputs: Outputs, recipe: Recipe) -> bool:
    """Return whether an image's results are complete and were made from the same by the same algorithm.

    The raw image's size and time of change stand for its content. If the time alone differs, as after a copy, the
    content is hashed.

    Parameters
    ----------
    source : Path
        The raw image.
    outputs : Outputs
    recipe : Recipe

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
    sizes = made.get("Outputs")
    if not isinstance(sizes, dict):
        return False
    if any((size := size_of(image)) is None or size != sizes.get(image.name) for image in outputs.images):
        return False
    now = source.stat()
    if now.st_size != made.get("InputSize"):
        return False
    return now.st_mtime_ns // 1000 == made.get("InputModified") or hash_file(source) == made.get("InputHash")


def size_of(path: Path) -> int | None:
    """Return a file's size, or None where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
