"""Metadata of raw images, by the inheritance principle, and whether an image is skull-stripped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from getnet_bids.files import read_bytes

from .discovery import Source, entries
from .names import Name


class Metadata:
    """Looks up what the JSON files of one dataset say of its images, and which others belong to them.

    Parameters
    ----------
    root : Path
        The dataset.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: dict[Path, list[tuple[Name, Path]]] = {}

    def of(self, source: Source) -> dict[str, Any]:
        """Collect an image's metadata.

        Of the JSON files with its suffix and no entity that it lacks, from the dataset's root down to its folder,
        those further down and with more entities have the last word. What is not valid JSON counts as empty.

        Parameters
        ----------
        source : Source

        Returns
        -------
        dict
        """
        merged: dict[str, Any] = {}
        for path in self._applicable(source, source.name.suffix, ".json"):
            merged |= read_object(path)
        return merged

    def beside(self, source: Source) -> dict[str, Path]:
        """Find what belongs to a series besides its JSON files: gradients and volume types.

        Parameters
        ----------
        source : Source

        Returns
        -------
        dict of Path
            The files by what comes in the place of the suffix and extension: ``dwi.bval``, ``dwi.bvec``,
            ``aslcontext.tsv``.
        """
        wanted = {"dwi": (("dwi", ".bval"), ("dwi", ".bvec")), "asl": (("aslcontext", ".tsv"),)}
        found = {}
        for suffix, extension in wanted.get(source.name.suffix, ()):
            if paths := self._applicable(source, suffix, extension):
                found[suffix + extension] = paths[-1]
        return found

    def bvals(self, source: Source) -> Path | None:
        """Find the file of a diffusion series' b-values."""
        return self.beside(source).get("dwi.bval")

    def _applicable(self, source: Source, suffix: str, extension: str) -> list[Path]:
        """List the files that apply to an image, those of the last word last."""
        paths, folder = [], self.root
        for step in ("", *Path(source.relative).parent.parts):
            folder = folder / step
            for name, path in self._sidecars(folder):
                applies = name.entities.items() <= source.name.entities.items()
                if applies and (name.suffix, name.extension) == (suffix, extension):
                    paths.append(path)
        return paths

    def _sidecars(self, folder: Path) -> list[tuple[Name, Path]]:
        """List a folder's files of metadata that have a BIDS name, those with fewer entities first."""
        if folder not in self._files:
            sidecars = []
            for entry in entries(folder):
                if entry.endswith((".json", ".bval", ".bvec", ".tsv")):
                    try:
                        sidecars.append((Name.parse(entry), folder / entry))
                    except ValueError:
                        continue  # dataset_description.json and the like
            self._files[folder] = sorted(sidecars, key=lambda pair: len(pair[0].entities))
        return self._files[folder]


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; return an empty one if there is none."""
    try:
        content = json.loads(read_bytes(path).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def is_background(volume: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Find the voxels that hold the one value of an extracted object's surroundings.

    That is 0 and not a number, or the value, whatever it is, that nearly all of the outermost voxels hold: images
    are rescaled and shifted after the extraction.

    Parameters
    ----------
    volume : ndarray

    Returns
    -------
    ndarray of bool, same shape

    Examples
    --------
    >>> int(is_background(np.array([[0.0, 0, 0], [0, 5, np.nan], [0, 0, 0]])).sum())
    8
    >>> int(is_background(np.array([[7.0, 7, 7], [7, 5, 7], [7, 7, 7]])).sum())
    8
    """
    empty = np.isnan(volume) | (volume == 0)
    outermost = np.ones(volume.shape, bool)
    outermost[inside_of(volume.shape)] = False
    values, counts = np.unique(volume[outermost & ~empty], return_counts=True)
    if len(values) and counts.max() >= (1 - BORDER) * np.count_nonzero(outermost):
        background = volume == values[counts.argmax()]
        if not (empty | background).all():
            empty |= background
    return empty


def inside_of(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the part without the outermost voxels; an axis of one or two slices cannot tell its border."""
    return tuple(slice(1, -1) if n > 2 and axis < 3 else slice(None) for axis, n in enumerate(shape))


BORDER = 0.02
"""Largest share of the volume's outermost voxels that is not background."""
INSIDE = 2 / 3
"""Largest share of all voxels that is not background."""


def skull_stripped(volume: NDArray[np.floating], metadata: dict[str, Any]) -> tuple[bool, str]:
    """Return whether an image is skull-stripped, and how that is known.

    The raw image's metadata have the say. Without them it is measured: a head is cut by the field of view, at the
    neck at least, and most scanners leave noise around it, so that a good part of the outermost voxels is not 0;
    an extracted brain lies free in exact zeros.

    Parameters
    ----------
    volume : ndarray, shape (X, Y), (X, Y, Z) or (X, Y, Z, T)
        The raw image.
    metadata : dict
        Of the raw image.

    Returns
    -------
    stripped : bool
    how : str
        A sentence for the sidecar.

    Examples
    --------
    >>> brain = np.zeros((10, 10, 10))
    >>> brain[3:7, 3:7, 3:7] = 1
    >>> skull_stripped(brain, {})
    (True, 'Measured: 0.0% of the outermost voxels and 6.4% of all are no background (at most 2% and 67% if stripped).')
    >>> skull_stripped(brain, {"SkullStripped": False})
    (False, 'From the metadata of the source image.')
    """
    if isinstance(metadata.get("SkullStripped"), bool):
        return metadata["SkullStripped"], "From the metadata of the source image."
    signal = np.logical_not(is_background(volume))
    if signal.ndim == 4:
        signal = np.asarray(signal.any(3))
    inner = signal[inside_of(signal.shape)]
    outermost = signal.size - inner.size
    count = np.count_nonzero(signal)
    border = (count - np.count_nonzero(inner)) / max(outermost, 1)
    inside = count / signal.size
    how = (
        f"Measured: {border:.1%} of the outermost voxels and {inside:.1%} of all are no background "
        f"(at most {BORDER:.0%} and {INSIDE:.0%} if stripped)."
    )
    return bool(border <= BORDER and inside <= INSIDE), how
