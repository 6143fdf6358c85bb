"""K completions with a number each: UltraFeedback, Nectar, StackExchange.

The columns are those of openbmb/UltraFeedback, berkeley-nest/Nectar and HuggingFaceH4/stack-exchange-preferences.
"""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, FiniteFloat

from tutelage.store.forms import Row, has_keys
from tutelage.store.published.building import Asked, Found, Published, ranked
from tutelage.store.published.marked_text import human_prompt

ASPECTS = ("instruction_following", "truthfulness", "honesty", "helpfulness")


class UltraCompletion(BaseModel, extra="allow"):
    """A completion of UltraFeedback with its scores and, by aspect, its ratings."""

    response: str
    model: str | None = None
    annotations: dict[str, Any] = {}

    def judged(self, judgement: str) -> float | None:
        """Its number under `judgement`; None if there is none, or it is not a number ("N/A")."""
        value = (self.model_extra or {}).get(judgement)
        if judgement in ASPECTS:
            aspect = self.annotations.get(judgement)
            value = aspect.get("Rating") if isinstance(aspect, dict) else None
        return _number(value)


def _number(value: object) -> float | None:
    try:
        number = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


class UltraFeedback(BaseModel):
    """An instruction and its completions."""

    instruction: str
    completions: list[UltraCompletion]


class _Instruction(BaseModel):
    instruction: str


def _is_ultrafeedback(row: Row) -> bool:
    has_judgement = any(row.get(key) is not None for key in ("ranking", "comparisons", "annotations"))
    return has_keys("instruction", "completions")(row) and not has_judgement


def _rank_ultrafeedback(row: Row, judgement: str) -> Found:
    parsed = UltraFeedback.model_validate(row)
    return ranked(
        row,
        parsed.instruction,
        [one.response for one in parsed.completions],
        [one.judged(judgement) for one in parsed.completions],
        used=("models",),
        policies=[one.model for one in parsed.completions],
    )


class NectarAnswer(BaseModel):
    """An answer with its rank, 1 best."""

    answer: str
    rank: FiniteFloat | None = None
    model: str | None = None


class Nectar(BaseModel):
    """A prompt written out as a dialogue, and seven answers."""

    prompt: str
    answers: list[NectarAnswer]


class _Prompt(BaseModel):
    prompt: str


def _are_answers_with(row: Row, *keys: str) -> bool:
    answers = row.get("answers")
    if not isinstance(answers, list):
        return False
    return any(isinstance(one, dict) and all(key in one for key in keys) for one in answers)


def _ask_nectar(row: Row) -> Asked:
    return human_prompt(_Prompt.model_validate(row).prompt)


def _rank_nectar(row: Row, judgement: str) -> Found:
    parsed = Nectar.model_validate(row)
    return ranked(
        row,
        _ask_nectar(row),
        [one.answer for one in parsed.answers],
        [None if one.rank is None else -one.rank for one in parsed.answers],
        used=("answers",),
        policies=[one.model for one in parsed.answers],
    )


class StackAnswer(BaseModel):
    """An answer with the score from its votes."""

    text: str
    pm_score: FiniteFloat | None = None


class StackExchange(BaseModel):
    """A question and its answers."""

    question: str
    answers: list[StackAnswer]


class _Question(BaseModel):
    question: str


def _rank_stack_exchange(row: Row, judgement: str) -> Found:
    parsed = StackExchange.model_validate(row)
    return ranked(
        row,
        parsed.question,
        [one.text for one in parsed.answers],
        [one.pm_score for one in parsed.answers],
        used=("answers",),
    )


SCORED = (
    Published(
        name="UltraFeedback",
        needs=("instruction", "completions"),
        matches=_is_ultrafeedback,
        ask=lambda row: _Instruction.model_validate(row).instruction,
        rank=_rank_ultrafeedback,
        judgements=("overall_score", "fine-grained_score", *ASPECTS),
        reads=("instruction",),
    ),
    Published(
        name="Nectar",
        needs=("prompt", "answers"),
        matches=lambda row: has_keys("prompt")(row) and _are_answers_with(row, "answer", "rank"),
        ask=_ask_nectar,
        rank=_rank_nectar,
        judgements=("rank",),
        reads=("prompt",),
    ),
    Published(
        name="StackExchange",
        needs=("question", "answers"),
        matches=lambda row: has_keys("question")(row) and _are_answers_with(row, "text", "pm_score"),
        ask=lambda row: _Question.model_validate(row).question,
        rank=_rank_stack_exchange,
        judgements=("pm_score",),
        reads=("question",),
    ),
)
