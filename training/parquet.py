"""Photographs in Parquet files, as Hugging Face's data sets have them (ImageNet's too); needs pyarrow."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .sources import Item

if TYPE_CHECKING:
    import pyarrow

NAMES = ("image", "img", "photo", "picture", "jpg", "jpeg", "png", "webp")
"""Columns of plain bytes that are taken for photographs; Hugging Face's own type of image is found by its form."""
LOCK = threading.Lock()


@dataclass(frozen=True)
class Row(Item):
    """A photograph in a Parquet file.

    Parameters
    ----------
    column : str
        That of the photographs.
    group, row : int
        The row group, and the row within it.
    """

    column: str = ""
    group: int = 0
    row: int = 0

    def read(self) -> bytes:
        """Give the photograph's bytes; whole row groups are read, and the last few kept."""
        with LOCK:
            value = row_group(self.path, self.group, self.column)[self.row].as_py()
        data = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes):
            raise ValueError("no bytes of a photograph in this row")
        return data


@lru_cache(maxsize=4)
def row_group(path: str, group: int, column: str) -> Any:
    """Read one column of a row group, a pyarrow.ChunkedArray."""
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        return file.read_row_group(group, [column]).column(column)


def rows(path: str) -> list[Item]:
    """List the photographs in a Parquet file.

    Parameters
    ----------
    path : str

    Returns
    -------
    list of Row

    Raises
    ------
    ValueError
        pyarrow is not installed, it is not a Parquet file, or none of its columns has photographs.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise ValueError(f"{path}: Parquet files need pyarrow: pip install 'getnet_bids[parquet]'") from None
    try:
        with ParquetFile(path) as file:
            column = image_column(file.schema_arrow)
            sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    except ArrowException as error:
        raise ValueError(f"{path}: not a whole Parquet file ({error})") from None
    if column is None:
        raise ValueError(
            f"{path}: none of its columns has photographs, {{bytes, path}} as Hugging Face's or bytes alone"
        )
    return [
        Row(f"{path}:{group}:{row}", path, column=column, group=group, row=row)
        for group, size in enumerate(sizes)
        for row in range(size)
    ]


def image_column(schema: pyarrow.Schema) -> str | None:
    """Find the column of photographs: Hugging Face's image type, else bytes under a name that says so."""
    import pyarrow.types as types

    def binary(kind: Any) -> bool:
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    for field in schema:
        if types.is_struct(field.type) and any(part.name == "bytes" and binary(part.type) for part in field.type):
            return str(field.name)
    return next((str(field.name) for field in schema if field.name.lower() in NAMES and binary(field.type)), None)
