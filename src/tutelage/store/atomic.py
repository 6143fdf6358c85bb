"""Atomic writes, and the message when one fails."""

from __future__ import annotations

import errno
import itertools
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tutelage.errors import StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = _FULL | {
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
}
# Writers in other languages (Rust, C++) report a full disk with their own exceptions, as text only.
_FULL_IN_WORDS = re.compile(
    r"No space left|StorageFull|Disk quota exceeded|QuotaExceeded|File too large|FileTooLarge"
    r"|PytorchStreamWriter failed|inline_container\S* .*unexpected pos"
)

# Each process uses its own token, so that files left by a killed process with the same id can be distinguished.
_TOKEN = secrets.token_hex(4)
_COUNTER = itertools.count()
_PARTIAL = re.compile(r"^\..+\.partial-(?P<pid>\d+)-(?P<token>[0-9a-f]{8})-\d+$")


def _partial_beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial-{os.getpid()}-{_TOKEN}-{next(_COUNTER)}")


def is_full_disk(error: BaseException) -> bool:
    """Whether `error` means that the disk or quota is full, whichever library raised it."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return isinstance(error, Exception) and bool(_FULL_IN_WORDS.search(str(error)))


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    return str(error).splitlines()[0]


@contextmanager
def storage_refusals(path: Path, survives: str) -> Iterator[None]:
    """Turn an error of the operating system (full, quota, read-only, forbidden) into a `StorageError`.

    `survives` is added to the message: what is still on the disk after this failure.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, StorageError) or (error.errno not in _REFUSED and not is_full_disk(error)):
            raise
        remedy = "Free some space or choose another location." if is_full_disk(error) else "Choose a writable location."
        raise StorageError(f"cannot write {path}: {_reason(error)}. {survives} {remedy}") from error


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file that replaces `path` if the block succeeds; otherwise `path` is unchanged.

    Raises `StorageError` if the write fails.
    """
    survives = f"The previous {path.name} is intact." if path.exists() else "Nothing was written."
    partial = _partial_beside(path)
    with storage_refusals(path, survives):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as handle:
                yield handle
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        _sync_directory(path.parent)


def _sync_tree(root: Path) -> None:
    for folder, _, files in os.walk(root):
        for name in files:
            with open(os.path.join(folder, name), "rb") as handle:
                os.fsync(handle.fileno())
        _sync_directory(Path(folder))


@contextmanager
def atomic_directory(final_path: Path | str, *, survives: str = "Nothing was written.") -> Iterator[Path]:
    """A folder to fill, which becomes `final_path` if the block succeeds and is removed otherwise.

    Raises `StorageError` if `final_path` exists (nothing is ever replaced), or if the disk is full, whichever library
    noticed; `survives` says in the message what is still on the disk then.
    """
    final_path = Path(final_path)
    _refuse_existing(final_path)
    partial = _partial_beside(final_path)
    with storage_refusals(final_path, survives):
        partial.mkdir(parents=True)
    try:
        yield partial
        _sync_tree(partial)
        _refuse_existing(final_path)
        os.rename(partial, final_path)
        _sync_directory(final_path.parent)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if is_full_disk(error) and not isinstance(error, StorageError):
            message = (
                f"cannot write {final_path}: {_reason(error)}. {survives} Free some space or choose another location."
            )
            raise StorageError(message) from error
        raise


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise StorageError(
            f"{path} already exists, and saved files are never replaced. Remove it or choose another location."
        )


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def clean_partial(folder: Path | str) -> list[Path]:
    """Remove what killed processes left half-written in `folder`; returns what was removed.

    What a running process on this machine is currently writing is kept.
    """
    removed = []
    for path in sorted(Path(folder).glob(".*.partial-*")):
        match = _PARTIAL.match(path.name)
        if match is None or match["token"] == _TOKEN:
            continue
        if int(match["pid"]) != os.getpid() and _is_running(int(match["pid"])):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        removed.append(path)
    return removed
