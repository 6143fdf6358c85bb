"""A source's location, and the column by which its completions are ranked: `SOURCE?by=COLUMN`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tutelage.errors import DataError

_MARK = "?by="


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSource:
    """`source`: a file, a folder or a hub id. `by`: the column that ranks; None for the format's default."""

    source: str
    by: str | None = None

    @classmethod
    def parse(cls, written: Path | str) -> Self:
        """Parse user input. A file whose name contains the mark is a file. Raises `DataError` without a column."""
        text = str(written)
        source, mark, column = text.rpartition(_MARK)
        if not mark or Path(text).exists():
            return cls(source=text)
        if not source or not column:
            raise DataError(f"{text!r} names no source or no column. Write SOURCE?by=COLUMN, or SOURCE alone.")
        return cls(source=source, by=column)
