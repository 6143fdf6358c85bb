"""Truthfulness on questions that many people answer wrongly (TruthfulQA: Lin et al. 2021; paper section 4.2, Figure 6).

The judge is passed in: people, a judge model, ground truth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tutelage.evaluation.measuring import mean_values
from tutelage.evaluation.records import Condition, Measurement, TaskRow
from tutelage.evaluation.task import Generate, TaskResponse
from tutelage.model.sampling import SamplingSettings
from tutelage.records import Completion, Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`is_true`: claims nothing false (so "I have no comment" is true); `is_informative`: addresses the question."""

    is_true: bool
    is_informative: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthTask:
    """Questions as a task: greedy responses, judged. `cluster_of` names the question that wordings share.

    `kept_keys` are extra keys of a prompt that its rows keep.
    """

    items: Sequence[Prompt]
    judge: Callable[[Prompt, Completion], Verdict]
    cluster_of: Callable[[Prompt], str] = lambda prompt: prompt.id
    max_response_tokens: int = 32
    kept_keys: tuple[str, ...] = ()
    condition: Condition = field(default_factory=dict)
    name: str = "truth"

    def request(self, item: Prompt) -> Generate:
        settings = SamplingSettings(max_response_tokens=self.max_response_tokens, temperature=0.0)
        return Generate(prompt=item, settings=settings)

    def score(self, item: Prompt, response: TaskResponse) -> list[TaskRow]:
        """Two rows: whether the response is true (`truthful`), and whether it is true and informative
        (`truthful_informative`).
        """
        (completion,) = response.completions
        verdict = self.judge(item, completion)
        values = {"truthful": verdict.is_true, "truthful_informative": verdict.is_true and verdict.is_informative}
        return [
            TaskRow(
                measure=measure,
                unit=item.id,
                cluster=self.cluster_of(item),
                value=float(value),
                prompt=item.flat,
                completion_id=completion.id,
                text=completion.text,
                **{key: (item.model_extra or {})[key] for key in self.kept_keys},
            )
            for measure, value in values.items()
        ]

    def aggregate(self, rows: Sequence[TaskRow], *, source: str) -> list[Measurement]:
        return mean_values(rows, source=source)
