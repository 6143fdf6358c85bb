"""Numbers about the best epoch or sweep. Never selected and measured on the same rows.

If the rows are available, the selection is made on one half of the prompts and measured on the other, both ways;
without them the interval is widened for the number of candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tutelage.evaluation.records import MEASUREMENTS
from tutelage.report.assessment import Evidence
from tutelage.report.measured import LARGEST, Estimate, Measured, Row
from tutelage.report.raw_rows import Means
from tutelage.reproduction.claims.quantities import combine, contrast, estimate_from, files_of
from tutelage.statistics import Interval, choose_by_halves, contrast_of_choices, widen_for_choice
from tutelage.statistics.selection import MIN_UNITS

# Determines which prompts are in which half; any seed works.
_SEED = 0


@dataclass(frozen=True, slots=True)
class LastEpochMinusLowestLoss:
    """The change in `metric` of SFT between the epoch of lowest validation loss and the last epoch.

    For the loss itself the epoch is selected on one half of the demonstrations and measured on the other. The score is
    measured on other prompts than those used for selection.
    """

    metric: str

    def read(self, evidence: Evidence) -> Estimate | None:
        """The change with its interval; exactly 0 if the last epoch has the lowest loss."""
        losses = self._by_epoch(evidence.measured, "validation_loss")
        shown = self._by_epoch(evidence.measured, self.metric)
        if len(losses) < 2:
            return None
        lowest, last = min(losses, key=lambda epoch: losses[epoch].estimate.mean), max(losses)
        if lowest not in shown or last not in shown:
            return None
        if lowest == last:
            # The loss has not turned up: the change is exactly 0.
            exact = shown[last].estimate
            return replace(exact, mean=0.0, low=0.0, high=0.0, source=MEASUREMENTS, interval_source="")
        if self.metric != "validation_loss":
            return contrast([(1.0, shown[last]), (-1.0, shown[lowest])], evidence.raw)
        means = _means_of(list(losses.values()), evidence)
        if means is None:
            return _widened([(1.0, losses[last]), (-1.0, losses[lowest])], len(losses) - 1)
        by_epoch = dict(zip(losses, means, strict=True))
        chosen = choose_by_halves(means, is_lowest=True, seed=_SEED)
        return _paired([(1.0, by_epoch[last]), (-1.0, chosen)], list(losses.values()))

    def _by_epoch(self, measured: Measured, metric: str) -> dict[float, Row]:
        rows = measured.where("sft_epoch", {"metric": metric}, size=LARGEST) or measured.where(
            "sft_epoch", {"metric": metric}
        )
        return {float(row.condition["epoch"]): row for row in rows if "epoch" in row.condition}


@dataclass(frozen=True, slots=True)
class BestOfSweeps:
    """`metric` of the best run of one sweep minus that of another, each selected on the other half of the items."""

    sweep: str
    other: str
    metric: str

    def read(self, evidence: Evidence) -> Estimate | None:
        """The difference with its interval; None if a sweep was not measured."""
        sweeps = [evidence.measured.where(sweep, {"metric": self.metric}) for sweep in (self.sweep, self.other)]
        if not all(sweeps):
            return None
        means = _means_of([*sweeps[0], *sweeps[1]], evidence)
        if means is None:
            best = [max(rows, key=lambda row: row.estimate.mean) for rows in sweeps]
            return _widened([(1.0, best[0]), (-1.0, best[1])], max(map(len, sweeps)))
        count = len(sweeps[0])
        own, other = (choose_by_halves(part, is_lowest=False, seed=_SEED) for part in (means[:count], means[count:]))
        return _paired([(1.0, own), (-1.0, other)], [*sweeps[0], *sweeps[1]])


def _means_of(rows: Sequence[Row], evidence: Evidence) -> list[Means] | None:
    """For each row the means of the prompts that all of them share; None if the raw rows are missing or too few."""
    found = [means for row in rows if (means := evidence.raw.means(row)) is not None]
    if len(found) < len(rows):
        return None
    shared = set.intersection(*map(set, found))
    return [{unit: means[unit] for unit in shared} for means in found] if len(shared) >= MIN_UNITS else None


def _paired(terms: list[tuple[float, Means]], rows: Sequence[Row]) -> Estimate:
    sources = dict.fromkeys(row.estimate.raw or row.estimate.source for row in rows)
    return estimate_from(contrast_of_choices(terms), ", ".join(sources))


def _widened(terms: list[tuple[float, Row]], num_choices: int) -> Estimate:
    found = combine([(weight, row.estimate) for weight, row in terms], files_of(row for _, row in terms))
    if found.low is None or found.high is None:
        return found
    own = Interval(mean=found.mean, low=found.low, high=found.high, n=found.n or 0)
    return estimate_from(widen_for_choice(own, num_choices), found.source)
