"""Files of records: JSON lines, a JSON array, CSV, Parquet. Read as a stream, written atomically."""

from __future__ import annotations

import gzip
import json
import logging
import lzma
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from pydantic import BaseModel, ValidationError

from tutelage.errors import DataError, RecordError
from tutelage.store.atomic import atomic_file
from tutelage.store.compressed import breaks_off, broken_archive, compressible, lines_of, open_binary
from tutelage.store.csv_table import read_table_rows
from tutelage.store.parquet import read_parquet_rows, write_parquet
from tutelage.store.reasons import Reasons

Model = TypeVar("Model", bound=BaseModel)
_ARRAYS, _TABLES = compressible(".json"), compressible(".csv", ".tsv")
SUFFIXES = (*compressible(".jsonl"), *_ARRAYS, *_TABLES, ".parquet")
KNOWN_SUFFIXES = ".jsonl, .json, .csv or .tsv (optionally with .gz, .xz or .zst), or in .parquet"
_REMEDY = "Correct it, or choose to skip bad records."
_NUM_REASONS_TOLD = 5
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A record that was skipped, its location (the first line is 1) and the reason.

    `num_annotations`: how many of a labeling tool's annotations were lost with it; None in all other formats.
    """

    path: str
    line: int
    message: str
    num_annotations: int | None = None


OnSkip = Callable[[Skipped], None]


class SkipLog:
    """Raises errors in records, or passes them on as `Skipped`; if nobody collects them, a warning is logged."""

    def __init__(self, path: Path | str, *, skip_bad: bool, on_skip: OnSkip | None) -> None:
        self.path, self.skip_bad, self.on_skip = str(path), skip_bad, on_skip
        self._reasons = Reasons()

    def refuse(self, error: RecordError) -> None:
        """A malformed record: an error, unless the caller chose to skip such records."""
        if not self.skip_bad:
            raise error
        self.leave_out(error.line, str(error))

    def leave_out(self, line: int, message: str, num_annotations: int | None = None) -> None:
        """A record that is skipped whatever the caller chose: it is well formed but contains nothing usable."""
        if self.on_skip is not None:
            skipped = Skipped(path=self.path, line=line, message=message, num_annotations=num_annotations)
            self.on_skip(skipped)
        else:
            self._reasons.add(message)

    def close(self) -> None:
        if num_skipped := self._reasons.num_messages:
            told = "; ".join(self._reasons.lines(_NUM_REASONS_TOLD))
            _log.warning("%s: %d records left out; the first: %s", self.path, num_skipped, told)


def is_record_file(path: Path) -> bool:
    """Whether the name has the suffix of a file of records."""
    return path.name.endswith(SUFFIXES)


def _bad_line(path: Path, line: int, value: object, rule: str) -> RecordError:
    return RecordError(path=path, line=line, field="(line)", value=value, rule=rule, remedy=_REMEDY)


def _parse_line(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
    except UnicodeDecodeError as error:
        raise _bad_line(
            path, number, line[max(error.start - 10, 0) : error.end + 10].rstrip(), "it must be UTF-8"
        ) from None
    try:
        value = json.loads(text)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _bad_line(path, number, text, "it must not have half of a surrogate pair (\\ud800 to \\udfff)") from None
    except (ValueError, RecursionError) as error:
        raise _bad_line(path, number, text, f"it must be one JSON object ({error})") from None
    return _require_object(path, number, value)


def _require_object(path: Path, number: int, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _bad_line(path, number, value, "it must be one JSON object, that is, {...}")
    return value


def _line_rows(path: Path, log: SkipLog) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        for number, line in lines_of(path):
            if not line.strip():
                continue
            try:
                row = _parse_line(path, number, line)
            except RecordError as error:
                log.refuse(error)
                continue
            yield number, row
    except RecordError as error:
        # Nothing can be read after the point where a compressed file is truncated.
        log.refuse(error)


def _is_array(path: Path) -> bool:
    with open_binary(path) as handle:
        try:
            while block := handle.read(4096):
                if stripped := block.removeprefix(b"\xef\xbb\xbf").lstrip():
                    return stripped.startswith(b"[")
        except broken_archive(path) as error:
            raise breaks_off(path, 1, error) from None
    return False


def _table_rows(path: Path, log: SkipLog) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        for number, row in read_table_rows(path):
            if isinstance(row, RecordError):
                log.refuse(row)
            else:
                yield number, row
    except RecordError as error:
        # It is no longer known where a cell ends or the next row begins.
        log.refuse(error)


def _array_rows(path: Path, log: SkipLog) -> Iterator[tuple[int, dict[str, Any]]]:
    with open_binary(path) as handle:
        try:
            content = handle.read()
        except broken_archive(path) as error:
            raise breaks_off(path, 1, error) from None
    try:
        values = json.loads(content.decode("utf-8-sig"))
    except ValueError as error:
        raise _bad_line(path, 1, content[:80], f"the file must be one JSON array ({error})") from None
    for number, value in enumerate(values, start=1):
        try:
            yield number, _require_object(path, number, value)
        except RecordError as error:
            log.refuse(error)


def read_rows(path: Path | str, log: SkipLog | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every object of a file of records with its line (or row) number, unvalidated.

    Non-objects go to `log`; without one the first of them raises `RecordError`.
    """
    path = Path(path)
    log = SkipLog(path, skip_bad=False, on_skip=None) if log is None else log
    if not is_record_file(path):
        raise DataError(
            f"{path} is not a file of records: its name must end in {KNOWN_SUFFIXES}. Rename or convert it."
        )
    if not path.exists():
        raise DataError(f"{path} does not exist. Give the path of an existing file.")
    if path.suffix == ".parquet":
        yield from read_parquet_rows(path)
    elif path.name.endswith(_TABLES):
        yield from _table_rows(path, log)
    elif not path.name.endswith(_ARRAYS) or not _is_array(path):
        yield from _line_rows(path, log)
    else:
        yield from _array_rows(path, log)


