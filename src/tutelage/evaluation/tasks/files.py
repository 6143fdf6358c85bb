"""The files of the benchmarks, in the form in which their authors published them."""

from __future__ import annotations

from pathlib import Path

from tutelage.errors import DataError


def published_file(folder: Path, name: str, *, what: str, source: str) -> Path:
    """A file of the folder of benchmarks. Raises `DataError`, which says what to put where, if it is missing."""
    path = folder / name
    if not path.is_file():
        raise DataError(
            f"{path} does not exist. It is {what}, as published at {source}. Put it there, or name its "
            "folder with --data"
        )
    return path
