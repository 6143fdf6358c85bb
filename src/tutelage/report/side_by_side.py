"""Completions of all arms on the same prompts, with the labelers' judgments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from tutelage.evaluation.records import EvaluatedCompletion
from tutelage.report.arms import ArmStyle, arm_of, in_order
from tutelage.report.run_folder import RunData, StageRun

MAX_PROMPTS = 48
MAX_SAMPLES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedCompletion:
    """One arm's completion, its outcomes against the baseline, and its mean rating (None: not rated)."""

    arm: ArmStyle
    text: str
    is_complete: bool
    won: int
    tied: int
    lost: int
    mean_rating: float | None
    num_ratings: int

    @property
    def is_compared(self) -> bool:
        return self.won + self.tied + self.lost > 0

    @property
    def outcome(self) -> str:
        """better, worse or even according to the judges; "" if it was not compared."""
        if not self.is_compared:
            return ""
        return "better" if self.won > self.lost else "worse" if self.won < self.lost else "even"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPrompt:
    """A prompt with the completions of every arm on it."""

    prompt_id: str
    use_case: str
    text: str
    completions: tuple[JudgedCompletion, ...]


def judged_prompts(run: RunData, *, max_prompts: int = MAX_PROMPTS) -> list[JudgedPrompt]:
    """The first prompts of every use case in turn, in file order, whether or not they were judged."""
    by_prompt: dict[str, list[EvaluatedCompletion]] = defaultdict(list)
    for completion in run.result_completions:
        by_prompt[completion.prompt_id].append(completion)
    judgements = _Judgements(run)
    return [judgements.judge(by_prompt[prompt_id]) for prompt_id in _in_turn(by_prompt)[:max_prompts]]


def _in_turn(by_prompt: dict[str, list[EvaluatedCompletion]]) -> list[str]:
    by_use_case: dict[str, list[str]] = defaultdict(list)
    for prompt_id, completions in by_prompt.items():
        by_use_case[completions[0].use_case].append(prompt_id)
    turns = zip_longest(*by_use_case.values())
    return [prompt_id for turn in turns for prompt_id in turn if prompt_id is not None]


class _Judgements:
    """Outcomes and ratings by completion; of several completions of an arm the first is shown."""

    def __init__(self, run: RunData) -> None:
        self.outcomes: dict[str, list[float]] = defaultdict(list)
        self.ratings: dict[str, list[int]] = defaultdict(list)
        for row in run.result_comparisons:
            self.outcomes[row.completion_id].append(row.outcome)
        for rating in run.result_ratings:
            self.ratings[rating.completion_id].append(rating.overall)

    def judge(self, completions: list[EvaluatedCompletion]) -> JudgedPrompt:
        of_arm = {completion.arm: completion for completion in reversed(completions)}
        first = completions[0]
        return JudgedPrompt(
            prompt_id=first.prompt_id,
            use_case=first.use_case,
            text=first.prompt,
            completions=tuple(self._judged(of_arm[arm]) for arm in in_order(of_arm)),
        )

    def _judged(self, completion: EvaluatedCompletion) -> JudgedCompletion:
        outcomes = self.outcomes.get(completion.completion_id, [])
        ratings = self.ratings.get(completion.completion_id, [])
        return JudgedCompletion(
            arm=arm_of(completion.arm),
            text=completion.text,
            is_complete=completion.is_complete,
            won=outcomes.count(1.0),
            tied=outcomes.count(0.5),
            lost=outcomes.count(0.0),
            mean_rating=sum(ratings) / len(ratings) if ratings else None,
            num_ratings=len(ratings),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSample:
    """One line of a stage's samples.jsonl: its prompt and response, and any other keys."""

    prompt: str
    response: str
    facts: tuple[tuple[str, str], ...]


def stage_samples(stage: StageRun, *, max_samples: int = MAX_SAMPLES) -> list[StageSample]:
    """The newest samples of a stage, newest first."""
    return [_sample(row) for row in list(reversed(stage.samples))[:max_samples]]


def _sample(row: dict[str, Any]) -> StageSample:
    response_key = next((key for key in ("response", "text", "completion") if key in row), "")
    facts = ((key, _short(value)) for key, value in row.items() if key not in ("prompt", response_key))
    return StageSample(prompt=_text(row.get("prompt")), response=_text(row.get(response_key)), facts=tuple(facts))


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _short(value: Any) -> str:
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return shown if len(shown) <= 300 else shown[:299] + "…"


def use_cases(prompts: Iterable[JudgedPrompt]) -> list[str]:
    """The use cases shown, in order of appearance."""
    return list(dict.fromkeys(prompt.use_case for prompt in prompts if prompt.use_case))
