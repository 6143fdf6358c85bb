"""Normalizes the turns of dialogues in all their spellings: one plain format for every reader, or a reason to skip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tutelage.store.forms import UnusableRow

TURN_KEYS = ("prompt", "completion", "chosen", "rejected", "messages", "turns", "conversations")
ROLES = {
    "human": "user",
    "gpt": "assistant",
    "bot": "assistant",
    "chatgpt": "assistant",
    "developer": "system",
    "function": "tool",
    "observation": "tool",
    "ipython": "tool",
}
# A call made by a model; its result is a turn of the tool.
CALL_ROLES = ("function_call", "tool_call")
_TEXT_PARTS = ("text", "input_text", "output_text")
_ROLE_KEYS, _CONTENT_KEYS = ("role", "from"), ("content", "value", "text")
TRAIN_KEYS = ("train", "training", "loss", "weight")
# A mask says which parts count, but it is unknown whether that is 1 or 0.
MASK_KEYS = ("mask", "masked", "loss_mask", "train_detail", "training_detail")
_CALL_KEYS = ("tool_calls", "function_call")
_REMEDY = "write the call into the turn's text, as the model's own template does"
_UNREAD_KEYS = ("image", "images", "video", "videos", "audio", "audios", "deleted")


def is_absent(value: object) -> bool:
    """Whether a value is absent: null, blank, empty, or an empty list written as text."""
    return (
        value is None
        or value is False
        or (isinstance(value, str | list | dict | tuple) and not value)
        or (isinstance(value, str) and value.strip() in ("", "[]"))
    )


def is_trained_on(marked: Mapping[str, Any], where: str) -> bool:
    """Whether a row or a turn may be trained on, by its marks. Raises `UnusableRow` if that is not yes or no."""
    for key in MASK_KEYS:
        if not is_absent(marked.get(key)):
            raise UnusableRow(f"{where} has {key!r}; which parts of it count is not known")
    marks = {key: marked[key] for key in TRAIN_KEYS if marked.get(key) is not None}
    for key, value in marks.items():
        if not isinstance(value, bool | int | float) or value not in (0, 1):
            raise UnusableRow(
                f"{where} has {key!r} {value!r}; fractional weights are not read, only 0, 1, true and false"
            )
    return all(marks.values())


def plain_turns(key: str, value: Any) -> Any:
    """A list of turns under one of `TURN_KEYS` as role and content, the other keys kept; any other value as it is.

    A turn that is not to be trained on has `train: False`, others have no such mark. Raises `UnusableRow` for turns
    that are more than text, or tool calls.
    """
    if key not in TURN_KEYS or not isinstance(value, list) or not all(isinstance(turn, Mapping) for turn in value):
        return value
    return plain_dialogue(key, value)


def plain_dialogue(key: str, turns: list[Any]) -> list[Any]:
    """A list of turns as role and content, whatever its key; non-mappings are kept. Raises like `plain_turns`."""
    return [
        _plain_turn(turn, f"turn {number} of {key!r}") if isinstance(turn, Mapping) else turn
        for number, turn in enumerate(turns, start=1)
    ]


def _plain_turn(turn: Mapping[str, Any], where: str) -> dict[str, Any]:
    role = next((turn[key] for key in _ROLE_KEYS if key in turn), None)
    if isinstance(role, str) and role in CALL_ROLES:
        raise UnusableRow(f"{where} calls a tool (role {role!r}), which is not read; {_REMEDY}")
    for key in _CALL_KEYS:
        if not is_absent(turn.get(key)):
            raise UnusableRow(f"{where} has {key!r}, which is not read; {_REMEDY}")
    for key in _UNREAD_KEYS:
        if not is_absent(turn.get(key)):
            raise UnusableRow(f"{where} has {key!r}, which is not read; only text is")
    content = next((turn[key] for key in _CONTENT_KEYS if turn.get(key) is not None), None)
    if isinstance(content, list):
        content = _text_of_parts(content, where)
    marks = (*_ROLE_KEYS, *_CONTENT_KEYS, *TRAIN_KEYS)
    plain = {key: value for key, value in turn.items() if key not in marks and value is not None}
    if role is not None:
        plain["role"] = ROLES.get(role, role) if isinstance(role, str) else role
    if content is not None:
        plain["content"] = content
    return plain if is_trained_on(turn, where) else plain | {"train": False}


def _text_of_parts(parts: list[Any], where: str) -> str:
    """The concatenated text parts. Raises `UnusableRow` for a part of any other kind."""
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        # A hub column has a cell for every kind of part, empty in all but one.
        kind = part.get("type") if isinstance(part, Mapping) else None
        text = part.get("text") if isinstance(part, Mapping) else None
        if kind not in _TEXT_PARTS or not isinstance(text, str):
            shown = f"a part of the type {kind!r}" if isinstance(kind, str) else "a part without a type"
            raise UnusableRow(f"{where} has {shown}; only parts of text are read")
        texts.append(text)
    return "".join(texts)
