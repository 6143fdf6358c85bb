"""Shared by the page and report.md: the result, claims with their verdicts, figures, every evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field

from tutelage.report.assessment import Assessment
from tutelage.report.figures.exhibit import Exhibit
from tutelage.report.tables import GroupedTable, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Computed once from a run. `claims` includes unmeasured ones; `table_14`: every automatic evaluation.

    `note`: what a reader must know about the result: who judged, and how reliable they are.
    """

    result: Table | None
    note: str = ""
    claims: list[Assessment] = field(default_factory=list)
    figures: list[Exhibit] = field(default_factory=list)
    table_14: GroupedTable | None = None
