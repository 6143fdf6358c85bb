"""What a run measured, as one table that can be asked. Every figure, every claim and every result is a view of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tutelage.evaluation.records import Measurement, SizedArm
from tutelage.report.arms import in_order

Where = Mapping[str, str | int | float]
ANY, LARGEST, SMALLEST = "(any)", "(largest)", "(smallest)"


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


class Row(Measurement):
    """A measurement and where it stands: `entry` is a pointer into its file, "" where the report computed it."""

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
    """The rows of one run, with its model sizes from small to large (none where it has one size)."""

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
        """The rows of `measure` that meet everything asked, in the order of the file.

        `size` and the size of `baseline` may be `LARGEST` or `SMALLEST`. A row that does not state a condition is not
        left out for it.
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
        """The first such row."""
        return next(iter(self.where(measure, condition, arm=arm, size=size, baseline=baseline)), None)

    def by_arm(
        self, measure: str, condition: Where | None = None, *, size: str = ANY, baseline: SizedArm | None = None
    ) -> dict[str, Row]:
        """The first such row of every arm, in the paper's order."""
        found: dict[str, Row] = {}
        for row in self.where(measure, condition, size=size, baseline=baseline):
            found.setdefault(row.arm, row)
        return {arm: found[arm] for arm in in_order(found)}

    def values(self, measure: str, key: str, condition: Where | None = None) -> list[str | int | float]:
        """What `key` was in the rows of `measure`, each once, in the order of the file."""
        rows = self.where(measure, condition)
        return list(dict.fromkeys(row.condition[key] for row in rows if key in row.condition))

    def resolved(self, size: str) -> str:
        """A size by its name."""
        if size not in (LARGEST, SMALLEST):
            return size
        return self.sizes[-1 if size == LARGEST else 0] if self.sizes else ""
