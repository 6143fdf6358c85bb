"""Keys that change the meaning of a row, in addition to its format: each is read, or the row is refused, naming it.

A format reads the keys that define it. Other keys are handled here, once for all formats. A key that is in no list
below does not affect training; such keys are kept unchanged, or ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tutelage.records import Message, Prompt, flat_text
from tutelage.store.forms import PROMPT_KEYS, Form, Record, Row, UnusableRow, UnusedPart, prompt_turns
from tutelage.store.turns import is_absent, is_trained_on, plain_turns

SYSTEM_KEYS = ("system", "system_prompt", "system_message")
# Read as turns before the prompt.
BEFORE_KEYS = (*SYSTEM_KEYS, "history")
# No format reads them: with them, a model is asked something other than the text alone.
UNREAD_KEYS = ("tools", "functions", "image", "images", "video", "videos", "audio", "audios", "files")


def records_of(form: Form[Record], row: Row, *, is_trained: bool) -> list[Record | UnusedPart]:
    """The records of a row, with everything that changes its meaning. Raises like `form.convert`, or `UnusableRow`.

    `is_trained` if the records are trained on: prompts are only inputs, whatever the judgment of a response to them.
    """
    kept = {key: plain_turns(key, value) for key, value in row.items() if value is not None}
    require_usable(kept, is_trained=is_trained)
    before = _before(kept, form.reads)
    found = form.convert(kept)
    records = [each for each in found if not isinstance(each, UnusedPart)]
    _require_all_said(kept, form.reads, records)
    return [each if isinstance(each, UnusedPart) else preceded(each, before) for each in found]


def require_usable(row: Row, *, is_trained: bool) -> None:
    """Raise `UnusableRow` for a row that is more than text or deleted, or, if `is_trained`, excluded from training."""
    for key in UNREAD_KEYS:
        if not is_absent(row.get(key)):
            raise UnusableRow(f"{key!r} is part of the model's input, and no format reads it")
    if row.get("deleted"):
        raise UnusableRow("'deleted' is set")
    if not is_trained:
        return
    if not is_trained_on(row, "the row"):
        raise UnusableRow("the row is marked not to be trained on (train, training, loss or weight)")
    label = row.get("label", True)
    if label is False:
        raise UnusableRow("'label' is false: the response is one to avoid (KTO)")
    if label is not True and not isinstance(label, str):
        raise UnusableRow("'label' is neither true nor text; whether the response is a good one is not known")


def _before(row: dict[str, Any], reads: Sequence[str]) -> tuple[Message, ...]:
    """The turns before the prompt; removes their keys from `row`, except for those that the format `reads`."""
    given = {key: row.pop(key) for key in BEFORE_KEYS if key in row and key not in reads}
    systems = {key: given[key] for key in SYSTEM_KEYS if not is_absent(given.get(key))}
    for key, text in systems.items():
        if not isinstance(text, str):
            raise UnusableRow(f"{key!r} is not text, so it is not known what it asks the model")
    if len(set(systems.values())) > 1:
        raise UnusableRow(f"{' and '.join(map(repr, systems))} differ; which one is right is not known")
    first = tuple(Message(role="system", content=text) for text in list(systems.values())[:1])
    return first + tuple(_history(given.get("history")))


def _history(history: object) -> Iterator[Message]:
    if is_absent(history):
        return
    pairs = history if isinstance(history, list) else [history]
    for pair in pairs:
        if not (isinstance(pair, (list, tuple)) and len(pair) == 2 and all(isinstance(text, str) for text in pair)):
            raise UnusableRow("'history' must be pairs [user, assistant] of text; other formats are not read")
        yield Message(role="user", content=pair[0])
        yield Message(role="assistant", content=pair[1])


def preceded(record: Record, before: Sequence[Message]) -> Record:
    """The record with `before` as the first turns of its prompt. Raises `UnusableRow` if two beginnings conflict."""
    if not before:
        return record
    turns: tuple[Message, ...] = record.messages or (Message(role="user", content=_text(record) or ""),)
    if record.messages is not None and any(message.role != "system" for message in before):
        raise UnusableRow("there are both 'history' and a dialogue; which of them comes first is not known")
    if turns[0].role == "system":
        if turns[0].content.strip() != before[0].content.strip():
            raise UnusableRow("the row has a system prompt, but its dialogue begins with another one")
        turns = turns[1:]
    fields = {key: value for key, value in record if key not in ("text", "prompt")}
    if isinstance(record, Prompt) and record.id == Prompt(text=record.text, messages=record.messages).id:
        # The id was derived from the content, which has changed.
        del fields["id"]
    return type(record).model_validate(fields | {"messages": (*before, *turns)})


def _require_all_said(row: Row, reads: Sequence[str], records: Sequence[Record]) -> None:
    """What a row asks under keys that its format does not read must be contained in the prompts that were read."""
    # A number asks nothing: in some datasets `turns` is their count.
    unread = [
        key
        for key in PROMPT_KEYS
        if key not in reads and not is_absent(row.get(key)) and not isinstance(row[key], int | float)
    ]
    if not unread:
        return
    prompts = " ".join(_words(flat_text(_text(record), record.messages)) for record in records)
    for key in unread:
        said = _said(row[key])
        if said is None or any(_words(text) not in prompts for text in said):
            raise UnusableRow(f"{key!r} is not read in this format, and the prompt does not contain its text")


def _text(record: Record) -> str | None:
    return record.text if isinstance(record, Prompt) else record.prompt


def _words(text: str) -> str:
    return " ".join(text.split())


def _said(value: object) -> list[str] | None:
    """The texts of a value; for a dialogue those up to its last user turn; None if it contains anything else."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, (list, tuple)):
        return None
    if value and all(isinstance(turn, Mapping) and "role" in turn and "content" in turn for turn in value):
        messages = [Message.model_validate(turn) for turn in value]
        return [message.content for message in prompt_turns(messages)]
    parts = [_said(part) for part in value]
    return None if None in parts else [text for part in parts for text in part or ()]