def record_error(path: Path | str, line: int, error: ValidationError) -> RecordError:
    """All faults of one record as one error: the first one in full, then the others."""
    faults = [
        (
            ".".join(str(part) for part in fault["loc"]) or "(record)",
            fault["input"],
            fault["msg"].removeprefix("Value error, "),
        )
        for fault in error.errors()
    ]
    field, value, rule = faults[0]
    others = [f"field {other!r}: {message}" for other, _, message in faults[1:]]
    rule = "; ".join([rule, *others])
    return RecordError(path=path, line=line, field=field, value=value, rule=rule, remedy=_REMEDY)


def read_records(
    path: Path | str, model: type[Model], *, skip_bad: bool = False, on_skip: OnSkip | None = None
) -> Iterator[Model]:
    """Stream the records of a file, validated.

    Raises `RecordError` at the first bad record, or, with `skip_bad`, skips it and passes it to `on_skip` (or logs one
    warning at the end if that is None). Raises `DataError` for a file that is missing or of another type.
    """
    log = SkipLog(path, skip_bad=skip_bad, on_skip=on_skip)
    for number, row in read_rows(path, log):
        try:
            record = model.model_validate(row)
        except ValidationError as error:
            log.refuse(record_error(path, number, error))
            continue
        yield record
    log.close()


def record_line(record: BaseModel) -> str:
    """One record as one line of JSON, omitting fields at their defaults; reading it gives the same record."""
    return json.dumps(record.model_dump(exclude_defaults=True), ensure_ascii=False, default=str)


@contextmanager
def _compressed(path: Path, handle: BinaryIO) -> Iterator[BinaryIO]:
    if path.suffix == ".gz":
        # No name or time in the header: the same records give the same bytes.
        with gzip.GzipFile(filename="", fileobj=handle, mode="wb", mtime=0) as compressed:
            yield cast(BinaryIO, compressed)
    elif path.suffix == ".xz":
        with lzma.open(handle, "wb") as compressed:
            yield cast(BinaryIO, compressed)
    else:
        yield handle


def write_records(path: Path | str, records: Iterable[BaseModel]) -> int:
    """Write records to `path` atomically; gz, xz and Parquet by suffix. Returns how many.

    Raises `StorageError` if writing fails, `DataError` for an unknown suffix. Parquet is collected in memory first.
    """
    path = Path(path)
    if not path.name.endswith((".jsonl", ".jsonl.gz", ".jsonl.xz", ".parquet")):
        raise DataError(
            f"cannot write records to {path}: its name must end in .jsonl, .jsonl.gz, .jsonl.xz or .parquet."
        )
    if path.suffix == ".parquet":
        with atomic_file(path) as handle:
            return write_parquet(handle, [record.model_dump(exclude_defaults=True) for record in records], path)
    return _write_lines(path, map(record_line, records))


def write_rows(path: Path | str, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write plain objects as JSON lines to `path` atomically; gz and xz by suffix.

    `read_rows` reads them back. Returns how many. Raises `StorageError` if writing fails.
    """
    return _write_lines(Path(path), (json.dumps(row, ensure_ascii=False) for row in rows))


def _write_lines(path: Path, lines: Iterable[str]) -> int:
    count = 0
    with atomic_file(path) as handle, _compressed(path, handle) as stream:
        for line in lines:
            stream.write(line.encode() + b"\n")
            count += 1
    return count
