"""What the page and report.md have in common: the result, the claims with their verdicts, the paper's figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from tutelage.report.claims import CLAIMS, Assessment, Evidence, assess
from tutelage.report.figures import Exhibit, paper_figures
from tutelage.report.measured import read_measured
from tutelage.report.raw_rows import RawRows
from tutelage.report.run_folder import Run
from tutelage.report.table14 import GroupedTable, table_14
from tutelage.report.tables import Table, result_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Drawn once from a run. `claims` holds the unmeasured ones too."""

    result: Table | None
    claims: list[Assessment]
    figures: list[Exhibit]
    table_14: GroupedTable | None

    @classmethod
    def of(cls, run: Run) -> Self:
        evidence = Evidence(measured=read_measured(run), raw=RawRows(run.path))
        return cls(
            result=result_table(run),
            claims=assess(CLAIMS, evidence),
            figures=list(paper_figures(evidence)),
            table_14=table_14(evidence.measured),
        )
