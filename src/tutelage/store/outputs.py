"""What a command may overwrite: nothing, unless told to."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tutelage.errors import StorageError


def require_free_file(path: Path, *, inputs: Iterable[Path | str] = (), overwrite: bool) -> None:
    """Refuse to write to an existing `path`; checked before the work, so that no work is lost.

    One of the `inputs` is refused even with `overwrite`. Raises `StorageError`.
    """
    for source in inputs:
        if Path(source).exists() and path.exists() and path.samefile(source):
            raise StorageError(f"cannot write {path}: it is also the input. Nothing was changed. Choose another --out.")
    if path.is_dir():
        raise StorageError(f"cannot write {path}: it is a folder. Nothing was changed. Give the name of a file.")
    if path.exists() and not overwrite:
        raise StorageError(
            f"cannot write {path}: the file exists. Nothing was changed. Choose another --out, or replace it with "
            "--overwrite."
        )
