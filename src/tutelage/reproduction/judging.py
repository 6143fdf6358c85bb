"""Section 4 of the paper: everybody answers the test prompts, held-out labelers judge, and what needs no labeler."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from random import Random
from typing import Any, TypeVar, overload

from tutelage.errors import DataError
from tutelage.evaluation.completions import Arm, is_complete
from tutelage.evaluation.preference import (
    Panel,
    Prefer,
    Rate,
    compare_with_baseline,
    rate_completions,
    win_rates,
)
from tutelage.records import Completion, Measurement, Prompt
from tutelage.reproduction import findings, village
from tutelage.reproduction.distances import measure_distances
from tutelage.reproduction.findings import Findings
from tutelage.reproduction.models import complete_prompts, scores_by_reward_model
from tutelage.reproduction.rewards import measure_reward_model
from tutelage.reproduction.run import Run
from tutelage.statistics.likert import likert_mean
from tutelage.store.jsonl import read_rows, write_rows

A = TypeVar("A", bound=Hashable)

# Few-shot blocks of the miniature end so; a base model goes on with the next block instead of stopping.
BLOCK_END = "\n\n###"
# The arms of Figure 1 that are policies of their own, and the stage that trained each.
STAGE_OF_ARM = {"gpt": "pretrain", "sft": "sft", "ppo": "ppo", "ppo_ptx": "ppo_ptx"}


def choose_prefix(run: Run) -> dict[str, Any]:
    """GPT prompted: the few-shot prefix whose completions of validation prompts score highest [C.5]."""
    prompts = run.prompts("valid", "ppo")[:100]
    scores = {}
    for name, prefix in village.few_shot_prefixes(run.world).items():
        arm = Arm(name="gpt_prompted", model=run.model("pretrain"), prefix=prefix, stop_text=BLOCK_END)
        completions = complete_prompts(run, arm, prompts, 1)
        scores[name] = mean(score for own in scores_by_reward_model(run, prompts, completions) for score in own)
    return {"prefix": max(scores, key=lambda name: scores[name]), "scores": scores}


def arms(run: Run) -> list[Arm]:
    """The arms of Figure 1."""
    prefix = village.few_shot_prefixes(run.world)[run.result("prompted")["prefix"]]
    return [
        Arm(name="gpt", model=run.model("pretrain")),
        Arm(name="gpt_prompted", model=run.model("pretrain"), prefix=prefix, stop_text=BLOCK_END),
        *(Arm(name=name, model=run.model(name)) for name in ("sft", "ppo", "ppo_ptx")),
    ]


def test_prompts(run: Run) -> list[Prompt]:
    """Those that everybody responds to."""
    prompts = run.prompts("test")
    run.rng("test prompts").shuffle(prompts)
    return prompts[: run.config.num_test_prompts]


def completion_rows(prompts: Sequence[Prompt], arm: str, completions: Sequence[Completion]) -> list[dict[str, Any]]:
    """One completion of an arm to each prompt, as rows of completions.jsonl."""
    return [
        {
            "prompt_id": prompt.id,
            "prompt": prompt.flat,
            "use_case": prompt.use_case,
            "task": village.task_of(prompt),
            "arm": arm,
            "completion_id": completion.id,
            "text": completion.text,
            "is_complete": is_complete(completion),
        }
        for prompt, completion in zip(prompts, completions, strict=True)
    ]


def complete_test_prompts(run: Run) -> dict[str, float]:
    """One completion of every arm to every test prompt, at temperature 1, as the rankings' were."""
    prompts = test_prompts(run)
    rows = []
    shares = {}
    for arm in arms(run):
        completions = [own[0] for own in complete_prompts(run, arm, prompts, 1)]
        shares[arm.name] = mean(float(is_complete(c)) for c in completions)
        rows += completion_rows(prompts, arm.name, completions)
    write_rows(run.out / "evaluation" / "completions.jsonl", rows)
    return shares


def panels(run: Run) -> tuple[Panel, Panel]:
    """Held-out labelers, who decide, and training labelers."""
    number = run.config.judgements_per_prompt
    return (
        Panel(group="heldout", labelers=run.heldout_labelers, judgements_per_prompt=number),
        Panel(group="training", labelers=run.training_labelers, judgements_per_prompt=number),
    )


def prefer_in(run: Run) -> Prefer[Any]:
    """How labelers compare completions in a run's world, by the priorities of the evaluation [3.4]."""

    def prefer(prompt: Prompt, a: Completion, b: Completion, labeler: Any, rng: Random) -> float:
        finished = (is_complete(a), is_complete(b))
        return village.prefer(run.world, prompt, a, b, labeler, rng, "evaluation", complete=finished)

    return prefer


