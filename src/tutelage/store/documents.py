"""Documents of plain text, for pretraining and the pretraining mix: streamed, one document in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tutelage.errors import DataError, RecordError
from tutelage.store.compressed import compressible, lines_of
from tutelage.store.forms import UnusableRow
from tutelage.store.jsonl import OnSkip, SkipLog, is_record_file, read_rows
from tutelage.store.meaning import require_usable

END_OF_TEXT = "<|endoftext|>"
_TEXT_SUFFIXES = compressible(".txt")


def load_text_documents(path: Path | str, *, skip_bad: bool = False, on_skip: OnSkip | None = None) -> Iterator[str]:
    """The documents of a text file, separated by lines `<|endoftext|>`, or the `text` of each row of a file of records.

    Blank documents are skipped; so are rows that are deleted, contain more than text or are marked not to be trained
    on, which are passed to `on_skip`. Raises `RecordError` for text that is not UTF-8 or a row without `text`,
    `DataError` for a file that is missing or of another type.
    """
    path = Path(path)
    log = SkipLog(path, skip_bad=skip_bad, on_skip=on_skip)
    if path.name.endswith(_TEXT_SUFFIXES):
        documents = _text_documents(path, log)
    elif is_record_file(path):
        documents = _row_documents(path, log)
    else:
        known = ", ".join((*_TEXT_SUFFIXES, ".jsonl", ".parquet"))
        raise DataError(f"{path} is not a file of documents: its name must end in {known}. Rename or convert it.")
    yield from (document for document in documents if document.strip())
    log.close()


def _refusal(path: Path, line: int, field: str, value: object, rule: str) -> RecordError:
    return RecordError(
        path=path, line=line, field=field, value=value, rule=rule, remedy="Correct it, or skip bad records."
    )


def _text_documents(path: Path, log: SkipLog) -> Iterator[str]:
    lines: list[str] = []
    try:
        for number, raw in lines_of(path):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                log.refuse(_refusal(path, number, "(line)", raw[:60], "it must be UTF-8"))
                continue
            if line.strip() == END_OF_TEXT:
                yield "".join(lines).strip("\n")
                lines = []
            else:
                lines.append(line)
    except RecordError as error:
        if error.field == "(line)":
            raise
        log.refuse(error)
    yield "".join(lines).strip("\n")


def _row_documents(path: Path, log: SkipLog) -> Iterator[str]:
    for number, row in read_rows(path, log):
        text = row.get("text")
        if not isinstance(text, str):
            log.refuse(_refusal(path, number, "text", text, "it must be text"))
            continue
        try:
            require_usable(row, is_trained=True)
        except UnusableRow as error:
            log.leave_out(number, f"{path}, line {number}: {error}")
        else:
            yield text
