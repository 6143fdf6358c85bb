"""The numbers of a run, each with the place that it comes from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from tutelage.report.arms import in_order
from tutelage.report.run_folder import COMPARISONS, RATINGS, SUMMARY, EvaluatedComparison, EvaluatedRating, Run
from tutelage.statistics import Interval, likert_mean, win_rate

# Two means that differ by less are the same number, rounded on the way.
SAME_MEAN = 0.005
ValueOfRating = Callable[[EvaluatedRating], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number, its 95 % interval and count where there are any, and its source.

    `source` is `file` where the report computed it from that file, `file#/path` (a JSON pointer) where it was read
    there; `interval_source` likewise, "" where it is the same. `raw`: the file of the rows that were averaged, where
    another file sums them up.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    source: str
    interval_source: str = ""
    raw: str = ""

    @property
    def has_interval(self) -> bool:
        return self.low is not None and self.high is not None


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def read_estimates(summary: Mapping[str, Any], key: str) -> dict[str, Estimate]:
    """One estimate an arm from `summary[key]`, whose entries are numbers or have a mean, an interval and a count."""
    found = summary.get(key)
    entries = found.items() if isinstance(found, dict) else ()
    estimates = {arm: _estimate(value, f"{SUMMARY}#/{key}/{arm}") for arm, value in entries}
    return {arm: estimate for arm in in_order(estimates) if (estimate := estimates[arm]) is not None}


def _estimate(value: Any, source: str) -> Estimate | None:
    if is_number(value):
        return Estimate(mean=float(value), source=source)
    if not isinstance(value, dict) or not is_number(value.get("mean")):
        return None
    low: Any
    high: Any
    count: Any
    low, high, count = value.get("low"), value.get("high"), value.get("n")
    has_interval = is_number(low) and is_number(high)
    return Estimate(
        mean=float(value["mean"]),
        low=float(low) if has_interval else None,
        high=float(high) if has_interval else None,
        n=int(count) if is_number(count) else None,
        source=source,
    )


def win_rates(run: Run) -> dict[str, Estimate]:
    """Win rate against SFT by arm: as the run summed it up, or else from its comparisons."""
    return read_estimates(run.summary, "win_rate_vs_sft") or _computed_win_rates(run, _final_judges(run))[""]


def _final_judges(run: Run) -> Callable[[EvaluatedComparison], str]:
    """Sorts the judgements of the result under "": those of held-out labelers, or all where none are held out."""
    if not any(row.labeler_group.startswith("held") for row in run.result_comparisons):
        return lambda _: ""
    return lambda row: "" if row.labeler_group.startswith("held") else row.labeler_group


def win_rates_by_group(run: Run) -> dict[str, dict[str, Estimate]]:
    """Win rate by arm for each group of labelers (training, held out), from the comparisons."""
    groups = _computed_win_rates(run, lambda row: row.labeler_group)
    return {group: groups[group] for group in sorted(groups, reverse=True) if group}


def win_rates_by_use_case(run: Run) -> dict[str, dict[str, Estimate]]:
    """Win rate by arm for each use case, from the comparisons; the use case with the most prompts first."""
    use_case_of = {completion.prompt_id: completion.use_case for completion in run.result_completions}
    groups = _computed_win_rates(run, lambda row: use_case_of.get(row.prompt_id, ""))
    sizes: dict[str, int] = defaultdict(int)
    for use_case in use_case_of.values():
        sizes[use_case] += 1
    return {group: groups[group] for group in sorted(groups, key=lambda group: (-sizes[group], group)) if group}


def _computed_win_rates(run: Run, group_of: Callable[[EvaluatedComparison], str]) -> dict[str, dict[str, Estimate]]:
    gathered: dict[str, dict[str, list[tuple[float, Hashable]]]] = defaultdict(lambda: defaultdict(list))
    for row in run.result_comparisons:
        gathered[group_of(row)][row.arm].append((row.outcome, row.prompt_id))
    return defaultdict(
        dict,
        {
            group: {arm: _computed(win_rate(*zip(*by_arm[arm], strict=True)), COMPARISONS) for arm in in_order(by_arm)}
            for group, by_arm in gathered.items()
        },
    )


def _computed(interval: Interval, source: str) -> Estimate:
    return Estimate(mean=interval.mean, low=interval.low, high=interval.high, n=interval.n, source=source)


def likert(run: Run) -> dict[str, Estimate]:
    """Mean rating by arm, with an interval where the ratings are there."""
    return _with_intervals(read_estimates(run.summary, "likert"), _computed_likert(run))


def flags(run: Run) -> dict[str, dict[str, Estimate]]:
    """Share of an arm's ratings with a flag set, over ratings that judged it, by flag and arm."""
    summed_up = _summed_up_flags(run.summary.get("flags"))
    names = dict.fromkeys([*summed_up, *(flag for rating in run.result_ratings for flag in rating.flags)])
    return {flag: _with_intervals(summed_up.get(flag, {}), flag_shares(run, flag)) for flag in names}


