"""One process at a time in a run's folder; the lock ends with its process, however that ends."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tutelage.errors import StorageError
from tutelage.store.atomic import storage_refusals

LOCK_NAME = "run.lock"


class FolderLock:
    """The lock of `folder`, held from the creation of this object until `release` or the end of the process.

    The operating system manages it (flock), so a killed process leaves no stale lock. The file says who holds it.
    Raises `StorageError` if another process, or another run in this one, holds it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK_NAME
        self._file: int | None = None
        with storage_refusals(self.path, "Nothing was written."):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._acquire()
            os.truncate(self._file, 0)
            os.write(self._file, json.dumps(_describe_process()).encode())

    def _acquire(self) -> int:
        while True:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = self._describe_holder(file)
                os.close(file)
                raise StorageError(holder) from None
            # The previous holder may have removed the file between our opening and locking it.
            if self.path.exists() and os.path.samestat(os.fstat(file), self.path.stat()):
                return file
            os.close(file)

    def _describe_holder(self, file: int) -> str:
        try:
            holder = json.loads(os.pread(file, 65536, 0))
            who = f"process {holder['pid']} on {holder['host']} since {holder['since']} ({holder['command']})"
        except (ValueError, KeyError, TypeError):
            who = "another process"
        return f"{self.path.parent} is in use by {who}. Nothing was changed. Wait for it, or choose another folder."

    def release(self) -> None:
        """Release the lock; a second call does nothing."""
        if self._file is not None:
            self.path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None

    def __del__(self) -> None:
        if getattr(self, "_file", None) is not None:
            self.release()


def _describe_process() -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["tutelage", *sys.argv[1:]]),
    }
