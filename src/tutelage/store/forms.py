"""What a form of data is: how its rows are known, and the pure function that turns a row into records."""

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


# What a row asks stands under one or more of these; what of it a form does not read must stand in what it does read.
PROMPT_KEYS = (
    *("prompt", "instruction", "input", "inputs", "question", "query"),
    *("context", "contexts", "passage", "passages", "document", "documents"),
    *("messages", "conversations", "conversation", "turns", "dialogue"),
)


class UnusableRow(ValueError):
    """A well-formed row that holds no record: it is left out and reported, never an error."""


@dataclass(frozen=True, slots=True)
class UnusedPart:
    """A part of a row that gives no record, beside others that do: it is reported as an unusable row is."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Form(Generic[Record]):
    """One form of rows: its name and keys for messages, the test on a row, the conversion of a row.

    `convert` raises `UnusableRow` or pydantic's `ValidationError`, nothing else. `reads` names those of `PROMPT_KEYS`
    that it puts into the prompt in its own way. `needs`: the keys without which no row has this form. `convert_by`
    ranks by a named column, in forms that have several.
    """

    name: str
    keys: str
    matches: Callable[[Row], bool]
    convert: Callable[[Row], Sequence[Record | UnusedPart]]
    reads: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    convert_by: Callable[[Row, str], Sequence[Record | UnusedPart]] | None = None

    def ranked_by(self, judgement: str) -> Form[Record]:
        """The same form, its completions ranked by another column. Raises `DataError` where it has one judgement."""
        if self.convert_by is None:
            raise DataError(
                f"'?by={judgement}' was asked for, and rows of the form {self.name} have one judgement only. "
                "Leave it out."
            )
        convert = self.convert_by
        return replace(self, convert=lambda row: convert(row, judgement))


def has_keys(*keys: str) -> Callable[[Row], bool]:
    """A test whether a row has all of `keys`, none of them null."""
    return lambda row: all(row.get(key) is not None for key in keys)


def extra_keys(row: Row, model: type[BaseModel], *, used: Sequence[str]) -> dict[str, Any]:
    """What else stands in a foreign row and may be kept: keys without a meaning in `model`, and identities as text."""
    known = (*used, *PROMPT_KEYS, *model.model_fields)
    return {key: value for key, value in row.items() if key not in known} | identities(row, model)


def identities(row: Row, model: type[BaseModel]) -> dict[str, str]:
    """Who and what a foreign row is of, as text, where `model` has a field for it."""
    known = [key for key in _IDENTITIES if key in model.model_fields and isinstance(row.get(key), (str, int))]
    return {key: str(row[key]) for key in known}


def validated(model: type[Record], row: Row) -> list[Record]:
    """A row that is one of our own records already."""
    return [model.model_validate(row)]


def prompt_turns(messages: Sequence[Message]) -> tuple[Message, ...]:
    """A dialogue up to its last user turn. Raises `UnusableRow` where no user speaks."""
    for index in range(len(messages), 0, -1):
        if messages[index - 1].role == "user":
            return tuple(messages[:index])
    raise UnusableRow("no user speaks in the dialogue, so there is no prompt")


def dialogue_demonstrations(
    messages: Sequence[Message], turns: Turns, *, first: int = 0, **kept: Any
) -> list[Demonstration | UnusedPart]:
    """Assistant turns of a dialogue as demonstrations, each with what was said before it: "all" of them or the "last".

    Turns before index `first` and those that no user turn comes before give none; of blank ones, and of those marked
    not to be trained on, it is said. Raises `UnusableRow` where none is left.
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
