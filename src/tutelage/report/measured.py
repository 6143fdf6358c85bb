"""What a run measured, as one table that can be asked: from measurements.jsonl, and where that is silent, the summary.

Every figure of the paper and every claim is drawn from these rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.records import Measurement
from tutelage.report.arms import in_order
from tutelage.report.results import Estimate, flags, is_number, likert, read_estimates, win_rates, win_rates_by_group
from tutelage.report.run_folder import (
    COMPARISONS,
    DISTRIBUTION,
    MEASUREMENTS,
    RATINGS,
    SUMMARY,
    Run,
    part_baseline,
)

Condition = str | int | float
ANY, LARGEST, SMALLEST = "(any)", "(largest)", "(smallest)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured number: see `tutelage.records.Measurement`; its mean, interval and source are the estimate's."""

    measure: str
    arm: str
    size: str
    condition: Mapping[str, Condition]
    estimate: Estimate


class Measured:
    """The rows of one run, with its model sizes from small to large (none where it has one size)."""

    def __init__(self, rows: Iterable[Row], sizes: Iterable[str]) -> None:
        self.rows = tuple(rows)
        self.sizes = tuple(sizes)

    def where(
        self, measure: str, condition: Mapping[str, Condition] | None = None, *, arm: str = ANY, size: str = ANY
    ) -> list[Row]:
        """The rows of `measure` that meet everything asked, in the order of the file.

        `size` may be `LARGEST` or `SMALLEST`, and so may the condition `baseline_size`. A row that does not state a
        condition is not left out for it.
        """
        size = self.resolved(size)
        wanted = {key: self._resolved(key, value) for key, value in (condition or {}).items()}
        return [
            row
            for row in self.rows
            if row.measure == measure
            and arm in (ANY, row.arm)
            and size in (ANY, row.size)
            and all(_meets(key, row.condition.get(key, value), value) for key, value in wanted.items())
        ]

    def one(
        self, measure: str, condition: Mapping[str, Condition] | None = None, *, arm: str = ANY, size: str = ANY
    ) -> Row | None:
        """The first such row."""
        return next(iter(self.where(measure, condition, arm=arm, size=size)), None)

    def by_arm(
        self, measure: str, condition: Mapping[str, Condition] | None = None, *, size: str = ANY
    ) -> dict[str, Row]:
        """The first such row of every arm, in the paper's order."""
        found: dict[str, Row] = {}
        for row in self.where(measure, condition, size=size):
            found.setdefault(row.arm, row)
        return {arm: found[arm] for arm in in_order(found)}

    def values(self, measure: str, key: str, condition: Mapping[str, Condition] | None = None) -> list[Condition]:
        """What `key` was in the rows of `measure`, each once, in the order of the file."""
        rows = self.where(measure, condition)
        return list(dict.fromkeys(row.condition[key] for row in rows if key in row.condition))

    def resolved(self, size: str) -> str:
        """A size by its name."""
        if size not in (LARGEST, SMALLEST):
            return size
        return self.sizes[-1 if size == LARGEST else 0] if self.sizes else ""

    def _resolved(self, key: str, value: Condition) -> Condition:
        return self.resolved(value) if key == "baseline_size" and isinstance(value, str) else value


def _meets(key: str, value: Condition, wanted: Condition) -> bool:
    if isinstance(value, str) and isinstance(wanted, str):
        return value.replace("_", "") == wanted.replace("_", "") if key == "labelers" else value == wanted
    return value == wanted


def read_measured(run: Run) -> Measured:
    """Everything that the run measured; what its measurements leave out is taken from its summary and judgements."""
    rows = [_row(index, found, run.sizes) for index, found in run.measurements.items()]
    present = {row.measure for row in rows}
    return Measured([*rows, *(row for row in _summed_up(run) if row.measure not in present)], run.sizes)


def _row(index: int, found: Measurement, sizes: Sequence[str]) -> Row:
    entry = f"{MEASUREMENTS}#/{index}"
    has_interval = found.low is not None and found.high is not None
    estimate = Estimate(
        mean=found.mean,
        low=found.low if has_interval else None,
        high=found.high if has_interval else None,
        n=found.n,
        source=f"{entry}/mean",
        interval_source=entry,
        raw=found.source,
    )
    condition = _with_parted_baseline(found.condition, sizes)
    return Row(measure=found.measure, arm=found.arm, size=found.size, condition=condition, estimate=estimate)


def _with_parted_baseline(condition: Mapping[str, Condition], sizes: Sequence[str]) -> Mapping[str, Condition]:
    if "baseline" not in condition:
        return condition
    arm, size = part_baseline(str(condition["baseline"]), str(condition.get("baseline_size", "")), sizes)
    return {**condition, "baseline": arm, **({"baseline_size": size} if size else {})}


def _summed_up(run: Run) -> Iterator[Row]:
    """What the summary and the judgements of the largest size say, as rows."""
    judged = {"labelers": "heldout", "distribution": DISTRIBUTION}
    against = {"baseline": "sft", "distribution": DISTRIBUTION}
    groups = win_rates_by_group(run)
    has_held_out = any(group.startswith("held") for group in groups)
    labelers = {"labelers": "heldout"} if has_held_out else {}
    yield from _rows(run, "win_rate", win_rates(run), against | labelers, COMPARISONS)
    for group, rates in groups.items():
        if not group.startswith("held"):
            yield from _rows(run, "win_rate", rates, against | {"labelers": group}, COMPARISONS)
    yield from _rows(run, "likert", likert(run), judged, RATINGS)
    for flag, shares in flags(run).items():
        yield from _rows(run, "flag", shares, judged | {"flag": flag}, RATINGS)
    for measure in ("pretraining_loss", "kl_to_reference"):
        yield from _rows(run, measure, read_estimates(run.summary, measure), {}, "")
    yield from _reward_model(run)


def _rows(
    run: Run, measure: str, estimates: Mapping[str, Estimate], condition: Mapping[str, Condition], raw: str
) -> Iterator[Row]:
    for arm, found in estimates.items():
        traced = Estimate(
            mean=found.mean,
            low=found.low,
            high=found.high,
            n=found.n,
            source=found.source,
            interval_source=found.interval_source,
            raw=raw if found.source != raw else "",
        )
        yield Row(measure=measure, arm=arm, size=run.largest, condition=dict(condition), estimate=traced)


_REWARD_MODEL = {
    "accuracy_training_labelers": ("reward_model_accuracy", "training"),
    "accuracy_heldout_labelers": ("reward_model_accuracy", "heldout"),
    "labeler_agreement": ("labeler_agreement", "all"),
    "labeler_agreement_training": ("labeler_agreement", "training"),
    "labeler_agreement_heldout": ("labeler_agreement", "heldout"),
}


def _reward_model(run: Run) -> Iterator[Row]:
    values: Any = run.summary.get("reward_model")
    for key, (measure, labelers) in _REWARD_MODEL.items():
        if isinstance(values, dict) and is_number(values.get(key)):
            estimate = Estimate(mean=float(values[key]), source=f"{SUMMARY}#/reward_model/{key}")
            yield Row(measure=measure, arm="", size=run.largest, condition={"labelers": labelers}, estimate=estimate)
