"""The result of a run: the contents of its table, each a view of the measurements at the largest size."""

from __future__ import annotations

from collections.abc import Mapping

from tutelage.evaluation.measuring import win_rates as measure_win_rates
from tutelage.evaluation.records import HELDOUT, INSTRUCT, EvaluatedComparison, SizedArm
from tutelage.report.arms import BASELINE
from tutelage.report.measured import LARGEST, Estimate, Measured, Row
from tutelage.report.run_folder import RunData

# The SFT policy of the largest size, against which all policies are compared [4.1].
AGAINST = SizedArm(BASELINE, LARGEST)


def win_rates(run: RunData) -> dict[str, Estimate]:
    """Win rate against SFT by arm, according to the labelers who count."""
    condition = judged(run.measured, "win_rate")
    return _estimates(run.measured.by_arm("win_rate", condition, size=LARGEST, baseline=AGAINST))


def result(run: RunData, measure: str) -> dict[str, Estimate]:
    """A measure by arm (a mean rating, a distance), according to the labelers who count, if it has any."""
    return _estimates(run.measured.by_arm(measure, judged(run.measured, measure), size=LARGEST))


def judged(measured: Measured, measure: str) -> dict[str, str]:
    """The condition of the result: labelers who made no training data, else those who judged; instruction prompts."""
    groups = [str(group) for group in measured.values(measure, "labelers")]
    labelers = {"labelers": HELDOUT if HELDOUT in groups else groups[0]} if groups else {}
    return {"distribution": INSTRUCT, **labelers}


def win_rates_by_use_case(run: RunData) -> dict[str, dict[str, Estimate]]:
    """Win rate by arm for each use case, over all labelers; the use case with the most prompts first."""
    by_use_case: dict[str, list[EvaluatedComparison]] = {}
    for row in run.result_comparisons:
        by_use_case.setdefault(row.use_case, []).append(row.model_copy(update={"labeler_group": ""}))
    sizes = {use_case: len({row.prompt_id for row in rows}) for use_case, rows in by_use_case.items() if use_case}
    found = {}
    for use_case in sorted(sizes, key=lambda use_case: (-sizes[use_case], use_case)):
        rates = [Row(**rate.model_dump()) for rate in measure_win_rates(by_use_case[use_case])]
        found[use_case] = _estimates(Measured(rates, ()).by_arm("win_rate"))
    return found


def _estimates(rows: Mapping[str, Row]) -> dict[str, Estimate]:
    return {arm: row.estimate for arm, row in rows.items()}
