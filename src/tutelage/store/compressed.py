"""Files that may be compressed: gz and xz with the standard library, zst with it or its backport."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from tutelage.errors import DataError, RecordError

COMPRESSIONS = ("", ".gz", ".xz", ".zst")


def compressible(*suffixes: str) -> tuple[str, ...]:
    """Each of `suffixes` alone and with every compression."""
    return tuple(suffix + compression for suffix in suffixes for compression in COMPRESSIONS)


def _zstd() -> Any:
    try:
        # In the standard library since 3.14; the backport has the same names.
        from compression import zstd
    except ImportError:
        try:
            from backports import zstd
        except ImportError:
            raise DataError(
                "files that end in .zst need the package backports.zstd, which is not installed. "
                "Run: pip install 'tutelage[data]', or decompress the file."
            ) from None
    return zstd


def open_binary(path: Path) -> BinaryIO:
    """Open for reading, decompressing by suffix. Raises `DataError` if there is no such file."""
    try:
        if path.suffix == ".gz":
            return cast(BinaryIO, gzip.open(path, "rb"))
        if path.suffix == ".xz":
            return cast(BinaryIO, lzma.open(path, "rb"))
        if path.suffix == ".zst":
            return cast(BinaryIO, _zstd().open(path, "rb"))
        return path.open("rb")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Give the path of an existing file.") from None
    except (IsADirectoryError, PermissionError) as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Give a file that can be read.") from None


def broken_archive(path: Path) -> tuple[type[Exception], ...]:
    """The exceptions raised for a corrupted or truncated compressed file."""
    own = (_zstd().ZstdError,) if path.suffix == ".zst" else ()
    return (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, *own)


def breaks_off(path: Path, line: int, error: Exception) -> RecordError:
    """The error for a compressed file that cannot be read further."""
    return RecordError(
        path=path,
        line=line,
        field="(compressed file)",
        value=str(error),
        rule="the file is corrupted or truncated here",
        remedy="Download or write the file again.",
    )


def lines_of(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file with their numbers from 1. Raises `RecordError` if a compressed file is truncated."""
    number = 0
    with open_binary(path) as handle:
        try:
            for number, line in enumerate(handle, start=1):
                yield number, line
        except broken_archive(path) as error:
            raise breaks_off(path, number + 1, error) from None
