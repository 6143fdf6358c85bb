"""What evaluations write and reports read: the averaged rows, and the measurements computed from them.

One table: a row is one number of one unit (a prompt, a question, a window of text); a measurement is the mean of the
rows of its file with the same subject. Nothing about a row is encoded in a name: an arm, its model size, a baseline and
its size each have a separate field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import Field, field_validator, model_validator

from tutelage.records import NonEmpty, Rating, Record
from tutelage.statistics.win_rate import OUTCOMES

Condition = dict[str, str | int | float]
# Where the rows of a run are stored. All other files in the folder contain `TaskRow`s.
FOLDER = "evaluation"
COMPLETIONS, COMPARISONS, RATINGS, MEASUREMENTS = (
    f"{FOLDER}/{name}.jsonl" for name in ("completions", "comparisons", "ratings", "measurements")
)
# Labelers who made no training data, and whose judgments therefore count; those who made it.
HELDOUT, TRAINING = "heldout", "training"
# Prompts written for instruction-following models, which results are about [3.6]; and for completion models.
INSTRUCT, GPT = "instruct", "gpt"


class SizedArm(NamedTuple):
    """An arm at a model size; "" if the run has one size."""

    arm: str
    size: str = ""


class Measurement(Record):
    """One number that a run measured: `measure` of `arm` at model `size` under `condition`, with its 95 % interval.

    `arm` is "" if no policy is meant, `size` if the run has one size, `baseline` if nothing was compared. `n` counts
    what was averaged; `source` is the file of the rows, relative to the run: see `value_for` of each kind of row. Rows
    of `evaluation/measurements.jsonl`.
    """

    measure: NonEmpty
    arm: str = ""
    size: str = ""
    baseline: str = ""
    baseline_size: str = ""
    condition: Condition = Field(default_factory=dict)
    mean: float = Field(allow_inf_nan=False)
    low: float | None = Field(default=None, allow_inf_nan=False)
    high: float | None = Field(default=None, allow_inf_nan=False)
    n: int = Field(ge=0)
    source: NonEmpty

    @property
    def against(self) -> SizedArm:
        return SizedArm(self.baseline, self.baseline_size)

    @field_validator("condition")
    @classmethod
    def _check_condition(cls, condition: Condition) -> Condition:
        if "baseline" in condition:
            raise ValueError("a baseline has its own field and is not a condition")
        return condition


class EvaluatedCompletion(Record):
    """A completion of one arm (at one model size, if the run has several) on one evaluation prompt."""

    prompt_id: str
    prompt: str
    use_case: str = ""
    distribution: str = ""
    arm: str
    size: str = ""
    completion_id: str
    text: str
    is_complete: bool = True


class EvaluatedComparison(Record):
    """One labeler's judgment of an arm's completion against the baseline's: 1 won, 0.5 tied, 0 lost."""

    prompt_id: str
    use_case: str = ""
    distribution: str = ""
    arm: str
    size: str = ""
    baseline: NonEmpty
    baseline_size: str = ""
    completion_id: str
    baseline_id: str = ""
    labeler_id: str = ""
    labeler_group: str = ""
    outcome: float

    @field_validator("outcome")
    @classmethod
    def _check_outcome(cls, outcome: float) -> float:
        if outcome not in OUTCOMES:
            raise ValueError("it must be 1 (won), 0.5 (tied) or 0 (lost)")
        return outcome

    @property
    def cluster(self) -> str:
        return self.prompt_id

    @property
    def condition(self) -> Condition:
        return _judged(self.labeler_group, self.distribution)

    @property
    def against(self) -> SizedArm:
        return SizedArm(self.baseline, self.baseline_size)

    def value_for(self, found: Measurement) -> float | None:
        """The outcome, if `found` averaged it."""
        is_its = found.measure == "win_rate" and _about(self) == _about(found) and self.against == found.against
        return self.outcome if is_its else None


class EvaluatedRating(Rating):
    """A rating of one arm's completion."""

    arm: str
    size: str = ""
    distribution: str = ""
    labeler_group: str = ""

    @property
    def cluster(self) -> str:
        return self.prompt_id

    @property
    def condition(self) -> Condition:
        return _judged(self.labeler_group, self.distribution)

    def value_for(self, found: Measurement) -> float | None:
        """The overall rating or a flag, whichever `found` averaged; None for a flag that was not asked."""
        if found.measure == "likert":
            return float(self.overall) if _about(self) == _about(found) else None
        flag = str(found.condition.get("flag", ""))
        is_its = found.measure == "flag" and flag in self.flags
        is_its = is_its and (self.arm, self.size, {"flag": flag, **self.condition}) == _about(found)
        return float(self.flags[flag]) if is_its else None


class TaskRow(Record):
    """One number of one unit: the verdict on a response to a question, the loss of a window of text.

    `cluster` groups units that were not drawn independently, and is what arms are paired on; default: the unit.
    `count`: for a per-token quantity, the number of tokens that `value` is the total of; its mean is the ratio of the
    totals. `value` is None if only all rows together have one (BLEU). Other keys record how the number was obtained.
    """

    measure: NonEmpty
    unit: str
    cluster: str = ""
    arm: str = ""
    size: str = ""
    condition: Condition = Field(default_factory=dict)
    value: float | None = Field(allow_inf_nan=False)
    count: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _fill_cluster(cls, row: Any) -> Any:
        return {**row, "cluster": row.get("cluster") or row.get("unit", "")} if isinstance(row, dict) else row

    def value_for(self, found: Measurement) -> float | None:
        """The number, if `found` averaged it."""
        return self.value if self.measure == found.measure and _about(self) == _about(found) else None

    def about(self, arm: SizedArm, condition: Mapping[str, str | int | float]) -> TaskRow:
        """The same number with its arm; `condition` is merged into the row's own."""
        return self.model_copy(update={"arm": arm.arm, "size": arm.size, "condition": {**condition, **self.condition}})


EvaluatedRow = EvaluatedComparison | EvaluatedRating | TaskRow


def _judged(labelers: str, distribution: str) -> Condition:
    stated = {"labelers": labelers, "distribution": distribution}
    return {key: value for key, value in stated.items() if value}


def _about(row: Any) -> tuple[str, str, Condition]:
    return row.arm, row.size, row.condition
