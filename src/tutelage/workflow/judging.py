"""Who is preferred to whom, and how sure one may be of it (Figures 1 and 3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tutelage.evaluation.completions import score_completions
from tutelage.evaluation.measuring import mean_ratings, measured, win_rates
from tutelage.evaluation.records import EvaluatedComparison, EvaluatedRating, Measurement, SizedArm
from tutelage.model.loading import device_of
from tutelage.model.policy import ScoreModel
from tutelage.records import Completion, Prompt, Rating
from tutelage.statistics import length_controlled_win_rate
from tutelage.store.jsonl import read_records, write_records
from tutelage.workflow.answers import num_tokens, read_answers
from tutelage.workflow.experiment import Experiment
from tutelage.workflow.sources import Comparison, Judge

REWARD_MODEL = "reward model"


class RewardModelJudge:
    """A judge that prefers the completion with the higher reward-model score. It gives no ratings."""

    def __init__(self, model: Path, *, device: str = "auto", dtype: str = "float32") -> None:
        self.model, self.device, self.dtype = model, device, dtype

    @property
    def needs(self) -> Mapping[str, Path | str]:
        return {"judge": self.model}

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"dtype": self.dtype}

    def compare(self, pairs: Sequence[tuple[Prompt, Completion, Completion]]) -> Iterator[Comparison]:
        """See `sources.Judge`; for equal scores neither is preferred."""
        model = ScoreModel.load(self.model, device=device_of(self.device), dtype=self.dtype)
        prompts, both = [prompt for prompt, *_ in pairs], [(first, second) for _, first, second in pairs]
        scores = score_completions(model, prompts, both)
        for (prompt, first, second), (own, other) in zip(pairs, scores, strict=True):
            yield Comparison(
                prompt=prompt,
                first=first,
                second=second,
                labeler_id=REWARD_MODEL,
                labeler_group=REWARD_MODEL,
                outcome=0.5 if own == other else float(own > other),
            )

    def rate(self, completions: Sequence[tuple[Prompt, Completion]]) -> Iterable[tuple[Completion, Rating]]:
        return ()


def judge_arms(run: Experiment, judge: Judge) -> None:
    """Every contest on every test prompt that both arms responded to, and ratings of all responses."""
    run.do(
        "judgements",
        partial(_judge_arms, judge=judge),
        asks=judge,
        needs=run.answers,
        settings=("arms", "num_test_prompts"),
        leaves=tuple(map(run.evaluation, ("comparisons", "ratings"))),
    )


def _judge_arms(run: Experiment, judge: Judge) -> dict[str, int]:
    answers = read_answers(run)
    pairs = [
        (own.prompt, own.by_arm[arm], own.by_arm[baseline])
        for own in answers
        for arm, baseline in run.contests
        if arm in own.by_arm and baseline in own.by_arm
    ]
    comparisons = map(comparison_row, judge.compare(pairs))
    rated = [(own.prompt, completion) for own in answers for completion in own.by_arm.values()]
    ratings = (rating_row(completion, rating) for completion, rating in judge.rate(rated))
    return {
        "comparisons": write_records(run.evaluation("comparisons"), comparisons),
        "ratings": write_records(run.evaluation("ratings"), ratings),
    }


def comparison_row(found: Comparison) -> EvaluatedComparison:
    """A judgment as a row of `evaluation/comparisons.jsonl`."""
    first, second = _source_of(found.first), _source_of(found.second)
    return EvaluatedComparison(
        prompt_id=found.prompt.id,
        use_case=found.prompt.use_case or "",
        distribution=first.test_set,
        arm=first.arm,
        size=first.size,
        completion_id=found.first.id,
        baseline=second.arm,
        baseline_size=second.size,
        baseline_id=found.second.id,
        length_difference=num_tokens(found.first) - num_tokens(found.second),
        labeler_id=found.labeler_id,
        labeler_group=found.labeler_group,
        outcome=found.outcome,
    )


def rating_row(completion: Completion, rating: Rating) -> EvaluatedRating:
    """A rating as a row of `evaluation/ratings.jsonl`."""
    source = _source_of(completion)
    return EvaluatedRating(**rating.model_dump(), arm=source.arm, size=source.size, distribution=source.test_set)


class _Source(NamedTuple):
    arm: str
    size: str
    test_set: str


def _source_of(completion: Completion) -> _Source:
    extra = completion.model_extra or {}
    return _Source(completion.policy or "", extra.get("size", ""), extra.get("test_set", ""))


def measure_judgements(run: Experiment) -> Iterator[Measurement]:
    """By group of judges, arm and baseline: the win rate, and the length-controlled one; mean ratings and flags."""
    yield from mean_ratings(read_records(run.evaluation("ratings"), EvaluatedRating))
    rows = list(read_records(run.evaluation("comparisons"), EvaluatedComparison))
    for found in win_rates(rows):
        yield found
        own = [row for row in rows if row.value_for(found) is not None]
        rate = length_controlled_win_rate(
            [row.outcome for row in own],
            [(row.model_extra or {})["length_difference"] for row in own],
            [row.prompt_id for row in own],
        )
        yield measured(
            "win_rate_length_controlled",
            rate,
            found.condition,
            source=found.source,
            arm=SizedArm(found.arm, found.size),
            baseline=found.against,
        )
