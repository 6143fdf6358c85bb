"""The measurements of a run as one table to query. Every figure, claim and result is a view of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tutelage.evaluation.records import Measurement, SizedArm
from tutelage.report.arms import in_order

Where = Mapping[str, str | int | float]
ANY, LARGEST, SMALLEST = "(any)", "(largest)", "(smallest)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number, its 95 % interval and count if available, and its source.

    `source` is `file` if the report computed it from that file, `file#/path` (a JSON pointer) if it was read there;
    `interval_source` likewise, "" if it is the same. `raw`: the file of the averaged rows, if another file contains
    their summary.
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


class Row(Measurement):
    """A measurement and its location: `entry` is a pointer into its file, "" if the report computed it."""

    entry: str = ""

    @property
    def estimate(self) -> Estimate:
        is_known = self.low is not None and self.high is not None
        return Estimate(
            mean=self.mean,
            low=self.low if is_known else None,
            high=self.high if is_known else None,
            n=self.n,
            source=f"{self.entry}/mean" if self.entry else self.source,
            interval_source=self.entry,
            raw=self.source if self.entry else "",
        )


class Measured:
    """The rows of one run, with its model sizes from small to large (empty if it has one size)."""

    def __init__(self, rows: Iterable[Row], sizes: Iterable[str]) -> None:
        self.rows = tuple(rows)
        self.sizes = tuple(sizes)

    def where(
        self,
        measure: str,
        condition: Where | None = None,
        *,
        arm: str = ANY,
        size: str = ANY,
        baseline: SizedArm | None = None,
    ) -> list[Row]:
        """The rows of `measure` that match all conditions, in file order.

        `size` and the size of `baseline` may be `LARGEST` or `SMALLEST`. A row that does not state a condition is not
        excluded by it.
        """
        size = self.resolved(size)
        other, other_size = (baseline.arm, self.resolved(baseline.size)) if baseline is not None else (ANY, ANY)
        wanted = (condition or {}).items()
        return [
            row
            for row in self.rows
            if row.measure == measure
            and arm in (ANY, row.arm)
            and size in (ANY, row.size)
            and other in (ANY, row.baseline)
            and other_size in (ANY, row.baseline_size)
            and all(row.condition.get(key, value) == value for key, value in wanted)
        ]

    def one(
        self,
        measure: str,
        condition: Where | None = None,
        *,
        arm: str = ANY,
        size: str = ANY,
        baseline: SizedArm | None = None,
    ) -> Row | None:
        """The first matching row."""
        return next(iter(self.where(measure, condition, arm=arm, size=size, baseline=baseline)), None)

    def by_arm(
        self, measure: str, condition: Where | None = None, *, size: str = ANY, baseline: SizedArm | None = None
    ) -> dict[str, Row]:
        """The first matching row of every arm, in the paper's order."""
        found: dict[str, Row] = {}
        for row in self.where(measure, condition, size=size, baseline=baseline):
            found.setdefault(row.arm, row)
        return {arm: found[arm] for arm in in_order(found)}

    def values(self, measure: str, key: str, condition: Where | None = None) -> list[str | int | float]:
        """The distinct values of `key` in the rows of `measure`, in file order."""
        rows = self.where(measure, condition)
        return list(dict.fromkeys(row.condition[key] for row in rows if key in row.condition))

    def resolved(self, size: str) -> str:
        """The name of a size."""
        if size not in (LARGEST, SMALLEST):
            return size
        return self.sizes[-1 if size == LARGEST else 0] if self.sizes else ""
