"""Each arm completes every test prompt once [3.6]."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tutelage.evaluation.best_of_n import complete_best_of_n
from tutelage.evaluation.completions import Arm, complete, is_complete, score_completions
from tutelage.evaluation.records import EvaluatedCompletion, SizedArm
from tutelage.model.loading import device_of
from tutelage.model.policy import ScoreModel
from tutelage.records import Completion, Prompt
from tutelage.store.jsonl import read_records, write_records
from tutelage.workflow.experiment import Experiment

PROMPTS_PER_PREFIX = 100


def choose_prefix(run: Experiment) -> str:
    """The base model, prompted: the few-shot prefix whose completions of validation prompts score highest [C.5]."""
    needs = {"prompts": run.prompts_path, "base": run.base_model, **_scorer(run)}
    found: dict[str, Any] = run.do(
        "prompted", _choose_prefix, needs=needs, settings=("prefixes", "prefix_stop", "text")
    )
    return str(found["prefix"])


def _scorer(run: Experiment) -> dict[str, Path | str]:
    return {"reward": run.model("reward")} if run.config.trains_reward_model else {}


def _choose_prefix(run: Experiment) -> dict[str, Any]:
    names = list(run.config.prefixes)
    if len(names) == 1:
        return {"prefix": names[0]}
    prompts = run.prompts("valid", "ppo")[:PROMPTS_PER_PREFIX]
    model = ScoreModel.load(run.model("reward"), device=device_of(run.device))
    scores = {}
    for name in names:
        completions = complete_prompts(run, run.arm("prompted", prefix=name), prompts)
        own = score_completions(model, prompts, completions)
        flat = [score for row in own for score in row]
        scores[name] = sum(flat) / max(1, len(flat))
    return {"prefix": max(scores, key=lambda name: scores[name]), "scores": scores}


def complete_prompts(
    run: Experiment, arm: Arm, prompts: Sequence[Prompt], number: int = 1, *, dtype: str = "float32"
) -> list[list[Completion]]:
    """`number` completions of each prompt, sampled as the rankings' were.

    A prompt without room for a response has none; the counts of the measurements say so.
    """
    return complete(
        arm,
        prompts,
        settings=run.sampling,
        seed=run.seed,
        num_completions=number,
        renderer_of=run.render_as_asked,
        device=device_of(run.device),
        dtype=dtype,
        on_too_long=lambda _: None,
    )


def complete_test_prompts(run: Experiment, prefix: str = "") -> None:
    """One completion of every arm to every test prompt, at temperature 1."""
    run.do(
        "answers",
        partial(_complete_test_prompts, prefix=prefix, dtype=run.dtype),
        needs={"prompts": run.prompts_path, **run.policies, **_scorer(run)},
        settings=("arms", "num_test_prompts", "best_of_n", "prefixes", "prefix_stop", "text"),
        leaves=(run.evaluation("completions"),),
    )


def _complete_test_prompts(run: Experiment, prefix: str, dtype: str) -> dict[str, float]:
    """Returns the share of each arm's completions that ended by themselves, on the first set of prompts."""
    rows: list[EvaluatedCompletion] = []
    shares: dict[str, float] = {}
    for test_set in run.test_sets:
        prompts = run.test_prompts(test_set)
        for name in run.arms:
            completions = _complete_as(run, name, prompts, prefix, test_set, dtype)
            own = list(completion_rows(prompts, SizedArm(name, run.size), completions, test_set))
            shares.setdefault(name, sum(row.is_complete for row in own) / max(1, len(own)))
            rows += own
    write_records(run.evaluation("completions"), rows)
    return shares


def _complete_as(
    run: Experiment, name: str, prompts: Sequence[Prompt], prefix: str, test_set: str, dtype: str
) -> list[list[Completion]]:
    arm = run.arm(name, prefix=prefix, test_set=test_set)
    if name != "best_of_n":
        return complete_prompts(run, arm, prompts, dtype=dtype)
    return complete_best_of_n(
        arm,
        prompts,
        n=run.config.best_of_n,
        reward_model=run.model("reward"),
        settings=run.sampling,
        seed=run.seed,
        renderer_of=run.render_as_asked,
        device=device_of(run.device),
        dtype=dtype,
        on_too_long=lambda _: None,
    )


def completion_rows(
    prompts: Sequence[Prompt], arm: SizedArm, completions: Sequence[Sequence[Completion]], test_set: str = ""
) -> Iterator[EvaluatedCompletion]:
    """The completions of one arm as rows of `evaluation/completions.jsonl`."""
    for prompt, own in zip(prompts, completions, strict=True):
        for completion in own:
            yield EvaluatedCompletion(
                prompt_id=prompt.id,
                prompt=prompt.flat,
                use_case=prompt.use_case or "",
                distribution=test_set,
                arm=arm.arm,
                size=arm.size,
                completion_id=completion.id,
                text=completion.text,
                is_complete=is_complete(completion),
                num_tokens=num_tokens(completion),
            )


def num_tokens(completion: Completion | EvaluatedCompletion) -> int:
    """The number of tokens of a completion of this run."""
    return int((completion.model_extra or {})["num_tokens"])


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredPrompt:
    """What the arms said to one test prompt of the set `test_set`; an arm without room for a response is missing."""

    test_set: str
    prompt: Prompt
    by_arm: dict[SizedArm, Completion]


def read_answers(run: Experiment) -> list[AnsweredPrompt]:
    """Every test prompt with the completions of all arms, at every size of the run."""
    answers = {
        (test_set, prompt.id): AnsweredPrompt(test_set=test_set, prompt=prompt, by_arm={})
        for test_set in run.test_sets
        for prompt in run.test_prompts(test_set)
    }
    for view in run.views:
        for row in read_records(view.evaluation("completions"), EvaluatedCompletion):
            answers[row.distribution, row.prompt_id].by_arm[SizedArm(row.arm, row.size)] = Completion(
                id=row.completion_id,
                text=row.text,
                policy=row.arm,
                is_complete=row.is_complete,
                num_tokens=num_tokens(row),
                size=row.size,
                test_set=row.distribution,
            )
    return list(answers.values())


def answers_of(answers: Iterable[AnsweredPrompt], arm: SizedArm) -> tuple[list[Prompt], list[Completion]]:
    """The prompts that an arm responded to, and its responses."""
    found = [(own.prompt, own.by_arm[arm]) for own in answers if arm in own.by_arm]
    return [prompt for prompt, _ in found], [completion for _, completion in found]
