"""Public benchmarks and similar tasks: questions, sentiment, translation, summarization, zero- and few-shot (paper
sections 3.6 and D.2; the alignment tax of Figures 28 and 29).

A prompt is an instruction, examples in the layout of the query, and the query. A response is greedily decoded
(temperature 0), up to its first newline [D].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tutelage.errors import DataError
from tutelage.evaluation.completions import Arm, complete
from tutelage.evaluation.likelihood import continuing, likelihoods, text_tokens
from tutelage.evaluation.measuring import mean_values, measured
from tutelage.evaluation.overlap import best_over, bleu, exact_match, rouge_l, token_f1
from tutelage.evaluation.records import Measurement, SizedArm, TaskRow
from tutelage.model.loading import load_tokenizer
from tutelage.model.packing import Group
from tutelage.model.policy import Policy
from tutelage.model.sampling import SamplingSettings
from tutelage.records import Prompt
from tutelage.text.render import Renderer

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


def first_line(text: str) -> str:
    """`text` up to its first newline; those at its very start are layout of the prompt, not of the response."""
    return text.strip().split("\n", 1)[0].strip()


def skill_rows(
    arm: Arm,
    items: Sequence[SkillItem],
    *,
    num_shots: int,
    metrics: Sequence[str],
    max_response_tokens: int,
    seed: int = 0,
    device: str = "cpu",
) -> list[TaskRow]:
    """One row of `skill` per item and metric, which is its condition: the best over the gold answers, in [0, 1].

    Also the prompt, the policy's response, the gold answers. "bleu" exists only for all items together: see
    `measure_skills`. `device` is where the policy runs; nothing is random at temperature 0, so `seed` only names the
    draw. Raises `DataError` for a metric that does not exist.
    """
    for metric in metrics:
        if metric not in METRICS:
            raise DataError(f"metric is {metric!r}; it must be one of {', '.join(METRICS)}")
    written = [item for item in items if not item.choices]
    responses = _written(arm, written, num_shots, max_response_tokens, seed, device)
    responses |= _chosen(arm, [item for item in items if item.choices], num_shots, device)
    return [
        TaskRow(
            measure="skill",
            unit=item.id,
            cluster=item.cluster,
            condition={"metric": metric},
            value=best_over(item.answers, MEASURES[metric], responses[item.id]) if metric in MEASURES else None,
            num_shots=num_shots,
            prompt=prompt_text(item, num_shots),
            response=responses[item.id],
            answers=list(item.answers),
        )
        for metric in metrics
        for item in items
    ]


def measure_skills(rows: Sequence[TaskRow], *, source: str) -> list[Measurement]:
    """`mean_values` of the rows of `skill_rows`; "bleu" is computed over all responses together."""
    whole = [row for row in rows if row.value is None]
    found = mean_values(rows, source=source)
    if whole:
        score = bleu(*([(row.model_extra or {})[key] for row in whole] for key in ("response", "answers")))
        arm = SizedArm(whole[0].arm, whole[0].size)
        found.append(measured("skill", score, whole[0].condition, source=source, arm=arm))
    return found


def _written(
    arm: Arm, items: Sequence[SkillItem], num_shots: int, max_response_tokens: int, seed: int, device: str
) -> dict[str, str]:
    if not items:
        return {}
    prompts = [Prompt(id=item.id, text=prompt_text(item, num_shots)) for item in items]
    settings = SamplingSettings(max_response_tokens=max_response_tokens, temperature=0.0)
    found = complete(arm, prompts, settings=settings, seed=seed, renderer_of=continuing, device=device)
    return {item.id: first_line(own[0].text) for item, own in zip(items, found, strict=True)}


def _chosen(arm: Arm, items: Sequence[SkillItem], num_shots: int, device: str) -> dict[str, str]:
    """The choice with the highest mean log-probability per token, for each item."""
    if not items:
        return {}
    policy = Policy.load(arm.model, renderer=continuing(load_tokenizer(arm.model)), device=device)
    groups = [_choice_group(policy.renderer, arm, item, num_shots) for item in items]
    found = likelihoods(policy, groups)
    chosen = {}
    for item, own in zip(items, found, strict=True):
        best = max(range(len(own)), key=lambda number: own[number].per_token)
        chosen[item.id] = item.choices[best]
    return chosen


def _choice_group(renderer: Renderer, arm: Arm, item: SkillItem, num_shots: int) -> Group:
    text = arm.prefix + prompt_text(item, num_shots)
    return Group(
        prompt=renderer.prompt_tokens(Prompt(text=text)),
        responses=[text_tokens(renderer, item.response_opening + choice) for choice in item.choices],
    )
