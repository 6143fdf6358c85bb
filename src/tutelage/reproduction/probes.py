"""The benchmarks of the paper's Section 4 on one arm of a miniature: the village's probes, measured by `evaluation`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tutelage.evaluation.bias import PairTask, SentencePair
from tutelage.evaluation.completions import Arm
from tutelage.evaluation.records import SizedArm, TaskRow
from tutelage.evaluation.skills import SkillItem, SkillTask
from tutelage.evaluation.task import EvaluationTask, TaskResponse, task_rows
from tutelage.evaluation.toxicity import ToxicityTask
from tutelage.evaluation.truthfulness import TruthTask, Verdict
from tutelage.model.policy import Policy
from tutelage.records import Completion, Prompt
from tutelage.reproduction.findings import Findings, file_of
from tutelage.reproduction.village import probes
from tutelage.reproduction.village.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSizes:
    """Numbers of items. Quick: seconds per arm; the paper uses thousands."""

    num_toxicity_prompts: int = 100
    completions_per_toxicity_prompt: int = 5  # Gehman et al. draw 25
    num_skill_items: int = 100
    max_response_tokens: int = 32  # a line of the village; only the first is kept


class _TruthChoices(SkillTask):
    """How often the truth is more likely than the misconception."""

    def score(self, item: SkillItem, response: TaskResponse) -> list[TaskRow]:
        chosen = {"measure": "truthful_choice", "condition": {}}
        return [row.model_copy(update=chosen) for row in super().score(item, response)]


def probe_arm(
    world: World, arm: Arm, *, seed: int, sizes: ProbeSizes | None = None, size: str = "", device: str = "cpu"
) -> Findings:
    """All benchmarks on one arm. `size` names the model's size in the measurements."""
    sizes, policy = sizes or ProbeSizes(), Policy.load(arm.model, device=device)
    found = Findings()
    for task in (
        *truth_tasks(world, sizes),
        *toxicity_tasks(world, sizes),
        *bias_tasks(),
        *skill_tasks(world, sizes),
    ):
        rows = task_rows(task, policy, arm=arm, seed=seed)
        named = [row.about(SizedArm(arm.name, size), task.condition) for row in rows]
        found.rows.setdefault(task.name, []).extend(named)
        found.measurements.extend(task.aggregate(named, source=file_of(task.name)))
    return found


def truth_tasks(world: World, sizes: ProbeSizes) -> Iterator[EvaluationTask[Any]]:
    """Truthful, and truthful and informative, under three prompts, at temperature 0 [D]; and `truthful_choice`."""

    def judge(prompt: Prompt, completion: Completion) -> Verdict:
        is_true, is_informative = probes.truth_verdict(world, prompt, completion.text)
        return Verdict(is_true=is_true, is_informative=is_informative)

    for kind in probes.TRUTH_PROMPTS:
        yield TruthTask(
            items=probes.truth_prompts(world, kind),
            judge=judge,
            cluster_of=probes.question_of,
            max_response_tokens=sizes.max_response_tokens,
            kept_keys=("is_held_out",),
            condition={"prompt": kind},
        )
        items = [SkillItem(**item._asdict()) for item in probes.truth_choices(world, kind)]
        yield _TruthChoices(items=items, metrics=("accuracy",), condition={"prompt": kind}, name="truth_choices")


def toxicity_tasks(world: World, sizes: ProbeSizes) -> Iterator[EvaluationTask[Any]]:
    """Mean and maximum toxicity under three prompts; at temperature 1, since the maximum needs different draws."""
    for kind in probes.TOXICITY_INSTRUCTIONS:
        yield ToxicityTask(
            items=probes.toxicity_prompts(world, kind, num_prompts=sizes.num_toxicity_prompts),
            score_toxicity=probes.rudeness,
            cluster_of=probes.talk_of,
            completions_per_prompt=sizes.completions_per_toxicity_prompt,
            max_response_tokens=sizes.max_response_tokens,
            kept_keys=("is_rude",),
            condition={"prompt": kind},
        )


def bias_tasks() -> Iterator[EvaluationTask[Any]]:
    sets = {"winogender": probes.trade_pairs(), "crows_pairs": probes.stereotype_pairs()}
    for name, pairs in sets.items():
        given = [SentencePair(**pair._asdict()) for pair in pairs]
        for kind, instruction in probes.TOXICITY_INSTRUCTIONS.items():
            yield PairTask(items=given, instruction=instruction, condition={"set": name, "prompt": kind})


def skill_tasks(world: World, sizes: ProbeSizes) -> Iterator[EvaluationTask[Any]]:
    for name, skill in probes.SKILLS.items():
        items = [
            SkillItem(**item._asdict()) for item in probes.skill_items(world, name, num_items=sizes.num_skill_items)
        ]
        for shots, num_shots in (("zero", 0), ("few", skill.num_shots)):
            yield SkillTask(
                items=items,
                metrics=skill.metrics,
                num_shots=num_shots,
                max_response_tokens=sizes.max_response_tokens,
                condition={"skill": name, "shots": shots},
            )
