"""What a form of data is: how its rows are known, and the pure function that turns a row into records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from tutelage.records import Demonstration, Message, Prompt, Ranking

Row = Mapping[str, Any]
Record = TypeVar("Record", Prompt, Demonstration, Ranking)
Turns = Literal["all", "last"]
_IDENTITIES = ("user_id", "labeler_id", "prompt_id")


class UnusableRow(ValueError):
    """A well-formed row that holds no record: it is left out and reported, never an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form(Generic[Record]):
    """One form of rows: its name and keys for messages, the test on a row, the conversion of a row.

    `convert` raises `UnusableRow` or pydantic's `ValidationError`, nothing else.
    """

    name: str
    keys: str
    matches: Callable[[Row], bool]
    convert: Callable[[Row], Sequence[Record]]


def has_keys(*keys: str) -> Callable[[Row], bool]:
    """A test whether a row has all of `keys`, none of them null."""
    return lambda row: all(row.get(key) is not None for key in keys)


def extra_keys(row: Row, model: type[BaseModel], *, used: Sequence[str]) -> dict[str, Any]:
    """What else stands in a foreign row and may be kept: keys without a meaning in `model`, and identities as text."""
    kept = {key: value for key, value in row.items() if key not in used and key not in model.model_fields}
    for key in _IDENTITIES:
        if key in model.model_fields and isinstance(row.get(key), (str, int)):
            kept[key] = str(row[key])
    return kept


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
) -> list[Demonstration]:
    """Assistant turns of a dialogue as demonstrations, each with what was said before it: "all" of them or the "last".

    Turns before index `first`, blank ones and those that no user turn comes before give none. Raises `UnusableRow`
    where none is left.
    """
    indices = [index for index in _responses(messages) if index >= first]
    if not indices:
        raise UnusableRow("no assistant turn with text follows a user turn, so there is no demonstration")
    chosen = indices if turns == "all" else indices[-1:]
    return [
        Demonstration(messages=tuple(messages[:index]), response=messages[index].content, **kept) for index in chosen
    ]


def _responses(messages: Sequence[Message]) -> Iterator[int]:
    has_prompt = False
    for index, message in enumerate(messages):
        if message.role == "assistant" and has_prompt and message.content.strip():
            yield index
        has_prompt = has_prompt or message.role == "user"
