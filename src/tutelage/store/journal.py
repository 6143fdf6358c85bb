"""A file of JSON lines that only grows: what took time to compute, safe on the disk as soon as it was computed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tutelage.store.atomic import storage_refusals
from tutelage.store.jsonl import read_rows


class Journal:
    """Whole lines survive a kill at any moment; a line that was cut off is removed when the file is opened again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with storage_refusals(path, "Nothing was written."):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            cut_half_line(path)

    def rows(self) -> list[dict[str, Any]]:
        """Every line. Raises `RecordError` for one that is not a JSON object."""
        return [row for _, row in read_rows(self.path)]

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows and wait until the disk has them. Raises `StorageError` if it cannot."""
        lines = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
        with storage_refusals(self.path, "What was written before is intact."), self.path.open("ab") as handle:
            handle.write(lines)
            handle.flush()
            os.fsync(handle.fileno())


def cut_half_line(path: Path) -> None:
    """Remove what follows the last newline: a kill in the middle of a write must not corrupt the next line."""
    if not path.exists():
        return
    with path.open("r+b") as handle:
        position = handle.seek(0, 2)
        keep = 0
        while position > 0:
            start = max(0, position - 65536)
            handle.seek(start)
            newline = handle.read(position - start).rfind(b"\n")
            if newline >= 0:
                keep = start + newline + 1
                break
            position = start
        handle.truncate(keep)
