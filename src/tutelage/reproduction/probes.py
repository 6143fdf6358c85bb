"""The benchmarks of the paper's Section 4 on one arm of a miniature: the village's probes, measured by `evaluation`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tutelage.evaluation.bias import SentencePair, pair_rows
from tutelage.evaluation.completions import Arm, complete
from tutelage.evaluation.likelihood import continuing
from tutelage.evaluation.records import Condition, SizedArm, TaskRow
from tutelage.evaluation.skills import SkillItem, first_line, measure_skills, skill_rows
from tutelage.evaluation.toxicity import toxicity_rows
from tutelage.evaluation.truthfulness import Verdict, truth_rows
from tutelage.model.policy import Policy
from tutelage.model.sampling import SamplingSettings
from tutelage.records import Completion, Prompt
from tutelage.reproduction.findings import Findings, file_of
from tutelage.reproduction.village import probes
from tutelage.reproduction.village.world import World

# The name of a file, its rows, and their common condition.
Found = Iterator[tuple[str, list[TaskRow], Condition]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSizes:
    """Numbers of items. Quick: seconds per arm; the paper uses thousands."""

    num_toxicity_prompts: int = 100
    completions_per_toxicity_prompt: int = 5  # Gehman et al. draw 25
    num_skill_items: int = 100
    max_response_tokens: int = 32  # a line of the village; only the first is kept


def probe_arm(
    world: World, arm: Arm, *, seed: int, sizes: ProbeSizes | None = None, size: str = "", device: str = "cpu"
) -> Findings:
    """All benchmarks on one arm. `size` names the model's size in the measurements."""
    own = _ArmUnderTest(world, arm, seed, sizes or ProbeSizes(), size, device)
    found = Findings()
    for ask in (own.truth, own.toxicity, own.bias):
        for name, rows, condition in ask():
            found.add(name, [row.about(SizedArm(arm.name, size), condition) for row in rows])
    for name, rows, condition in own.skills():
        named = [row.about(SizedArm(arm.name, size), condition) for row in rows]
        found.rows.setdefault(name, []).extend(named)
        found.measurements.extend(measure_skills(named, source=file_of(name)))
    return found


@dataclass(frozen=True, slots=True)
class _ArmUnderTest:
    world: World
    arm: Arm
    seed: int
    sizes: ProbeSizes
    size: str
    device: str

    def truth(self) -> Found:
        """Truthful, and truthful and informative, under three prompts, at temperature 0 [D]; and `truthful_choice`: how
        often the truth is more likely than the misconception.
        """
        for kind in probes.TRUTH_PROMPTS:
            prompts = probes.truth_prompts(self.world, kind)
            completions = [own[0] for own in self._complete(prompts, temperature=0.0)]
            rows = truth_rows(prompts, completions, self._verdict, cluster_of=probes.question_of)
            yield "truth", _marked(rows, prompts, "is_held_out"), {"prompt": kind}
            items = [SkillItem(**item._asdict()) for item in probes.truth_choices(self.world, kind)]
            rows = skill_rows(
                self.arm, items, num_shots=0, metrics=("accuracy",), max_response_tokens=1, device=self.device
            )
            chosen = {"measure": "truthful_choice", "condition": {}}
            yield "truth_choices", [row.model_copy(update=chosen) for row in rows], {"prompt": kind}

    def toxicity(self) -> Found:
        """Mean and maximum toxicity under three prompts; at temperature 1, since the maximum needs different draws."""
        for kind in probes.TOXICITY_INSTRUCTIONS:
            prompts = probes.toxicity_prompts(self.world, kind, num_prompts=self.sizes.num_toxicity_prompts)
            completions = self._complete(prompts, number=self.sizes.completions_per_toxicity_prompt)
            rows = toxicity_rows(prompts, completions, probes.rudeness, cluster_of=probes.talk_of)
            yield "toxicity", _marked(rows, prompts, "is_rude"), {"prompt": kind}

    def bias(self) -> Found:
        policy = Policy.load(self.arm.model, device=self.device)
        sets = {"winogender": probes.trade_pairs(), "crows_pairs": probes.stereotype_pairs()}
        for name, pairs in sets.items():
            given = [SentencePair(**pair._asdict()) for pair in pairs]
            for kind, instruction in probes.TOXICITY_INSTRUCTIONS.items():
                rows = pair_rows(policy, given, instruction=instruction)
                yield "bias", rows, {"set": name, "prompt": kind}

    def skills(self) -> Found:
        for name, skill in probes.SKILLS.items():
            items = [
                SkillItem(**item._asdict())
                for item in probes.skill_items(self.world, name, num_items=self.sizes.num_skill_items)
            ]
            for shots, num_shots in (("zero", 0), ("few", skill.num_shots)):
                rows = skill_rows(
                    self.arm,
                    items,
                    num_shots=num_shots,
                    metrics=skill.metrics,
                    max_response_tokens=self.sizes.max_response_tokens,
                    device=self.device,
                )
                yield "skills", rows, {"skill": name, "shots": shots}

    def _verdict(self, prompt: Prompt, completion: Completion) -> Verdict:
        is_true, is_informative = probes.truth_verdict(self.world, prompt, completion.text)
        return Verdict(is_true=is_true, is_informative=is_informative)

    def _complete(
        self, prompts: Sequence[Prompt], *, number: int = 1, temperature: float = 1.0
    ) -> list[list[Completion]]:
        """Completions that continue the prompt's text, up to their first newline."""
        settings = SamplingSettings(max_response_tokens=self.sizes.max_response_tokens, temperature=temperature)
        found = complete(
            self.arm,
            prompts,
            settings=settings,
            seed=self.seed,
            num_completions=number,
            renderer_of=continuing,
            device=self.device,
        )
        return [[own.model_copy(update={"text": first_line(own.text)}) for own in several] for several in found]


def _marked(rows: Sequence[TaskRow], prompts: Sequence[Prompt], key: str) -> list[TaskRow]:
    """The rows, each with an extra key of its prompt."""
    values = {prompt.id: (prompt.model_extra or {})[key] for prompt in prompts}
    return [row.model_copy(update={key: values[row.unit]}) for row in rows]
