"""Public benchmarks and similar tasks: questions, sentiment, translation, summarization, zero- and few-shot (paper
sections 3.6 and D.2; the alignment tax of Figures 28 and 29).

A prompt is an instruction, examples in the layout of the query, and the query. A response is greedily decoded
(temperature 0), up to its first newline [D].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tutelage.errors import DataError
from tutelage.evaluation.completions import Arm
from tutelage.evaluation.measuring import mean_values, measured
from tutelage.evaluation.overlap import best_over, bleu, exact_match, rouge_l, token_f1
from tutelage.evaluation.records import Condition, Measurement, SizedArm, TaskRow
from tutelage.evaluation.task import Choose, Generate, Request, TaskResponse, task_rows
from tutelage.model.policy import Policy
from tutelage.model.sampling import SamplingSettings
from tutelage.records import Prompt

MEASURES: dict[str, Callable[[str, str], float]] = {
    "f1": token_f1,
    "accuracy": exact_match,
    "rouge_l": rouge_l,
}
METRICS = (*MEASURES, "bleu")


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillItem:
    """One item of a benchmark.

    `query` is the text that the response continues ("Passage: ... Question: ... Answer:"); `shots` are the examples
    before it, each a query with its response. With `choices` the policy does not write but selects the most likely one,
    and `answers` are the right ones. `cluster` groups items that share a text; "" for an item of its own.
    """

    id: str
    query: str
    answers: tuple[str, ...]
    instruction: str = ""
    shots: tuple[tuple[str, str], ...] = ()
    choices: tuple[str, ...] = ()
    cluster: str = ""
    shot_break: str = "\n\n"
    response_opening: str = " "  # between a query and its response

    def __post_init__(self) -> None:
        if not self.answers:
            raise DataError(f"item {self.id!r} has no gold answer; give at least one")
        if self.choices and not set(self.answers) <= set(self.choices):
            raise DataError(f"item {self.id!r}: an answer of {self.answers} is not one of its choices {self.choices}")


def prompt_text(item: SkillItem, num_shots: int) -> str:
    """The item as the policy reads it, with `num_shots` of its examples. Raises `DataError` if it has fewer."""
    if num_shots > len(item.shots):
        raise DataError(
            f"item {item.id!r} has {len(item.shots)} examples, {num_shots} are requested; request fewer, or add some"
        )
    shots = [f"{query}{item.response_opening}{response}" for query, response in item.shots[:num_shots]]
    head = f"{item.instruction}\n\n" if item.instruction else ""
    return head + item.shot_break.join([*shots, item.query])


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillTask:
    """Items of a benchmark as a task; each metric is a condition of the measure `skill`.

    An item with choices is answered with the one of highest mean log-probability per token. "bleu" exists only for all
    items together. Raises `DataError` for a metric that does not exist.
    """

    items: Sequence[SkillItem]
    metrics: Sequence[str]
    num_shots: int = 0
    max_response_tokens: int = 32
    condition: Condition = field(default_factory=dict)
    name: str = "skills"

    def __post_init__(self) -> None:
        for metric in self.metrics:
            if metric not in METRICS:
                raise DataError(f"metric is {metric!r}; it must be one of {', '.join(METRICS)}")

    def request(self, item: SkillItem) -> Request:
        prompt = Prompt(id=item.id, text=prompt_text(item, self.num_shots))
        if item.choices:
            return Choose(prompt=prompt, choices=tuple(item.response_opening + choice for choice in item.choices))
        settings = SamplingSettings(max_response_tokens=self.max_response_tokens, temperature=0.0)
        return Generate(prompt=prompt, settings=settings)

    def score(self, item: SkillItem, response: TaskResponse) -> list[TaskRow]:
        """One row per metric: the best over the gold answers, in [0, 1]; with prompt, response and gold answers."""
        said = response.completions[0].text if response.completions else _likeliest(item, response)
        return [
            TaskRow(
                measure="skill",
                unit=item.id,
                cluster=item.cluster,
                condition={"metric": metric},
                value=best_over(item.answers, MEASURES[metric], said) if metric in MEASURES else None,
                num_shots=self.num_shots,
                prompt=prompt_text(item, self.num_shots),
                response=said,
                answers=list(item.answers),
            )
            for metric in self.metrics
        ]

    def aggregate(self, rows: Sequence[TaskRow], *, source: str) -> list[Measurement]:
        return measure_skills(rows, source=source)


def _likeliest(item: SkillItem, response: TaskResponse) -> str:
    found = response.likelihoods
    return item.choices[max(range(len(found)), key=lambda number: found[number].per_token)]


def skill_rows(
    arm: Arm,
    items: Sequence[SkillItem],
    *,
    num_shots: int,
    metrics: Sequence[str],
    max_response_tokens: int,
    device: str = "cpu",
) -> list[TaskRow]:
    """The rows of a `SkillTask` for the policy in an arm's folder, metric by metric."""
    task = SkillTask(items=items, metrics=metrics, num_shots=num_shots, max_response_tokens=max_response_tokens)
    rows = task_rows(task, Policy.load(arm.model, device=device), arm=arm)
    return sorted(rows, key=lambda row: list(metrics).index(str(row.condition["metric"])))


def measure_skills(rows: Sequence[TaskRow], *, source: str) -> list[Measurement]:
    """`mean_values` of the rows of a `SkillTask`; "bleu" is computed over all responses together."""
    whole = [row for row in rows if row.value is None]
    found = mean_values(rows, source=source)
    if whole:
        score = bleu(*([(row.model_extra or {})[key] for row in whole] for key in ("response", "answers")))
        arm = SizedArm(whole[0].arm, whole[0].size)
        found.append(measured("skill", score, whole[0].condition, source=source, arm=arm))
    return found