def _summed_up_flags(by_arm: Any) -> dict[str, dict[str, Estimate]]:
    shares: dict[str, dict[str, Estimate]] = defaultdict(dict)
    for arm in in_order(by_arm if isinstance(by_arm, dict) else ()):
        for flag, share in (by_arm[arm] if isinstance(by_arm[arm], dict) else {}).items():
            if is_number(share):
                shares[flag][arm] = Estimate(mean=float(share), source=f"{SUMMARY}#/flags/{arm}/{flag}")
    return shares


def _with_intervals(summed_up: dict[str, Estimate], computed: dict[str, Estimate]) -> dict[str, Estimate]:
    """What the run summed up, with the computed interval where the means agree; or else what was computed."""
    if not summed_up:
        return computed
    return {
        arm: replace(estimate, low=other.low, high=other.high, n=other.n, interval_source=other.source)
        if (other := computed.get(arm)) is not None and abs(other.mean - estimate.mean) < SAME_MEAN
        else estimate
        for arm, estimate in summed_up.items()
    }


def _computed_likert(run: Run) -> dict[str, Estimate]:
    gathered = _ratings_by_arm(run, lambda rating: float(rating.overall))
    return {arm: _computed(likert_mean(*zip(*gathered[arm], strict=True)), RATINGS) for arm in in_order(gathered)}


def flag_shares(run: Run, flag: str) -> dict[str, Estimate]:
    """Share of an arm's ratings with the flag set, with its interval, over ratings that judged the flag."""
    gathered = _ratings_by_arm(run, lambda rating: float(rating.flags[flag]) if flag in rating.flags else None)
    return {arm: _computed(win_rate(*zip(*gathered[arm], strict=True)), RATINGS) for arm in in_order(gathered)}


def _ratings_by_arm(run: Run, value_of: ValueOfRating) -> dict[str, list[tuple[float, Hashable]]]:
    gathered: dict[str, list[tuple[float, Hashable]]] = defaultdict(list)
    for rating in run.result_ratings:
        value = value_of(rating)
        if value is not None:
            gathered[rating.arm].append((value, rating.prompt_id))
    return gathered


def disagreements(run: Run) -> Iterator[str]:
    """Where the summary and the evaluation files give different means for the same thing: a sentence each."""
    pairs = [
        (read_estimates(run.summary, "win_rate_vs_sft"), _computed_win_rates(run, _final_judges(run))[""]),
        (read_estimates(run.summary, "likert"), _computed_likert(run)),
    ]
    for summed_up, computed in pairs:
        for arm, estimate in summed_up.items():
            other = computed.get(arm)
            if other is not None and abs(other.mean - estimate.mean) >= SAME_MEAN:
                yield f"{estimate.source} says {estimate.mean:.3f}, but {other.source} gives {other.mean:.3f}."
