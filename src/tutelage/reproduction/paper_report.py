"""The report of a run compared to the paper: the nineteen claims with their verdicts, its figures, its Table 14."""

from __future__ import annotations

from pathlib import Path

from tutelage.report import write_report
from tutelage.report.assessment import Evidence, assess
from tutelage.report.content import Content
from tutelage.report.raw_rows import RawRows
from tutelage.report.run_folder import RunData
from tutelage.report.tables import result_table
from tutelage.reproduction.claims import CLAIMS
from tutelage.reproduction.figures import paper_figures
from tutelage.reproduction.figures.table14 import table_14


def write_paper_report(run_dir: Path, *, overwrite: bool = False) -> Path:
    """Like `tutelage.report.write_report`, with the paper's measurements for comparison."""
    return write_report(run_dir, draw=draw_paper, overwrite=overwrite)


def draw_paper(run: RunData) -> Content:
    """The result, every claim, and what this run has measured of the paper's figures and of its Table 14."""
    evidence = Evidence(measured=run.measured, raw=RawRows(run.path))
    return Content(
        result=result_table(run),
        claims=assess(CLAIMS, evidence),
        figures=list(paper_figures(evidence)),
        table_14=table_14(evidence.measured),
    )
