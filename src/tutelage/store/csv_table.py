"""Tables for spreadsheets: CSV in which no cell is a formula, and any CSV or TSV as rows with typed cells."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from tutelage.errors import DataError, RecordError
from tutelage.store.compressed import breaks_off, broken_archive, compressible, open_binary

# What spreadsheets interpret as the start of a formula (OWASP, "CSV injection"), including full-width forms.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

_TABS = compressible(".tsv")
# Cells of these columns are numbers or booleans; those of all others are text, whatever they look like.
_SCALARS = {"label", "labels", "tie", "is_tie", "margin", "deleted", "train", "training", "loss", "weight", "rank"}
_SCALAR_WORDS = ("score", "rating", "choice", "preference")
# Columns whose cells may be a list of texts or numbers; a list of objects is read in any column.
_LISTS = ("ranking", "comparisons", "history", "answers", "passages")
_MAX_CELL = 1 << 30
_REMEDY = "Correct it, or choose to skip bad records."


def cell_of(value: object) -> str:
    """The content of a cell: numbers unchanged, nested values as JSON, text that could be a formula prefixed with '.

    Spreadsheets show the rest of such a cell as text. When reading it back, remove one leading '.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.lstrip(" \u00a0").startswith((*_FORMULA, "'")) else text


def write_csv(handle: BinaryIO, rows: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> None:
    """Write a header line and rows; every cell is quoted, so that no text can end its cell.

    UTF-8 with a byte order mark, without which spreadsheets assume another encoding.
    """
    text = io.TextIOWrapper(handle, encoding="utf-8-sig", newline="")
    names = list(columns)
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow([cell_of(name) for name in names])
    for row in rows:
        writer.writerow([cell_of(row.get(name)) for name in names])
    text.detach()


def read_table_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | RecordError]]:
    """The rows of a CSV or TSV file, with keys from its first line, and the line number at which each begins.

    Empty cells are omitted. A ' before what would be a formula, as written by `write_csv`, is removed. Cells of known
    columns are numbers or booleans; objects, and lists of them, are read as JSON; everything else is text. A row with
    more or fewer cells than names is yielded as a `RecordError`. Raises `DataError` for a table without names,
    `RecordError` if the file cannot be read further.
    """
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL))
    delimiter = "\t" if path.name.endswith(_TABS) else ","
    number = 1
    with open_binary(path) as handle, io.TextIOWrapper(handle, encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            names = [_unguarded(name).strip() for name in next(reader, [])]
            _require_names(path, names)
            number = reader.line_num + 1
            for cells in reader:
                if cells:
                    yield number, _row(path, number, names, cells)
                number = reader.line_num + 1
        except UnicodeDecodeError as error:
            raise _bad(path, number, error.object[error.start : error.end], "it must be UTF-8") from None
        except csv.Error as error:
            raise _bad(path, number, str(error), "its cells must be separated and quoted as in CSV") from None
        except broken_archive(path) as error:
            raise breaks_off(path, number, error) from None


def _bad(path: Path, line: int, value: object, rule: str) -> RecordError:
    return RecordError(path=path, line=line, field="(line)", value=value, rule=rule, remedy=_REMEDY)


def _require_names(path: Path, names: list[str]) -> None:
    if not any(names):
        raise DataError(f"{path} has no column names. Its first line must have them.")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{path} has the column {repeated[0]!r} more than once. Give every column a unique name.")


def _row(path: Path, number: int, names: list[str], cells: list[str]) -> dict[str, Any] | RecordError:
    if len(cells) != len(names):
        rule = f"it has {len(cells)} cells, and the first line names {len(names)} columns"
        return _bad(path, number, cells[0], rule)
    # The index that pandas writes has no name.
    return {name: _typed(name, cell) for name, cell in zip(names, cells, strict=True) if cell and name}


def _unguarded(cell: str) -> str:
    is_guarded = cell.startswith("'") and cell[1:].lstrip(" \u00a0").startswith((*_FORMULA, "'"))
    return cell[1:] if is_guarded else cell


def _typed(name: str, cell: str) -> Any:
    text = _unguarded(cell)
    if name in _SCALARS or any(word in name for word in _SCALAR_WORDS):
        return _scalar(text)
    if not text.startswith(("{", "[")):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    is_structured = isinstance(value, dict) or (value and all(isinstance(item, dict) for item in value))
    return value if is_structured or name in _LISTS else text


def _scalar(text: str) -> Any:
    word = text.strip().lower()
    if word in ("true", "false"):
        return word == "true"
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return text
