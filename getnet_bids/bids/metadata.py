"""Metadata of raw images according to the inheritance principle, and other files and images that belong to them."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from getnet_bids.files import read_bytes, text_of

from .discovery import Source, entries, not_fetched
from .names import BESIDE, NIFTI, Name, suffix_of


class Metadata:
    """Finds the metadata of a dataset's images in its JSON files, and other files that belong to an image.

    Parameters
    ----------
    root : Path
        The dataset.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: dict[Path, list[tuple[Name, Path]]] = {}
        self._named: set[Path] = set()

    def of(self, source: Source) -> dict[str, Any]:
        """Collect an image's metadata.

        A JSON file applies if it has the image's suffix and only entities of the image. Files that are closer to the
        image's folder and have more entities take precedence. Invalid JSON counts as empty.

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

    def unusable(self, source: Source) -> dict[Path, str]:
        """Find the JSON files of an image that cannot be read as such, and what to do; each is returned only once."""
        paths = set(self._applicable(source, source.name.suffix, ".json")) - self._named
        bad = {path for path in paths if not isinstance(read_json(path), dict)}
        self._named |= bad
        return {path: not_fetched(path) or "it holds no JSON object; correct it" for path in sorted(bad)}

    def beside(self, source: Source) -> dict[str, Path]:
        """Find the files that belong to a series in addition to its JSON files: gradients and volume types.

        Parameters
        ----------
        source : Source

        Returns
        -------
        dict of Path
            The files by their suffix and extension: ``dwi.bval``, ``dwi.bvec``, ``aslcontext.tsv``.
        """
        found = {}
        for ending in BESIDE.get(source.name.suffix, ()):
            suffix, _, extension = ending.partition(".")
            if paths := self._applicable(source, suffix, f".{extension}"):
                found[ending] = paths[-1]
        return found

    def bvals(self, source: Source) -> Path | None:
        """Find the file with a diffusion series' b-values."""
        return self.beside(source).get("dwi.bval")

    def _applicable(self, source: Source, suffix: str, extension: str) -> list[Path]:
        """List the files that apply to an image, those that take precedence last."""
        paths, folder = [], self.root
        for step in ("", *Path(source.relative).parent.parts):
            folder = folder / step
            for name, path in self._sidecars(folder):
                applies = name.entities.items() <= source.name.entities.items()
                if applies and (name.suffix, name.extension) == (suffix, extension):
                    paths.append(path)
        return paths

    def _sidecars(self, folder: Path) -> list[tuple[Name, Path]]:
        """List a folder's metadata files that have a BIDS name, those with fewer entities first."""
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
    content = read_json(path)
    return content if isinstance(content, dict) else {}


def read_json(path: Path) -> Any:
    """Read a JSON file; return None if that is not possible."""
    try:
        return json.loads(text_of(read_bytes(path)))
    except (OSError, ValueError, RecursionError):
        return None


RECEIVE_SUFFIX = "RB1COR"
HEAD_COIL, BODY_COIL = "head", "body"
"""The beginning of the ``acq`` label of each image; the rest, such as ``MTw``, is the same in both."""


def receive_pairs(source: Source) -> dict[tuple[str, str], tuple[Source, Source]]:
    """List the pairs of ``RB1COR`` images in ``fmap`` of an image's session, as `pairs_in` does."""
    return pairs_in(source.root, PurePosixPath(source.relative).parent.parent / "fmap")


def receive_pair(source: Source, metadata: Metadata) -> tuple[Source, Source] | None:
    """Find the pair of ``RB1COR`` images that belongs to an image.

    Parameters
    ----------
    source : Source
    metadata : Metadata

    Returns
    -------
    tuple of Source or None
        The images from the head coil and from the body coil. If there are several pairs, the one that is intended for
        the image according to its metadata, otherwise the one named after the image's ``acq`` or suffix; of these, the
        one of the same run; otherwise the first.
    """
    wanted = [called for called in (source.name.entities.get("acq"), source.name.suffix, "") if called is not None]

    def order(found: tuple[tuple[str, str], tuple[Source, Source]]) -> tuple[bool, int, int]:
        (called, _), pair = found
        intended = any(source.relative in intended_for(one, metadata.of(one)) for one in pair)
        given = pair[0].name.entities.items()
        differing = sum(source.name.entities.get(key, value) != value for key, value in given if key != "acq")
        return not intended, wanted.index(called) if called in wanted else len(wanted), differing

    return min(receive_pairs(source).items(), key=order, default=(None, None))[1]


def intended_for(source: Source, metadata: dict[str, Any]) -> set[str]:
    """Return the images for which an image is intended, as paths relative to the dataset.

    Parameters
    ----------
    source : Source
    metadata : dict
        Metadata of the image. ``IntendedFor`` is a BIDS URI, or a path relative to the subject's folder, as in earlier
        versions of BIDS, or a list of these.
    """
    given = metadata.get("IntendedFor", [])
    texts = [one for one in (given if isinstance(given, list) else [given]) if isinstance(one, str)]
    subject = PurePosixPath(source.relative).parts[0]
    return {one.removeprefix("bids::") if one.startswith("bids:") else f"{subject}/{one}" for one in texts}


def pairs_in(root: Path, folder: PurePosixPath) -> dict[tuple[str, str], tuple[Source, Source]]:
    """List a folder's pairs by the text after ``head`` and ``body``, and by their other entities."""
    found: dict[tuple[str, str], dict[str, Source]] = {}
    for file in entries(root / folder):
        if suffix_of(file) != RECEIVE_SUFFIX or not file.endswith(NIFTI):
            continue
        try:
            name = Name.parse(file)
        except ValueError:
            continue
        acquired = name.entities.get("acq", "")
        coil = acquired[:4]
        if coil in (HEAD_COIL, BODY_COIL) and name.entities.get("part", "mag") == "mag":
            others = {key: value for key, value in name.entities.items() if key not in ("acq", "part")}
            key = acquired[4:], str(Name(others, RECEIVE_SUFFIX, ""))
            found.setdefault(key, {})[coil] = Source(root, str(folder / file), name)
    return {key: (pair[HEAD_COIL], pair[BODY_COIL]) for key, pair in found.items() if len(pair) == 2}
