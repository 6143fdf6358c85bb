"""Tables for spreadsheets: CSV in which no cell is a formula."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

# What spreadsheets interpret as the start of a formula (OWASP, "CSV injection"), including full-width forms.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


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
