"""The benchmarks of the paper's Section 4 on one arm of a miniature: the village's probes, measured by `evaluation`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.evaluation.bias import SentencePair, bias_entropy, pair_rows
from tutelage.evaluation.completions import Arm, complete
from tutelage.evaluation.likelihood import continuing
from tutelage.evaluation.skills import SkillItem, first_line, skill_estimate, skill_rows
from tutelage.evaluation.toxicity import toxicity_estimates, toxicity_rows
from tutelage.evaluation.truthfulness import Verdict, truth_estimates, truth_rows
from tutelage.model.policy import Policy
from tutelage.model.sampling import SamplingSettings
from tutelage.records import Completion, Measurement, Prompt
from tutelage.reproduction.findings import Condition, Findings, measured
from tutelage.reproduction.village import probes
from tutelage.reproduction.village.world import World
from tutelage.statistics.interval import Interval

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSizes:
    """How much is asked. Quick: seconds per arm; the paper asks thousands."""

    num_toxicity_prompts: int = 100
    completions_per_toxicity_prompt: int = 5  # Gehman et al. draw 25
    num_skill_items: int = 100
    max_response_tokens: int = 32  # a line of the village; all but the first is cut off


def probe_arm(
    world: World, arm: Arm, *, seed: int, sizes: ProbeSizes | None = None, size: str = "", device: str = "cpu"
) -> Findings:
    """All benchmarks on one arm. `size` names the model's size in the measurements."""
    own = _ArmUnderTest(world, arm, seed, sizes or ProbeSizes(), size, device)
    found = Findings()
    for measure_rows in (own.truth, own.toxicity, own.bias, own.skills):
        for name, rows, measurements in measure_rows():
            found.rows.setdefault(name, []).extend({"arm": arm.name, "size": size, **row} for row in rows)
            found.measurements.extend(measurements)
    return found


Found = Iterator[tuple[str, Rows, list[Measurement]]]


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
        often what is so is likelier than what people say.
        """
        for kind in probes.TRUTH_PROMPTS:
            prompts = probes.truth_prompts(self.world, kind)
            completions = [own[0] for own in self._complete(prompts, temperature=0.0)]
            rows = truth_rows(prompts, completions, self._verdict, cluster_of=probes.question_of)
            yield self._found("truth", _marked(rows, prompts, "is_held_out"), {"prompt": kind}, truth_estimates(rows))
            items = [SkillItem(**item._asdict()) for item in probes.truth_choices(self.world, kind)]
            rows = skill_rows(self.arm, items, num_shots=0, max_response_tokens=1, device=self.device)
            chosen = {"truthful_choice": skill_estimate(rows, "accuracy")}
            yield self._found("truth_choices", rows, {"prompt": kind}, chosen)

    def toxicity(self) -> Found:
        """Mean and maximum toxicity under three prompts; at temperature 1, as the maximum needs different draws."""
        for kind in probes.TOXICITY_INSTRUCTIONS:
            prompts = probes.toxicity_prompts(self.world, kind, num_prompts=self.sizes.num_toxicity_prompts)
            completions = self._complete(prompts, number=self.sizes.completions_per_toxicity_prompt)
            rows = toxicity_rows(prompts, completions, probes.rudeness, cluster_of=probes.talk_of)
            marked = _marked(rows, prompts, "is_rude")
            yield self._found("toxicity", marked, {"prompt": kind}, toxicity_estimates(rows))

    def bias(self) -> Found:
        policy = Policy.load(self.arm.model, device=self.device)
        sets = {"winogender": probes.trade_pairs(), "crows_pairs": probes.stereotype_pairs()}
        for name, pairs in sets.items():
            given = [SentencePair(**pair._asdict()) for pair in pairs]
            for kind, instruction in probes.TOXICITY_INSTRUCTIONS.items():
                rows = pair_rows(policy, given, instruction=instruction)
                condition: Condition = {"set": name, "prompt": kind}
                yield self._found("bias", rows, condition, {"bias_entropy": bias_entropy(rows)})

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
                    max_response_tokens=self.sizes.max_response_tokens,
                    device=self.device,
                )
                for metric in skill.metrics:
                    condition: Condition = {"skill": name, "metric": metric, "shots": shots}
                    estimate = {"skill": skill_estimate(rows, metric)}
                    yield self._found("skills", rows if metric == skill.metrics[0] else [], condition, estimate)

    def _verdict(self, prompt: Prompt, completion: Completion) -> Verdict:
        is_true, is_informative = probes.truth_verdict(self.world, prompt, completion.text)
        return Verdict(is_true=is_true, is_informative=is_informative)

    def _complete(
        self, prompts: Sequence[Prompt], *, number: int = 1, temperature: float = 1.0
    ) -> list[list[Completion]]:
        """Completions that go on where the prompt breaks off, up to their first newline."""
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

    def _found(
        self, name: str, rows: Rows, condition: Condition, found: dict[str, Interval]
    ) -> tuple[str, Rows, list[Measurement]]:
        source = f"evaluation/{name}.jsonl"
        measurements = [
            measured(measure, interval, condition, arm=self.arm.name, size=self.size, source=source)
            for measure, interval in found.items()
        ]
        return name, [{"condition": condition, **row} for row in rows], measurements


def _marked(rows: Rows, prompts: Sequence[Prompt], key: str) -> Rows:
    """The rows, each with an extra key of its prompt."""
    values = {prompt.id: (prompt.model_extra or {})[key] for prompt in prompts}
    return [{**row, key: values[row["prompt_id"]]} for row in rows]
