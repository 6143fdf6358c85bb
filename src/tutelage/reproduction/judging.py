"""Section 4 of the paper: everybody answers the test prompts, held-out labelers judge, and what needs no labeler."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

from tutelage.errors import DataError
from tutelage.evaluation.completions import Arm, is_complete
from tutelage.evaluation.measuring import mean_ratings, win_rates
from tutelage.evaluation.preference import LabelerPanel, Prefer, Rate, compare_with_baseline, rate_completions
from tutelage.evaluation.records import (
    COMPARISONS,
    COMPLETIONS,
    HELDOUT,
    INSTRUCT,
    RATINGS,
    TRAINING,
    EvaluatedComparison,
    EvaluatedCompletion,
    EvaluatedRating,
    SizedArm,
)
from tutelage.records import Completion, Prompt
from tutelage.reproduction import village
from tutelage.reproduction.distances import measure_distances
from tutelage.reproduction.findings import Findings
from tutelage.reproduction.models import complete_prompts, scores_by_reward_model
from tutelage.reproduction.rewards import measure_reward_model
from tutelage.reproduction.run import Run
from tutelage.store.jsonl import read_records, write_records

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


def completion_rows(
    prompts: Sequence[Prompt], arm: SizedArm, completions: Sequence[Completion], distribution: str
) -> list[EvaluatedCompletion]:
    """One completion of an arm to each prompt, with the task that the village had in mind."""
    return [
        EvaluatedCompletion(
            prompt_id=prompt.id,
            prompt=prompt.flat,
            use_case=prompt.use_case or "",
            distribution=distribution,
            arm=arm.arm,
            size=arm.size,
            completion_id=completion.id,
            text=completion.text,
            is_complete=is_complete(completion),
            task=village.task_of(prompt),
        )
        for prompt, completion in zip(prompts, completions, strict=True)
    ]


def complete_test_prompts(run: Run) -> dict[str, float]:
    """One completion of every arm to every test prompt, at temperature 1, as the rankings' were."""
    prompts = test_prompts(run)
    rows, shares = [], {}
    for arm in arms(run):
        completions = [own[0] for own in complete_prompts(run, arm, prompts, 1)]
        shares[arm.name] = mean(float(is_complete(c)) for c in completions)
        rows += completion_rows(prompts, SizedArm(arm.name), completions, INSTRUCT)
    write_records(run.out / COMPLETIONS, rows)
    return shares


def panels(run: Run) -> tuple[LabelerPanel, LabelerPanel]:
    """Held-out labelers, who decide, and training labelers."""
    number = run.config.judgements_per_prompt
    return (
        LabelerPanel(group=HELDOUT, labelers=run.heldout_labelers, judgements_per_prompt=number),
        LabelerPanel(group=TRAINING, labelers=run.training_labelers, judgements_per_prompt=number),
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


def judge_arms(run: Run) -> dict[str, int]:
    """Comparisons with SFT and ratings by held-out and by training labelers, evaluation priorities [3.4]."""
    prompts, completions = completions_by_arm(read_records(run.out / COMPLETIONS, EvaluatedCompletion))
    heldout, training = panels(run)
    comparisons = compare_with_baseline(
        prompts,
        completions,
        baseline=SizedArm("sft"),
        panels=(heldout, training),
        prefer=prefer_in(run),
        rng=run.rng("comparisons"),
        distribution=INSTRUCT,
    )
    ratings = rate_completions(
        prompts, completions, panel=heldout, rate=rate_in(run), rng=run.rng("ratings"), distribution=INSTRUCT
    )
    return {
        "comparisons": write_records(run.out / COMPARISONS, comparisons),
        "ratings": write_records(run.out / RATINGS, ratings),
    }


def measure_arms(run: Run) -> dict[str, int]:
    """What needs no labeler; and every number of the run as a row of measurements.jsonl."""
    prompts, completions = completions_by_arm(read_records(run.out / COMPLETIONS, EvaluatedCompletion))
    found = Findings()
    found.measurements.extend(win_rates(read_records(run.out / COMPARISONS, EvaluatedComparison)))
    found.measurements.extend(mean_ratings(read_records(run.out / RATINGS, EvaluatedRating)))
    measure_distances(run, found, STAGE_OF_ARM, prompts, completions)
    measure_reward_model(run, found)
    return found.write(run.out / "evaluation")


def completions_by_arm(
    rows: Iterable[EvaluatedCompletion],
) -> tuple[list[Prompt], dict[SizedArm, list[Completion]]]:
    """The prompts of the rows, and each arm's completions in their order.

    Where an arm has several completions of a prompt, the prompt comes as often.
    """
    prompts: list[Prompt] = []
    completions: dict[SizedArm, list[Completion]] = {}
    for row in rows:
        own = completions.setdefault(SizedArm(row.arm, row.size), [])
        own.append(Completion(id=row.completion_id, text=row.text, policy=row.arm, is_complete=row.is_complete))
        if len(completions) == 1:
            task = (row.model_extra or {})["task"]
            prompts.append(Prompt(id=row.prompt_id, text=row.prompt, use_case=row.use_case or None, task=task))
    return prompts, completions


def mean(values: Iterable[float]) -> float:
    numbers = list(values)
    if not numbers:
        raise DataError("there is nothing to average; the run has an empty split. Raise num_raw_prompts")
    return sum(numbers) / len(numbers)
