"""Tables for spreadsheets: CSV in which no cell is a formula."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

# What spreadsheets take for the beginning of a formula (OWASP, "CSV injection"), their full-width forms included.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def cell_of(value: object) -> str:
    """What stands in a cell: numbers as they are, nested values as JSON, text that could be a formula behind a '.

    Spreadsheets show the rest of such a cell as text. Whoever reads it back takes one ' away from the beginning.
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
    """Write rows with a line of names before them; every cell is quoted, so that no text ends its own.

    UTF-8 with a byte order mark, without which spreadsheets take it for something else.
    """
    text = io.TextIOWrapper(handle, encoding="utf-8-sig", newline="")
    names = list(columns)
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow([cell_of(name) for name in names])
    for row in rows:
        writer.writerow([cell_of(row.get(name)) for name in names])
    text.detach()
