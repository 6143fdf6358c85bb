"""The files of an export: written line by line, hashed; TRL's pairs; Parquet; CSV."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path
from typing import Any, BinaryIO, Self

from pydantic import BaseModel

from tutelage.records import Demonstration, Ranking, Record
from tutelage.store.csv_table import write_csv
from tutelage.store.jsonl import record_line
from tutelage.store.parquet import write_parquet

Turns = list[dict[str, str]]


class LabelFiles:
    """Files of records in one folder; each is created with its first record."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._suffix = folder, ".jsonl"
        self._streams: dict[str, BinaryIO] = {}
        self._counts: dict[str, int] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def add(self, name: str, record: BaseModel) -> None:
        """Append one record to the file `name`."""
        if name not in self._streams:
            self._streams[name] = self._open.enter_context(self._path(name).open("wb"))
        self._streams[name].write(record_line(record).encode() + b"\n")
        self._counts[name] = self._counts.get(name, 0) + 1

    def to_parquet(self) -> None:
        """Replace each file by a Parquet file, one at a time. Raises DataError without pyarrow."""
        written = {name: self._path(name) for name in self._counts}
        self._suffix = ".parquet"
        for name, lines in written.items():
            with self._path(name).open("wb") as handle:
                write_parquet(handle, list(_rows(lines)), self._path(name))
            lines.unlink()

    def to_csv(self) -> None:
        """Replace each file by a CSV table; its columns are the union of all records' fields."""
        written = {name: self._path(name) for name in self._counts}
        self._suffix = ".csv"
        for name, lines in written.items():
            columns = dict.fromkeys(key for row in _rows(lines) for key in row)
            with self._path(name).open("wb") as handle:
                write_csv(handle, _rows(lines), columns)
            lines.unlink()

    def to_one_form(self) -> None:
        """Rewrite text as one-turn dialogues in every file, if any TRL record is a dialogue.

        A column has one type: `datasets` rejects a file in which some prompts are text and others lists of messages.
        """
        written = [self._path(name) for name in self._counts]
        if not any(isinstance(row["prompt"], list) for lines in written for row in _rows(lines)):
            return
        for lines in written:
            rewritten = lines.with_suffix(".dialogues")
            with rewritten.open("wb") as handle:
                handle.writelines(json.dumps(_as_dialogue(row)).encode() + b"\n" for row in _rows(lines))
            rewritten.replace(lines)

    def counts(self) -> dict[str, int]:
        """Records by file."""
        return {self._path(name).name: self._counts[name] for name in sorted(self._counts)}

    def sha256(self) -> dict[str, str]:
        """Hashes by file."""
        hashes = {}
        for name in sorted(self._counts):
            with self._path(name).open("rb") as handle:
                hashes[self._path(name).name] = hashlib.file_digest(handle, "sha256").hexdigest()
        return hashes

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{self._suffix}"


def _rows(lines: Path) -> Iterator[dict[str, Any]]:
    with lines.open(encoding="utf-8") as stream:
        yield from map(json.loads, stream)


_ROLES = {"prompt": "user", "chosen": "assistant", "rejected": "assistant", "completion": "assistant"}


def _as_dialogue(row: dict[str, Any]) -> dict[str, Any]:
    turns = {
        name: [{"role": role, "content": row[name]}] for name, role in _ROLES.items() if isinstance(row.get(name), str)
    }
    return row | turns


class PreferencePair(Record):
    """A comparison in TRL's format: text, or lists of messages if any prompt of the export is a dialogue."""

    prompt: str | Turns
    chosen: str | Turns
    rejected: str | Turns
    prompt_id: str | None = None
    labeler_id: str | None = None


class TiedPair(Record):
    """Two completions that a labeler called equally good; not used by TRL's trainers, but useful to people."""

    prompt: str | Turns
    completions: tuple[str, str]
    is_tie: bool
    prompt_id: str | None = None
    labeler_id: str | None = None


class ExportedPromptCompletion(Record):
    """A demonstration in TRL's format."""

    prompt: str | Turns
    completion: str | Turns
    prompt_id: str | None = None
    labeler_id: str | None = None


def trl_records(records: Iterable[tuple[str, BaseModel]]) -> Iterator[tuple[str, BaseModel]]:
    """The records of one label in TRL's formats, with their files; records without a TRL format are omitted."""
    for _, record in records:
        if isinstance(record, Demonstration):
            completion = _side(record, record.response)
            yield "demonstrations", ExportedPromptCompletion(**_shared(record), completion=completion)
        elif isinstance(record, Ranking):
            yield from _pairs(record)


def _pairs(ranking: Ranking) -> Iterator[tuple[str, BaseModel]]:
    text_of = {each.id: each.text for each in ranking.completions}
    texts = [each.text for each in ranking.completions]
    for chosen, rejected in ranking.pairs():
        sides = {"chosen": _side(ranking, texts[chosen]), "rejected": _side(ranking, texts[rejected])}
        yield "preferences", PreferencePair(**_shared(ranking), **sides)
    for group in ranking.ranking:
        for first, second in combinations(group, 2):
            yield "ties", TiedPair(**_shared(ranking), is_tie=True, completions=(text_of[first], text_of[second]))


def _shared(record: Demonstration | Ranking) -> dict[str, Any]:
    prompt: str | Turns = record.prompt if record.prompt is not None else []
    if record.messages is not None:
        prompt = [{"role": each.role, "content": each.content} for each in record.messages]
    kept = {key: value for key, value in (record.model_extra or {}).items() if key in ("labeler_group", "user_id")}
    return {"prompt": prompt, "prompt_id": record.prompt_id, "labeler_id": record.labeler_id, **kept}


def _side(record: Demonstration | Ranking, text: str) -> str | Turns:
    return text if record.messages is None else [{"role": "assistant", "content": text}]
