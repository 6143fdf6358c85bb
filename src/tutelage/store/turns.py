"""The turns of dialogues as people spell them: one plain form for every reader, or a reason why a row is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tutelage.store.forms import UnusableRow

TURN_KEYS = ("prompt", "completion", "chosen", "rejected", "messages", "turns", "conversations")
ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "chatgpt": "assistant", "developer": "system"}
TOOL_ROLES = ("tool", "function", "observation", "function_call", "tool_call", "ipython")
_ROLE_KEYS, _CONTENT_KEYS = ("role", "from"), ("content", "value", "text")
TRAIN_KEYS = ("train", "training", "loss", "weight")
# A mask says which parts count, and nobody says whether 1 is the part that does.
MASK_KEYS = ("mask", "masked", "loss_mask", "train_detail", "training_detail")
_UNREAD_KEYS = ("tool_calls", "function_call", "image", "images", "video", "videos", "audio", "audios", "deleted")


def is_absent(value: object) -> bool:
    """Whether a key says nothing: null, blank, empty, or an empty list written out as text."""
    return (
        value is None
        or value is False
        or (isinstance(value, str | list | dict | tuple) and not value)
        or (isinstance(value, str) and value.strip() in ("", "[]"))
    )


def is_trained_on(marked: Mapping[str, Any], where: str) -> bool:
    """Whether a row or a turn may be trained on, by its marks. Raises `UnusableRow` where that is not yes or no."""
    for key in MASK_KEYS:
        if not is_absent(marked.get(key)):
            raise UnusableRow(f"{where} has {key!r}; which parts of it count is not known")
    marks = {key: marked[key] for key in TRAIN_KEYS if marked.get(key) is not None}
    for key, value in marks.items():
        if not isinstance(value, bool | int | float) or value not in (0, 1):
            raise UnusableRow(
                f"{where} has {key!r} {value!r}; a part of a weight is not read, only 0, 1, true and false"
            )
    return all(marks.values())


def plain_turns(key: str, value: Any) -> Any:
    """A list of turns under one of `TURN_KEYS` as role and content, the other keys kept; any other value as it is.

    A turn that is not to be trained on has `train: False`, no other one has such a mark. Raises `UnusableRow` for turns
    that are more than text, or not a turn of the system, the user or the assistant.
    """
    if key not in TURN_KEYS or not isinstance(value, list) or not all(isinstance(turn, Mapping) for turn in value):
        return value
    return [_plain_turn(turn, f"turn {number} of {key!r}") for number, turn in enumerate(value, start=1)]


def _plain_turn(turn: Mapping[str, Any], where: str) -> dict[str, Any]:
    role = next((turn[key] for key in _ROLE_KEYS if key in turn), None)
    if isinstance(role, str) and role in TOOL_ROLES:
        raise UnusableRow(f"{where} is of a tool (role {role!r}); only those of system, user and assistant are read")
    for key in _UNREAD_KEYS:
        if not is_absent(turn.get(key)):
            raise UnusableRow(f"{where} has {key!r}, which is not read; only text is")
    content = next((turn[key] for key in _CONTENT_KEYS if turn.get(key) is not None), None)
    if isinstance(content, list):
        raise UnusableRow(f"{where} is a list of parts; only text is read")
    marks = (*_ROLE_KEYS, *_CONTENT_KEYS, *TRAIN_KEYS)
    plain = {key: value for key, value in turn.items() if key not in marks and value is not None}
    if role is not None:
        plain["role"] = ROLES.get(role, role) if isinstance(role, str) else role
    if content is not None:
        plain["content"] = content
    return plain if is_trained_on(turn, where) else plain | {"train": False}
