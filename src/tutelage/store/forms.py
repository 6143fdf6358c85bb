"""A data format: how its rows are recognized, and the pure function that turns a row into records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from tutelage.errors import DataError
from tutelage.records import Demonstration, Message, Prompt, Ranking

Row = Mapping[str, Any]
Record = TypeVar("Record", Prompt, Demonstration, Ranking)
Turns = Literal["all", "last"]
_IDENTITIES = ("user_id", "labeler_id", "prompt_id")
_NOT_TRAINED = "is marked not to be trained on"


# A row's question is under one or more of these; whatever a format does not read must be contained in what it reads.
PROMPT_KEYS = (
    *("prompt", "instruction", "input", "inputs", "question", "query"),
    *("context", "contexts", "passage", "passages", "document", "documents"),
    *("messages", "conversations", "conversation", "turns", "dialogue"),
)


class UnusableRow(ValueError):
    """A well-formed row that contains no record: it is skipped and reported, never an error."""


@dataclass(frozen=True, slots=True)
class UnusedPart:
    """A part of a row that gives no record while others do: it is reported like an unusable row."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Form(Generic[Record]):
    """One row format: its name and keys for messages, the test for a row, the conversion of a row.

    `convert` raises `UnusableRow` or pydantic's `ValidationError`, nothing else. `reads` names those of `PROMPT_KEYS`
    that it puts into the prompt itself. `needs`: the keys required by this format. `convert_by` ranks by a named
    column, in formats that have several.
    """

    name: str
    keys: str
    matches: Callable[[Row], bool]
    convert: Callable[[Row], Sequence[Record | UnusedPart]]
    reads: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    convert_by: Callable[[Row, str], Sequence[Record | UnusedPart]] | None = None

    def ranked_by(self, judgement: str) -> Form[Record]:
        """The same format, with completions ranked by another column. Raises `DataError` if it has only one."""
        if self.convert_by is None:
            raise DataError(
                f"'?by={judgement}' was requested, but rows in the format {self.name} have only one judgment. Omit it."
            )
        convert = self.convert_by
        return replace(self, convert=lambda row: convert(row, judgement))


def has_keys(*keys: str) -> Callable[[Row], bool]:
    """A predicate for rows that have all of `keys`, none of them null."""
    return lambda row: all(row.get(key) is not None for key in keys)


def extra_keys(row: Row, model: type[BaseModel], *, used: Sequence[str]) -> dict[str, Any]:
    """The other contents of an external row that may be kept: keys without a meaning in `model`, and ids as text."""
    known = (*used, *PROMPT_KEYS, *model.model_fields)
    return {key: value for key, value in row.items() if key not in known} | identities(row, model)


def identities(row: Row, model: type[BaseModel]) -> dict[str, str]:
    """The ids in an external row, as text, for which `model` has a field."""
    known = [key for key in _IDENTITIES if key in model.model_fields and isinstance(row.get(key), (str, int))]
    return {key: str(row[key]) for key in known}


def validated(model: type[Record], row: Row) -> list[Record]:
    """A row that already is one of our own records."""
    return [model.model_validate(row)]


def prompt_turns(messages: Sequence[Message]) -> tuple[Message, ...]:
    """A dialogue up to its last user turn. Raises `UnusableRow` if there is no user turn."""
    for index in range(len(messages), 0, -1):
        if messages[index - 1].role == "user":
            return tuple(messages[:index])
    raise UnusableRow("the dialogue has no user turn, so there is no prompt")


def dialogue_demonstrations(
    messages: Sequence[Message], turns: Turns, *, first: int = 0, **kept: Any
) -> list[Demonstration | UnusedPart]:
    """Assistant turns of a dialogue as demonstrations, each with what was said before it: "all" of them or the "last".

    Turns before index `first` and those without a preceding user turn give none; blank ones, and those marked not to be
    trained on, are reported. Raises `UnusableRow` if none is left.
    """
    found = [(index, _no_response(messages[index])) for index in _responses(messages) if index >= first]
    chosen = [index for index, reason in found if reason is None]
    if not chosen:
        raise UnusableRow(
            "every turn of the assistant is marked not to be trained on"
            if any(reason == _NOT_TRAINED for _, reason in found)
            else "no assistant turn with text follows a user turn, so there is no demonstration"
        )
    if turns == "last":
        found = [(chosen[-1], None)]
    return [
        Demonstration(messages=tuple(messages[:index]), response=messages[index].content, **kept)
        if reason is None
        else UnusedPart(f"turn {index + 1} of the dialogue {reason}")
        for index, reason in found
    ]


def is_trained(message: Message) -> bool:
    """Whether a turn may be trained on; see `turns.plain_turns`."""
    return (message.model_extra or {}).get("train") is not False


def _no_response(message: Message) -> str | None:
    if not message.content.strip():
        return "is blank, so there is no demonstration"
    return None if is_trained(message) else _NOT_TRAINED


def _responses(messages: Sequence[Message]) -> Iterator[int]:
    has_prompt = False
    for index, message in enumerate(messages):
        if message.role == "assistant" and has_prompt:
            yield index
        has_prompt = has_prompt or message.role == "user"
