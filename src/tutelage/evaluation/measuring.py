"""From rows to measurements: the one place that computes win rates, mean ratings, shares of flags and means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from math import isfinite
from typing import TypeVar

from tutelage.evaluation.records import (
    COMPARISONS,
    RATINGS,
    Condition,
    EvaluatedComparison,
    EvaluatedRating,
    EvaluatedRow,
    Measurement,
    SizedArm,
    TaskRow,
)
from tutelage.statistics.interval import Interval, bounded_mean
from tutelage.statistics.likert import likert_mean
from tutelage.statistics.unbounded import ratio_of_totals
from tutelage.statistics.win_rate import win_rate

R = TypeVar("R", bound=EvaluatedRow)
Statistic = Callable[[Sequence[float], Sequence[Hashable]], Interval]
_NOBODY = SizedArm("")


def measured(
    measure: str,
    found: Interval,
    condition: Condition,
    *,
    source: str,
    arm: SizedArm = _NOBODY,
    baseline: SizedArm = _NOBODY,
) -> Measurement:
    """One number; `source` is the file of its rows, relative to the run. An unknown interval is omitted."""
    is_known = isfinite(found.low) and isfinite(found.high)
    return Measurement(
        measure=measure,
        arm=arm.arm,
        size=arm.size,
        baseline=baseline.arm,
        baseline_size=baseline.size,
        condition=condition,
        mean=found.mean,
        low=found.low if is_known else None,
        high=found.high if is_known else None,
        n=found.n,
        source=source,
    )


def win_rates(comparisons: Iterable[EvaluatedComparison]) -> list[Measurement]:
    """The win rate of every arm, baseline, labeler group and prompt distribution; ties count half.

    Intervals are clustered by prompt.
    """
    groups = _grouped(comparisons, lambda row: (row.against, frozenset(row.condition.items())))
    return [
        measured(
            "win_rate",
            win_rate([row.outcome for row in own], [row.cluster for row in own]),
            own[0].condition,
            source=COMPARISONS,
            arm=SizedArm(own[0].arm, own[0].size),
            baseline=own[0].against,
        )
        for own in groups
    ]


def mean_ratings(ratings: Iterable[EvaluatedRating]) -> list[Measurement]:
    """The mean rating, and the share of every flag among the ratings that answer it: by arm, labelers, distribution.

    A flag that does not apply to a prompt is not asked. Intervals are clustered by prompt.
    """
    found = []
    for own in _grouped(ratings, lambda row: (frozenset(row.condition.items()),)):
        arm, judged = SizedArm(own[0].arm, own[0].size), own[0].condition
        overall = likert_mean([row.overall for row in own], [row.cluster for row in own])
        found.append(measured("likert", overall, judged, source=RATINGS, arm=arm))
        for flag in dict.fromkeys(flag for row in own for flag in row.flags):
            asked = [row for row in own if flag in row.flags]
            share = bounded_mean([float(row.flags[flag]) for row in asked], [row.cluster for row in asked])
            found.append(measured("flag", share, {"flag": flag, **judged}, source=RATINGS, arm=arm))
    return found


def mean_values(rows: Iterable[TaskRow], *, source: str, statistic: Statistic = bounded_mean) -> list[Measurement]:
    """The mean of every measure, arm and condition, clustered; for rows with a count, the ratio of the totals.

    `statistic` is for numbers outside [0, 1]. Rows without a value are skipped.
    """
    return [
        mean_of(own, source=source, statistic=statistic)
        for own in _grouped(rows, lambda row: (row.measure, frozenset(row.condition.items())))
        if all(row.value is not None for row in own)
    ]


def mean_of(rows: Sequence[TaskRow], *, source: str, statistic: Statistic = bounded_mean) -> Measurement:
    """See `mean_values`, for rows with the same subject."""
    values = [row.value for row in rows if row.value is not None]
    counts = [row.count for row in rows if row.count is not None]
    clusters = [row.cluster for row in rows]
    found = ratio_of_totals(values, counts, clusters) if counts else statistic(values, clusters)
    first = rows[0]
    arm = SizedArm(first.arm, first.size)
    return measured(first.measure, found, first.condition, source=source, arm=arm)


def _grouped(rows: Iterable[R], key_of: Callable[[R], tuple[Hashable, ...]]) -> list[list[R]]:
    """The rows of one arm at one size that share a key, in order of first occurrence."""
    groups: dict[Hashable, list[R]] = defaultdict(list)
    for row in rows:
        groups[row.arm, row.size, *key_of(row)].append(row)
    return list(groups.values())
