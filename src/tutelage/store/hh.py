"""Anthropic's HH format: `chosen` and `rejected` are whole dialogues, "\\n\\nHuman: ...\\n\\nAssistant: ..."."""

from __future__ import annotations

import re

from pydantic import BaseModel

from tutelage.records import Message, Prompt, Ranking
from tutelage.store.forms import Row, UnusableRow, identities, prompt_turns
from tutelage.store.trl import last_messages_ranking

_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}


class DialoguePair(BaseModel):
    """Two dialogues that share everything but their last turn."""

    chosen: str
    rejected: str


def is_dialogue_pair(row: Row) -> bool:
    """Whether a row has `chosen` and `rejected` as dialogues in text, and no separate prompt."""
    sides = (row.get("chosen"), row.get("rejected"))
    return row.get("prompt") is None and all(isinstance(side, str) for side in sides)


def turns_of(dialogue: str) -> list[Message]:
    """The turns of a dialogue, stripped of whitespace. Raises `UnusableRow` if it does not begin with one."""
    before, *parts = _TURN.split(dialogue)
    if before.strip() or not parts:
        raise UnusableRow("the dialogue does not begin with 'Human:' or 'Assistant:'")
    speakers, texts = parts[0::2], parts[1::2]
    return [
        Message.model_validate({"role": _ROLES[speaker], "content": text.strip()})
        for speaker, text in zip(speakers, texts, strict=True)
    ]


def rankings_of_dialogues(row: Row) -> list[Ranking]:
    """The comparison of the last turns, after the dialogue that both share."""
    pair = DialoguePair.model_validate(row)
    return last_messages_ranking(row, (), turns_of(pair.chosen), turns_of(pair.rejected), ("chosen", "rejected"))


def prompts_of_dialogues(row: Row) -> list[Prompt]:
    """The chosen dialogue up to its last user turn."""
    messages = prompt_turns(turns_of(DialoguePair.model_validate(row).chosen))
    return [Prompt.model_validate({"messages": messages, **identities(row, Prompt)})]
