"""The quantities of claims, as data: weighted sums of measured numbers, paired by prompt if the rows allow it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field

from tutelage.evaluation.records import MEASUREMENTS, SizedArm
from tutelage.report.assessment import Evidence
from tutelage.report.measured import LARGEST, Estimate, Measured, Row, Where
from tutelage.report.raw_rows import Means, RawRows
from tutelage.statistics import Interval, combined_contrast, paired_contrast

# The range of a measured number; those not listed have none (a loss, a score).
_BOUNDS: Mapping[str, tuple[float, float]] = {
    "win_rate": (0.0, 1.0),
    "generalisation": (0.0, 1.0),
    "flag": (0.0, 1.0),
    "skill": (0.0, 1.0),
    "likert": (1.0, 7.0),
    "truthful": (0.0, 1.0),
    "truthful_informative": (0.0, 1.0),
    "truthful_choice": (0.0, 1.0),
    "toxicity": (0.0, 1.0),
    "reward_model_accuracy": (0.0, 1.0),
    "bias_entropy": (0.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class MeanTerm:
    """One mean in a contrast, with its weight."""

    weight: float
    measure: str
    arm: str = ""
    condition: Where = field(default_factory=dict)
    size: str = LARGEST
    baseline: SizedArm | None = None

    def rows(self, measured: Measured) -> list[Row]:
        return measured.where(self.measure, self.condition, arm=self.arm, size=self.size, baseline=self.baseline)


@dataclass(frozen=True, slots=True)
class Contrast:
    """sum_k w_k m_k over `terms`.

    `over`: a condition (a skill, say) over whose values the contrasts are averaged, each computed separately. `across`:
    a condition (a fold) over which a prompt is averaged before the terms are paired on prompts; if the rows are
    missing, its values are the sampling units, and the terms are paired on them.
    """

    terms: tuple[MeanTerm, ...]
    over: str = ""
    across: str = ""

    def read(self, evidence: Evidence) -> Estimate | None:
        """The sum with its interval; None if a term was not measured, or a size is compared with itself."""
        rows = [term.rows(evidence.measured) for term in self.terms]
        if not all(rows) or self._repeats(evidence.measured):
            return None
        if self.across:
            return self._paired_on_prompts(rows, evidence.raw) or self._paired_across(rows)
        if not self.over:
            return contrast(self._weighted([found[0] for found in rows]), evidence.raw)
        return self._averaged_over(rows, evidence.raw)

    def _repeats(self, measured: Measured) -> bool:
        named = [
            (term.measure, term.arm, measured.resolved(term.size), term.baseline, *term.condition.items())
            for term in self.terms
        ]
        sizes = {term.size for term in self.terms}
        sizes |= {term.baseline.size for term in self.terms if term.baseline is not None}
        return len(set(named)) < len(named) or (len(sizes) > 1 and len(measured.sizes) < 2)

    def _weighted(self, rows: Iterable[Row]) -> list[tuple[float, Row]]:
        return [(term.weight, row) for term, row in zip(self.terms, rows, strict=True)]

    def _averaged_over(self, rows: list[list[Row]], raw: RawRows) -> Estimate | None:
        by_value = [_by_condition(found, self.over) for found in rows]
        shared = [value for value in by_value[0] if all(value in other for other in by_value[1:])]
        taken = [contrast(self._weighted([found[value] for found in by_value]), raw) for value in shared]
        parts = [part for part in taken if part is not None]
        if not parts:
            return None
        weighted = [(1 / len(parts), part) for part in parts]
        return combine(weighted, " and ".join(dict.fromkeys(part.source for part in parts)))

    def _paired_on_prompts(self, rows: list[list[Row]], raw: RawRows) -> Estimate | None:
        terms = [(term.weight, _pooled(found, raw)) for term, found in zip(self.terms, rows, strict=True)]
        if _num_shared(terms) < 2:
            return None
        sources = dict.fromkeys(row.estimate.raw or row.estimate.source for found in rows for row in found)
        return estimate_from(paired_contrast(terms, bounds=_BOUNDS.get(self.terms[0].measure)), ", ".join(sources))

    def _paired_across(self, rows: list[list[Row]]) -> Estimate | None:
        by_value = [_by_condition(found, self.across) for found in rows]
        terms: list[tuple[float, Means]] = [
            (term.weight, {value: row.estimate.mean for value, row in found.items()})
            for term, found in zip(self.terms, by_value, strict=True)
        ]
        if len(set.intersection(*(set(means) for _, means in terms))) < 2:
            return None
        return estimate_from(paired_contrast(terms, bounds=_BOUNDS.get(self.terms[0].measure)), MEASUREMENTS)


def value(
    measure: str, arm: str, condition: Where, *, size: str = LARGEST, baseline: SizedArm | None = None
) -> Contrast:
    """One measured number, unchanged."""
    return Contrast((MeanTerm(1.0, measure, arm, condition, size, baseline),))


def difference(
    measure: str, arm: str, other: str, condition: Where, *, factor: float = 1.0, baseline: SizedArm | None = None
) -> Contrast:
    """The number of one arm minus `factor` times that of another."""
    weights = ((1.0, arm), (-factor, other))
    return Contrast(tuple(MeanTerm(weight, measure, name, condition, baseline=baseline) for weight, name in weights))


def _pooled(rows: Iterable[Row], raw: RawRows) -> Means:
    """The mean of each prompt over several measurements; empty if the rows of one are missing."""
    found: dict[Hashable, list[float]] = defaultdict(list)
    for row in rows:
        means = raw.means(row)
        if means is None:
            return {}
        for unit, mean in means.items():
            found[unit].append(mean)
    return {unit: sum(means) / len(means) for unit, means in found.items()}


def _by_condition(rows: Iterable[Row], key: str) -> dict[str | int | float, Row]:
    found: dict[str | int | float, Row] = {}
    for row in rows:
        if key in row.condition:
            found.setdefault(row.condition[key], row)
    return found


def contrast(terms: list[tuple[float, Row]], raw: RawRows) -> Estimate | None:
    """The weighted sum: the number itself, paired on the raw rows, or from the intervals, in that order."""
    if len(terms) == 1 and terms[0][0] == 1.0:
        return terms[0][1].estimate
    means = [(weight, raw.means(row)) for weight, row in terms]
    paired = [(weight, found) for weight, found in means if found is not None]
    bounds = _BOUNDS.get(terms[0][1].measure)
    if len(paired) == len(terms) and _num_shared(paired) >= 2:
        sources = dict.fromkeys(row.estimate.raw or row.estimate.source for _, row in terms)
        return estimate_from(paired_contrast(paired, bounds=bounds), ", ".join(sources))
    return combine([(weight, row.estimate) for weight, row in terms], files_of(row for _, row in terms))


def _num_shared(terms: list[tuple[float, Means]]) -> int:
    return len(set.intersection(*(set(means) for _, means in terms)))


def files_of(rows: Iterable[Row]) -> str:
    """The files that the rows were read from."""
    return ", ".join(dict.fromkeys(row.estimate.source.split("#")[0] for row in rows))


def combine(terms: list[tuple[float, Estimate]], source: str) -> Estimate:
    """The weighted sum from the intervals alone; without an interval if a term has none."""
    intervals = [
        (weight, Interval(mean=found.mean, low=found.low, high=found.high, n=found.n or 0))
        for weight, found in terms
        if found.low is not None and found.high is not None
    ]
    if len(intervals) < len(terms):
        return Estimate(mean=sum(weight * found.mean for weight, found in terms), source=source)
    return estimate_from(combined_contrast(intervals), source)


def estimate_from(found: Interval, source: str) -> Estimate:
    """A computed interval as an estimate."""
    return Estimate(mean=found.mean, low=found.low, high=found.high, n=found.n, source=source)
