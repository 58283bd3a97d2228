"""The list of the open photographs that the package's weights were trained on, and where to fetch them.

``list.tsv.xz`` names each photograph by repository, commit, path and SHA-256, in the order of the shards; ``terms.md``
says under what licence each collection is, and what that rests on; ``shards.sha256`` are the shards' checksums.
"""

from __future__ import annotations

import importlib.resources
import lzma
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

COLUMNS = ("collection", "licence", "repository", "commit", "path", "sha256")


@dataclass(frozen=True)
class Listed:
    """A photograph of the list.

    Parameters
    ----------
    collection : str
        For messages and the table of terms.
    licence : str
        SPDX identifier, or ``public domain``.
    repository : str
        ``owner/name`` on GitHub.
    commit : str
        40 hexadecimal digits.
    path : str
        Within the repository.
    sha256 : str
        Of the file, 64 hexadecimal digits.
    """

    collection: str
    licence: str
    repository: str
    commit: str
    path: str
    sha256: str


def listed(text: str | None = None) -> list[Listed]:
    """Read the list of photographs.

    Parameters
    ----------
    text : str, optional
        A list's content; default that of the package.

    Raises
    ------
    ValueError
        It has other columns.

    Examples
    --------
    >>> photos = listed()
    >>> len(photos) > 30000, len({p.sha256 for p in photos}) == len(photos)
    (True, True)
    """
    if text is None:
        text = lzma.decompress(package_file("list.tsv.xz").read_bytes()).decode()
    head, *lines = text.splitlines()
    if tuple(head.split("\t")) != COLUMNS:
        raise ValueError(f"a list of photographs has the columns {' '.join(COLUMNS)}, not {head!r}")
    return [Listed(*line.split("\t")) for line in lines]


def package_file(name: str) -> Traversable:
    """Give a file beside the list."""
    return importlib.resources.files("getnet_bids.training.gathering") / name


def commands(photos: Sequence[Listed], folder: Path = Path("clones")) -> list[str]:
    r"""Make the shell commands that fetch each repository of a list, its one commit alone.

    Parameters
    ----------
    photos : sequence of Listed
    folder : Path
        Where the clones go.

    Examples
    --------
    >>> for line in commands([Listed("textures", "CC0-1.0", "someone/textures", "0a" * 20, "1.jpg", "f" * 64)]):
    ...     print(line)
    git init --quiet --bare clones/someone/textures.git
    git -C clones/someone/textures.git fetch --depth 1 https://github.com/someone/textures \
        0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a:refs/heads/listed \
        || echo 'someone/textures could not be fetched' >&2
    """
    lines = []
    for repository, commit in sorted({(p.repository, p.commit) for p in photos}):
        place = shlex.quote(f"{folder}/{repository}.git")
        lines += [
            f"git init --quiet --bare {place}",
            f"git -C {place} fetch --depth 1 https://github.com/{repository} \\\n    {commit}:refs/heads/listed \\\n"
            f"    || echo '{repository} could not be fetched' >&2",
        ]
    return lines