def rate_in(run: Run) -> Rate[Any]:
    """How labelers rate a completion in a run's world."""

    def rate(prompt: Prompt, completion: Completion, labeler: Any, rng: Random) -> Any:
        return village.rate(run.world, prompt, completion, is_complete(completion), labeler, rng)

    return rate


def judge_arms(run: Run) -> dict[str, Any]:
    """Comparisons with SFT and ratings by held-out and by training labelers, evaluation priorities [3.4]."""
    prompts, completions = completions_by_arm(_completions_file(run))
    heldout, training = panels(run)
    comparisons = compare_with_baseline(
        prompts,
        completions,
        baseline="sft",
        panels=(heldout, training),
        prefer=prefer_in(run),
        rng=run.rng("comparisons"),
    )
    ratings = rate_completions(prompts, completions, panel=heldout, rate=rate_in(run), rng=run.rng("ratings"))
    write_rows(run.out / "evaluation" / "comparisons.jsonl", comparisons)
    write_rows(run.out / "evaluation" / "ratings.jsonl", ratings)
    by_arm = {arm: [row for row in ratings if row["arm"] == arm] for arm in completions}
    return {
        "win_rate_vs_sft": _intervals(win_rates(comparisons, labeler_group="heldout")),
        "win_rate_vs_sft_training_labelers": _intervals(win_rates(comparisons, labeler_group="training")),
        "likert": {
            arm: likert_mean([r["overall"] for r in rows], [r["prompt_id"] for r in rows]).mean
            for arm, rows in by_arm.items()
        },
        "flags": {
            arm: {flag: mean(float(r["flags"][flag]) for r in asked) for flag, asked in findings.by_flag(rows).items()}
            for arm, rows in by_arm.items()
        },
    }


def measure_arms(run: Run) -> dict[str, Any]:
    """What needs no labeler; and every number of the run as a row of measurements.jsonl."""
    prompts, completions = completions_by_arm(_completions_file(run))
    distances = measure_distances(run, STAGE_OF_ARM, prompts, completions)
    reward_model, summed_up = measure_reward_model(run)
    evaluation = run.out / "evaluation"
    judged = [
        *findings.win_rates(row for _, row in read_rows(evaluation / "comparisons.jsonl")),
        *findings.ratings(row for _, row in read_rows(evaluation / "ratings.jsonl")),
    ]
    Findings(
        measurements=[*judged, *distances.measurements, *reward_model.measurements],
        rows={**distances.rows, **reward_model.rows},
    ).write(evaluation)
    return {**means_by_arm(distances.measurements), "reward_model": summed_up}


def means_by_arm(measurements: Iterable[Measurement]) -> dict[str, dict[str, float]]:
    """measure -> arm -> mean."""
    found: dict[str, dict[str, float]] = {}
    for row in measurements:
        found.setdefault(row.measure, {})[row.arm] = row.mean
    return found


def _completions_file(run: Run) -> Iterable[dict[str, Any]]:
    return (row for _, row in read_rows(run.out / "evaluation" / "completions.jsonl"))


@overload
def completions_by_arm(rows: Iterable[dict[str, Any]]) -> tuple[list[Prompt], dict[str, list[Completion]]]: ...


@overload
def completions_by_arm(
    rows: Iterable[dict[str, Any]], arm_of: Callable[[dict[str, Any]], A]
) -> tuple[list[Prompt], dict[A, list[Completion]]]: ...


def completions_by_arm(
    rows: Iterable[dict[str, Any]], arm_of: Callable[[dict[str, Any]], Any] = lambda row: str(row["arm"])
) -> tuple[list[Prompt], dict[Any, list[Completion]]]:
    """The prompts of rows of completions.jsonl, and each arm's completions in their order.

    Where an arm has several completions of a prompt, the prompt comes as often.
    """
    prompts: list[Prompt] = []
    completions: dict[Any, list[Completion]] = {}
    for row in rows:
        own = completions.setdefault(arm_of(row), [])
        own.append(
            Completion(id=row["completion_id"], text=row["text"], policy=row["arm"], is_complete=row["is_complete"])
        )
        if len(completions) == 1:
            prompts.append(Prompt(id=row["prompt_id"], text=row["prompt"], use_case=row["use_case"], task=row["task"]))
    return prompts, completions


def _intervals(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {arm: {"mean": i.mean, "low": i.low, "high": i.high, "n": i.n} for arm, i in found.items()}


def mean(values: Iterable[float]) -> float:
    numbers = list(values)
    if not numbers:
        raise DataError("there is nothing to average; the run has an empty split. Raise num_raw_prompts")
    return sum(numbers) / len(numbers)
