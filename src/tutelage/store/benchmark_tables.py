"""The CSV and TSV files of published benchmarks: text unchanged, with or without a header."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from tutelage.errors import RecordError
from tutelage.store.compressed import open_binary


def read_table(path: Path, columns: Sequence[str], *, has_header: bool = True) -> Iterator[tuple[int, dict[str, str]]]:
    """The `columns` of every row of a CSV file, or of a TSV file, in which nothing is quoted; with the row's number.

    Without a header the columns are those of the file, in order. Raises `RecordError` for a missing column, a row
    with too few cells, an empty cell, or bytes that are not UTF-8.
    """
    is_tsv = path.suffix == ".tsv"
    with io.TextIOWrapper(open_binary(path), encoding="utf-8-sig", newline="") as handle:
        reader = csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE) if is_tsv else csv.reader(handle)
        try:
            names = next(reader, []) if has_header else list(columns)
            for column in columns:
                if column not in names:
                    raise _bad_row(path, 1, column, names, "the header has no such column")
            places = [names.index(column) for column in columns]
            for cells in reader:
                found = {
                    c: cells[place] if place < len(cells) else "" for c, place in zip(columns, places, strict=True)
                }
                for column, cell in found.items():
                    if not cell.strip():
                        raise _bad_row(path, reader.line_num, column, cells, "it must not be empty")
                yield reader.line_num, found
        except (csv.Error, UnicodeDecodeError) as error:
            raise _bad_row(path, reader.line_num, "(line)", str(error), "it must be a table in UTF-8") from None


def _bad_row(path: Path, line: int, field: str, value: object, rule: str) -> RecordError:
    return RecordError(
        path=path, line=line, field=field, value=value, rule=rule, remedy="Use the file as it was published."
    )
