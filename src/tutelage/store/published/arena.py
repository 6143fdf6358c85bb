"""Chatbot Arena: two dialogues with the same user, and a vote. The columns of lmsys/chatbot_arena_conversations."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from tutelage.records import Message
from tutelage.store.forms import Row, UnusableRow, prompt_turns
from tutelage.store.published.building import Asked, Found, Published, dialogue, ranked

_SCORES = {"model_a": (1, 0), "model_b": (0, 1), "tie": (0, 0), "tie (bothbad)": (0, 0), "both_bad": (0, 0)}


class Vote(BaseModel):
    """Who won, and which models wrote the dialogues. Both bad is a tie."""

    winner: Literal["model_a", "model_b", "tie", "tie (bothbad)", "both_bad"]
    model_a: str | None = None
    model_b: str | None = None
    judge: str | None = None


def _last_turn(messages: tuple[Message, ...], key: str) -> str:
    if not messages or messages[-1].role != "assistant":
        ends = f"ends with a turn of the {messages[-1].role}" if messages else "is empty"
        raise UnusableRow(f"{key!r} {ends}, not with the assistant's, so there is no response to compare")
    return messages[-1].content


def _ask(row: Row) -> Asked:
    """The certain part of the prompt: the dialogue up to the first assistant turn."""
    messages = dialogue("conversation_a", row.get("conversation_a"))
    first = next((place for place, turn in enumerate(messages) if turn.role == "assistant"), len(messages))
    return prompt_turns(messages[:first])


def _rank(row: Row, judgement: str) -> Found:
    vote = Vote.model_validate(row)
    sides = {key: dialogue(key, row.get(key)) for key in ("conversation_a", "conversation_b")}
    texts = [_last_turn(messages, key) for key, messages in sides.items()]
    one, other = sides.values()
    if one[:-1] != other[:-1]:
        alike = next((n for n, (left, right) in enumerate(zip(one, other, strict=False)) if left != right), 0)
        raise UnusableRow(
            f"the dialogues differ from turn {alike + 1} on and have {len(one)} and {len(other)} turns; the vote is on "
            "several turns at once, and a comparison needs the same ones before the last"
        )
    if not one[:-1]:
        raise UnusableRow("there is nothing before the last turn, so there is no prompt")
    return ranked(
        row,
        one[:-1],
        texts,
        _SCORES[vote.winner],
        used=("conversation_a", "conversation_b", "judge"),
        policies=[vote.model_a, vote.model_b],
        labeler_id=vote.judge,
    )


ARENA = (
    Published(
        name="Chatbot Arena",
        needs=("conversation_a", "conversation_b", "winner"),
        ask=_ask,
        rank=_rank,
        judgements=("winner",),
    ),
)
