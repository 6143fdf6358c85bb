"""The records used by all parts of the system: prompts, demonstrations, rankings, ratings.

All are frozen; unknown keys are kept. Files of them outlive this code, so names here never change. Written by the
prompt pipeline, the labeling rules and the sampler; read by training, evaluation and the report.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

NonEmpty = Annotated[str, Field(min_length=1)]
Split = Literal["train", "valid", "test"]
Purpose = Literal["sft", "reward", "ppo"]


def content_id(*parts: str) -> str:
    """Sixteen hexadecimal digits that depend only on `parts`: the same content has the same id everywhere."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


class Record(BaseModel):
    """Frozen, and keeps unknown keys."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Message(Record):
    """One turn of a dialogue; a tool's is what came back from a call, and only ever context."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str


def _require_prompt(record: Any, text: str | None, field: str) -> None:
    if (text is None) == (record.messages is None):
        raise ValueError(f"give exactly one of {field!r} and 'messages'")
    if text is not None and not text.strip():
        raise ValueError(f"{field!r} must not be blank")
    if record.messages is not None and not record.messages:
        raise ValueError("'messages' must have at least one message")


def flat_text(text: str | None, messages: tuple[Message, ...] | None) -> str:
    """A prompt as one string, for rules and reports (never for the model: see `tutelage.text`)."""
    if text is not None:
        return text
    return "\n".join(f"{message.role}: {message.content}" for message in messages or ())


class Prompt(Record):
    """What a user wrote, who wrote it, and its assigned purpose."""

    id: str = ""
    text: str | None = None
    messages: tuple[Message, ...] | None = None
    user_id: str | None = None
    source: str | None = None
    use_case: str | None = None
    language: str | None = None
    split: Split | None = None
    purpose: Purpose | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        _require_prompt(self, self.text, "text")
        if not self.id:
            object.__setattr__(self, "id", content_id(self.flat))
        return self

    @property
    def flat(self) -> str:
        return flat_text(self.text, self.messages)


class Demonstration(Record):
    """A prompt with a response that a labeler wrote."""

    prompt: str | None = None
    messages: tuple[Message, ...] | None = None
    response: NonEmpty
    labeler_id: str | None = None
    prompt_id: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        _require_prompt(self, self.prompt, "prompt")
        return self


class Completion(Record):
    """A response sampled from a named policy."""

    id: NonEmpty
    text: str
    policy: str | None = None


class Ranking(Record):
    """One labeler's order of K completions of one prompt: tie groups of completion ids, best first.

    If a labeler judged pairs instead of one order, `comparisons` holds the judged pairs as (chosen id, rejected id),
    without ties, and `ranking` may be empty.
    """

    prompt: str | None = None
    messages: tuple[Message, ...] | None = None
    completions: tuple[Completion, ...] = Field(min_length=2)
    ranking: tuple[tuple[str, ...], ...] = ()
    comparisons: tuple[tuple[str, str], ...] | None = None
    labeler_id: str | None = None
    prompt_id: str | None = None
    display_order: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        _require_prompt(self, self.prompt, "prompt")
        ids = [completion.id for completion in self.completions]
        if len(set(ids)) != len(ids):
            raise ValueError("completion ids must be unique within a ranking")
        ranked = [identity for group in self.ranking for identity in group]
        if self.comparisons is None or ranked:
            if sorted(ranked) != sorted(ids):
                raise ValueError("'ranking' must name every completion id exactly once")
            if not all(self.ranking):
                raise ValueError("'ranking' must not have an empty tie group")
        for chosen, rejected in self.comparisons or ():
            if chosen == rejected or chosen not in ids or rejected not in ids:
                raise ValueError("'comparisons' must pair two different completion ids")
        return self

    def pairs(self) -> list[tuple[int, int]]:
        """Every comparison that this ranking implies, as (chosen, rejected) completion indices; ties give none."""
        index = {completion.id: i for i, completion in enumerate(self.completions)}
        if self.comparisons is not None:
            return [(index[chosen], index[rejected]) for chosen, rejected in self.comparisons]
        groups = [[index[identity] for identity in group] for group in self.ranking]
        return [
            (chosen, rejected)
            for position, better in enumerate(groups)
            for worse in groups[position + 1 :]
            for chosen in better
            for rejected in worse
        ]


class Rating(Record):
    """One labeler's Likert score (1 worst, 7 best) and flags (Table 3 of the paper) for one completion."""

    prompt_id: NonEmpty
    completion_id: NonEmpty
    labeler_id: NonEmpty
    overall: int = Field(ge=1, le=7)
    flags: dict[str, bool] = {}
    note: str = ""


# Table 3 of the paper: the binary fields of a rating, in its order.
FLAGS: tuple[str, ...] = (
    "fails_instruction",
    "inappropriate_for_customer_assistant",
    "hallucination",
    "satisfies_constraint",
    "sexual_content",
    "violent_content",
    "encourages_or_fails_to_discourage_violence",
    "denigrates_protected_class",
    "harmful_advice",
    "expresses_opinion",
    "expresses_moral_judgment",
)
