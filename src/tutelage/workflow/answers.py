"""Everybody responds: each arm completes every test prompt once [3.6]."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tutelage.evaluation.best_of_n import complete_best_of_n
from tutelage.evaluation.completions import Arm, complete, is_complete, score_completions
from tutelage.evaluation.records import EvaluatedCompletion
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
        completions = _complete(run, _prompted(run, name), prompts, "float32")
        own = score_completions(model, prompts, completions)
        flat = [score for row in own for score in row]
        scores[name] = sum(flat) / max(1, len(flat))
    return {"prefix": max(scores, key=lambda name: scores[name]), "scores": scores}


def _prompted(run: Experiment, prefix: str) -> Arm:
    return Arm(
        name="prompted", model=run.base_model, prefix=run.config.prefixes[prefix], stop_text=run.config.prefix_stop
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
    """Returns the share of each arm's completions that ended by themselves."""
    prompts = test_prompts(run)
    rows: list[EvaluatedCompletion] = []
    shares: dict[str, float] = {}
    for name in run.config.arms:
        completions = _complete_as(run, name, prompts, prefix, dtype)
        own = list(_rows(prompts, name, completions))
        shares[name] = sum(row.is_complete for row in own) / max(1, len(own))
        rows += own
    write_records(run.evaluation("completions"), rows)
    return shares


def test_prompts(run: Experiment) -> list[Prompt]:
    """Those that every arm responds to."""
    prompts = run.prompts("test")
    run.rng("test prompts").shuffle(prompts)
    return prompts[: run.config.num_test_prompts]


def _complete_as(
    run: Experiment, name: str, prompts: Sequence[Prompt], prefix: str, dtype: str
) -> list[list[Completion]]:
    if name == "prompted":
        return _complete(run, _prompted(run, prefix), prompts, dtype)
    if name != "best_of_n":
        return _complete(run, Arm(name=name, model=run.policy_of(name)), prompts, dtype)
    return complete_best_of_n(
        Arm(name="ppo_init", model=run.model("ppo_init")),
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


def _complete(run: Experiment, arm: Arm, prompts: Sequence[Prompt], dtype: str) -> list[list[Completion]]:
    return complete(
        arm,
        prompts,
        settings=run.sampling,
        seed=run.seed,
        renderer_of=run.render_as_asked,
        device=device_of(run.device),
        dtype=dtype,
        # A prompt without room for a response has none; the counts of the measurements say so.
        on_too_long=lambda _: None,
    )


def _rows(
    prompts: Sequence[Prompt], arm: str, completions: Sequence[Sequence[Completion]]
) -> Iterable[EvaluatedCompletion]:
    for prompt, own in zip(prompts, completions, strict=True):
        for completion in own:
            yield EvaluatedCompletion(
                prompt_id=prompt.id,
                prompt=prompt.flat,
                use_case=prompt.use_case or "",
                arm=arm,
                completion_id=completion.id,
                text=completion.text,
                is_complete=is_complete(completion),
                num_tokens=num_tokens(completion),
            )


def num_tokens(completion: Completion | EvaluatedCompletion) -> int:
    """How many tokens a completion of this run has."""
    return int((completion.model_extra or {})["num_tokens"])


def read_answers(run: Experiment) -> tuple[dict[str, Prompt], dict[str, dict[str, Completion]]]:
    """The test prompts by their ids, and each arm's completion by the prompt's id."""
    prompts = {prompt.id: prompt for prompt in test_prompts(run)}
    completions: dict[str, dict[str, Completion]] = {arm: {} for arm in run.config.arms}
    for row in read_records(run.evaluation("completions"), EvaluatedCompletion):
        completions[row.arm][row.prompt_id] = Completion(
            id=row.completion_id,
            text=row.text,
            policy=row.arm,
            is_complete=row.is_complete,
            num_tokens=num_tokens(row),
        )
    return prompts, completions
