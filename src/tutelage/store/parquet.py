"""Rows from and to Parquet, with pyarrow if it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tutelage.errors import DataError

_ROWS_PER_BATCH = 1000


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DataError(
            "parquet files need pyarrow, which is not installed. Run: pip install 'tutelage[data]'"
        ) from None
    return pyarrow


def without_nulls(value: Any) -> Any:
    """The value without keys that are null, at every depth."""
    # A column has a cell for every row: if a record had no such key, the cell is null.
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def read_parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a parquet file with their numbers from 1, in batches; null cells are omitted. Raises `DataError`."""
    pyarrow = _pyarrow()
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_ROWS_PER_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield number, without_nulls(row)
    except (pyarrow.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{path} cannot be read as parquet after row {number}: {reason}. Download or write the file again."
        ) from None


def _without_empty_mappings(value: Any) -> Any:
    # Parquet has no type for a mapping without keys; as a default it is restored on reading.
    if isinstance(value, dict):
        return {key: _without_empty_mappings(item) for key, item in value.items() if item != {}}
    if isinstance(value, (list, tuple)):
        return [_without_empty_mappings(item) for item in value]
    return value


def write_parquet(handle: BinaryIO, rows: list[dict[str, Any]], path: Path) -> int:
    """Write all rows to an open file; returns how many. Raises `DataError` if a key has values of several types."""
    pyarrow = _pyarrow()
    rows = [_without_empty_mappings(row) for row in rows]
    try:
        keys = dict.fromkeys(key for row in rows for key in row)
        columns = {key: pyarrow.array([row.get(key) for row in rows]) for key in keys}
        pyarrow.parquet.write_table(pyarrow.table(columns), handle)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, pyarrow.ArrowNotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"cannot write {path}: one key has values of several types ({reason}). Write .jsonl instead."
        ) from None
    return len(rows)
