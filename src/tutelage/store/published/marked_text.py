"""Prompts in which a dialogue is written out as one text, with marks between its turns."""

from __future__ import annotations

import re

from tutelage.records import Message
from tutelage.store.forms import UnusableRow
from tutelage.store.hh import turns_of

# NVIDIA's marks of a turn; the first turn of a prompt, the user's, has none.
_MARK = re.compile(r"\n?<extra_id_1>(User|Assistant)\n")
_ROLES = {"User": "user", "Assistant": "assistant"}


def helpsteer_prompt(prompt: str) -> str | tuple[Message, ...]:
    """A HelpSteer prompt: text, or, if it has marks, the turns between them.

    Raises `UnusableRow` if the user and the assistant do not alternate, or the last turn is not the user's.
    """
    first, *parts = _MARK.split(prompt)
    if not parts:
        return prompt
    roles = ["user", *(_ROLES[speaker] for speaker in parts[0::2])]
    if roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
        raise UnusableRow("the turns that '<extra_id_1>' marks do not alternate, or do not end with the user")
    return tuple(
        Message.model_validate({"role": role, "content": text.strip()})
        for role, text in zip(roles, [first, *parts[1::2]], strict=True)
    )


def human_prompt(prompt: str) -> tuple[Message, ...]:
    """A prompt "\\n\\nHuman: ... \\n\\nAssistant: " as its turns. Raises `UnusableRow` for any other text."""
    turns = turns_of(prompt)
    if turns[-1].role == "assistant" and not turns[-1].content:
        turns = turns[:-1]
    if not turns or turns[-1].role != "user":
        raise UnusableRow("the prompt does not end with a turn of the user, so it is not known what was asked")
    return tuple(turns)
