"""PyBIDS queries and databases, limited to image files and without metadata."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from getnet_bids.errors import GetNetError
from getnet_bids.files import text_of

from .names import DATATYPES, NIFTI, PLACES, SUFFIXES

if TYPE_CHECKING:
    from bids.layout import BIDSLayout

DATABASE = "layout_index.sqlite"
KNOWN = {suffix.lower(): suffix for suffix in SUFFIXES}
"""The suffix for each name of a query."""


def read_queries(path: Path) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Read a filter file in fMRIPrep's format.

    Parameters
    ----------
    path : Path
        JSON file: an object of named queries, each an object of entities.

    Returns
    -------
    queries : dict of dict
        The queries that are named after a suffix in lower case, by suffix.
    others : list of str
        Names of the other queries.

    Raises
    ------
    ValueError
        The file is not such a file; the message says why.
    """
    try:
        content = json.loads(text_of(path.read_bytes()))
    except (ValueError, RecursionError) as error:
        raise GetNetError(f"not JSON: {error}", path) from None
    if not isinstance(content, dict) or not all(isinstance(query, dict) for query in content.values()):
        raise GetNetError('must be an object of objects, such as {"t1w": {"session": "02"}}', path)
    queries = {KNOWN[name.lower()]: query for name, query in content.items() if name.lower() in KNOWN}
    return queries, [name for name in content if name.lower() not in KNOWN]


def suffixes_of(queries: dict[str, dict[str, Any]], suffixes: Collection[str]) -> set[str]:
    """Return the suffixes that queries may return, since a query can name another suffix than its own."""
    wanted: set[str] = set()
    for suffix in suffixes:
        own = queries.get(suffix, {}).get("suffix", suffix)
        wanted |= {text for text in (own if isinstance(own, list) else [own]) if text in KNOWN.values()}
    return wanted


def open_layout(root: Path, database: Path | None, participants: Collection[str] | None) -> BIDSLayout:
    """Index a dataset's images, or open an existing index.

    Parameters
    ----------
    root : Path
        The dataset.
    database : Path, optional
        Folder of a PyBIDS database. If there is none yet, it is made for all subjects. An existing one is used without
        an update.
    participants : collection of str, optional
        Without `database`, only these subjects are indexed.

    Returns
    -------
    BIDSLayout

    Raises
    ------
    ValueError
        The database cannot be used; the message says why.
    OSError
        The database cannot be made.
    """
    from bids.layout import BIDSLayout, BIDSLayoutIndexer

    def index(into: Path | None, subjects: Collection[str] | None) -> BIDSLayout:
        indexer = BIDSLayoutIndexer(validate=False, index_metadata=False, ignore=[outside(subjects)])
        return BIDSLayout(root.resolve(), validate=False, database_path=into, indexer=indexer)

    if database is None:
        return index(None, participants)
    if not (database / DATABASE).exists():
        database.mkdir(parents=True, exist_ok=True)
        # A killed run must not leave an incomplete index, which would look like a smaller dataset.
        with tempfile.TemporaryDirectory(prefix=".getnet-", dir=database) as folder:
            index(Path(folder), None).connection_manager.session.close()
            (Path(folder) / DATABASE).replace(database / DATABASE)
    try:
        layout = BIDSLayout(database_path=database, validate=False)
        found = Path(layout.root)
    except Exception as error:
        # PyBIDS and its database library raise errors of many unrelated types for a file that is not a database.
        raise GetNetError(f"not a PyBIDS database ({type(error).__name__}); name another folder", database) from error
    if found != root.resolve():
        raise GetNetError(f"is the database of {found}; name another folder for {root}", database)
    return layout


def outside(participants: Collection[str] | None) -> re.Pattern[str]:
    """Return a pattern of the paths, from the dataset's root, that need not be indexed.

    Examples
    --------
    >>> pattern = outside(["01"])
    >>> paths = ["/sub-01", "/sub-01/ses-a", "/sub-01/ses-a/anat/x.nii", "/sub-01/func", "/sub-01/eeg", "/T1w.json"]
    >>> [path for path in paths if not pattern.search(path)]
    ['/sub-01', '/sub-01/ses-a', '/sub-01/ses-a/anat/x.nii', '/sub-01/func']
    """
    label = "[0-9a-zA-Z+]+" if participants is None else "(?:" + "|".join(map(re.escape, participants)) + ")"
    return re.compile(rf"^/(?!sub-{label}(?:/ses-[0-9a-zA-Z+]+)?(?:/(?:{'|'.join(DATATYPES)})(?:/.*)?)?$)")


def image_files(layout: BIDSLayout) -> list[str]:
    """List the paths of a layout's images from its root."""
    found = layout.get(datatype=list(DATATYPES), extension=list(NIFTI), return_type="filename")
    return relative_paths(layout, found)


def choose(layout: BIDSLayout, queries: dict[str, dict[str, Any]], suffixes: Collection[str]) -> set[str]:
    """Apply queries to a layout.

    Parameters
    ----------
    layout : BIDSLayout
    queries : dict of dict
        Queries by suffix; for a suffix without a query all images are selected.
    suffixes : collection of str
        The suffixes to select.

    Returns
    -------
    set of str
        Paths from the dataset's root.

    Raises
    ------
    ValueError
        A query uses an entity or value that PyBIDS does not know.
    """
    chosen: set[str] = set()
    for suffix in suffixes:
        asked = {"datatype": list(PLACES[suffix]), "suffix": suffix, "extension": list(NIFTI)}
        try:
            query = {key: value_of(value) for key, value in queries.get(suffix, {}).items()}
            found = layout.get(**{**asked, **query, "return_type": "filename"})
        except Exception as error:
            # PyBIDS has a long message for an unknown entity, and its database library prints whole SQL statements.
            reason = str(error).splitlines()[0].partition(" If you're sure")[0]
            raise GetNetError(f"query {suffix.lower()!r}: {reason}", "--bids-filter-file") from None
        chosen.update(relative_paths(layout, found))
    return chosen


def relative_paths(layout: BIDSLayout, paths: list[str]) -> list[str]:
    """Return paths from the dataset's root, with forward slashes."""
    return [Path(path).relative_to(Path(layout.root)).as_posix() for path in paths]


def value_of(value: Any) -> Any:
    """Convert a value of a query as fMRIPrep does: null means absent, "*" present, and PyBIDS's own words are kept.

    Examples
    --------
    >>> value_of([None, "mag"]), value_of("*"), value_of("Query.OPTIONAL"), value_of("02")
    ([<Query.NONE: 1>, 'mag'], <Query.REQUIRED: 2>, <Query.OPTIONAL: 3>, '02')
    """
    if isinstance(value, list):
        return [value_of(item) for item in value]
    if value is None:
        return word("NONE")
    if value == "*":
        return word("ANY")
    if isinstance(value, str) and (named := re.fullmatch(r"<?(?:bids\.layout\.)?Query\.(\w+)(?:: \d>)?", value)):
        return word(named[1])
    return value


def word(name: str) -> Any:
    """Return PyBIDS's value of a name."""
    from bids.layout import Query

    if name not in Query.__members__:
        raise GetNetError(f"Query.{name} is not one of Query.ANY, Query.NONE, Query.OPTIONAL")
    return Query[name]
