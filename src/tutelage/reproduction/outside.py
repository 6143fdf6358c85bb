"""Outside of what fine-tuning has seen: a use case and a language that were taken out of everything (section 4.3)."""

from __future__ import annotations

from collections.abc import Sequence

from tutelage.evaluation.records import HELDOUT, SizedArm, TaskRow
from tutelage.records import Completion, Prompt
from tutelage.reproduction.experiment import FIGURE_1, Reproduction
from tutelage.reproduction.findings import Findings
from tutelage.reproduction.inputs import OUTSIDE_SETS, outside_prompts
from tutelage.reproduction.simulated import VillageJudges
from tutelage.statistics.win_rate import win_rate
from tutelage.workflow.answers import complete_prompts, completion_rows

FILE = "outside"


def measure_outside(run: Reproduction) -> None:
    """Win rates of the arms of Figure 1 at every size against the run's baseline, by held-out labelers."""
    policies = {f"{view.step(arm)}": view.policy_of(arm) for view in run.views for arm in FIGURE_1}
    run.measure("generalisation", _measure_outside, needs={"held_out": run.held_out, **policies})


def _measure_outside(run: Reproduction) -> Findings:
    found = Findings()
    judges = run.judges("outside", HELDOUT)
    for which in OUTSIDE_SETS:
        prompts = outside_prompts(run, which)
        completions = {
            SizedArm(arm, view.size): complete_prompts(view, view.arm(arm, prefix=view.prefix), prompts)
            for view in run.views
            for arm in FIGURE_1
        }
        for arm, several in completions.items():
            found.rows.setdefault(FILE, []).extend(completion_rows(prompts, arm, several, which))
            if arm != run.baseline:
                rows = outcome_rows(judges, prompts, several, completions[run.baseline], measure="generalisation")
                about = {"set": which, "labelers": HELDOUT}
                found.add("generalisation", [row.about(arm, about) for row in rows], win_rate)
    return found


def outcome_rows(
    judges: VillageJudges,
    prompts: Sequence[Prompt],
    completions: Sequence[Sequence[Completion]],
    baseline: Sequence[Sequence[Completion]],
    *,
    measure: str,
) -> list[TaskRow]:
    """Outcomes of an arm's completions against the baseline's, as rows of another measure than the run's win rate."""
    pairs = [
        (prompt, own, other)
        for prompt, several, others in zip(prompts, completions, baseline, strict=True)
        for own, other in zip(several, others, strict=False)
    ]
    return [
        TaskRow(
            measure=measure,
            unit=found.prompt.id,
            value=found.outcome,
            completion_id=found.first.id,
            baseline_id=found.second.id,
            labeler_id=found.labeler_id,
        )
        for found in judges.compare(pairs)
    ]
