"""Who is preferred to whom in a full run: every arm of every size against one baseline, and some against each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tutelage.evaluation.measuring import mean_ratings, win_rates
from tutelage.evaluation.preference import Completions, LabelerPanel, compare_with_baseline, rate_completions
from tutelage.evaluation.records import GPT, INSTRUCT, EvaluatedComparison, EvaluatedCompletion, SizedArm, TaskRow
from tutelage.records import Prompt
from tutelage.reproduction.answers import BEST_OF_N
from tutelage.reproduction.findings import Findings
from tutelage.reproduction.held_out import SETS
from tutelage.reproduction.judging import completions_by_arm, panels, prefer_in, rate_in
from tutelage.reproduction.sizes import FullRun
from tutelage.statistics.win_rate import win_rate
from tutelage.store.jsonl import read_records

Contest = tuple[SizedArm, SizedArm]


def baseline_of(run: FullRun) -> SizedArm:
    """SFT of the largest size, against which everybody is compared [4.1]."""
    return SizedArm("sft", run.sizes[-1])


def contests(run: FullRun) -> list[Contest]:
    """The head-to-heads of section 4.1, and the arms that the paper does not have; each arm with its baseline."""
    small, middle, large = run.sizes[0], run.reward_size, run.sizes[-1]
    found = [(SizedArm("ppo_ptx", small), SizedArm("gpt", large))]
    found += [(SizedArm("ppo_ptx", size), SizedArm("gpt", size)) for size in run.sizes]
    for size in dict.fromkeys((middle, large)):
        found += [(SizedArm("ppo_ptx", size), SizedArm(other, middle)) for other in ("flan", "t0")]
    found += [(SizedArm("ppo_ptx", middle), SizedArm(other, middle)) for other in ("dpo", BEST_OF_N)]
    return list(dict.fromkeys(found))


def judge_everybody(run: FullRun) -> dict[str, int]:
    """Comparisons by held-out and training labelers, and ratings by held-out ones, on both distributions."""
    comparisons, ratings = [], []
    for distribution in (INSTRUCT, GPT):
        prompts, completions = completions_by_arm(_answers(run, "completions", distribution))
        comparisons += list(_comparisons(run, prompts, completions, distribution))
        ratings += rate_completions(
            prompts,
            completions,
            panel=panels(run)[0],
            rate=rate_in(run),
            rng=run.rng("ratings", distribution),
            distribution=distribution,
        )
    found = Findings(
        measurements=[*win_rates(comparisons), *mean_ratings(ratings)],
        rows={"comparisons": list(comparisons), "ratings": list(ratings)},
    )
    return found.write(run.steps / "judgements")


def judge_outside(run: FullRun) -> dict[str, int]:
    """Win rates against the same baseline on prompts outside fine-tuning, by held-out labelers."""
    found = Findings()
    for which in SETS:
        prompts, completions = completions_by_arm(_answers(run, "outside", which))
        rows = _against(run, baseline_of(run), prompts, completions, panels(run)[:1], which)
        outcomes = [outcome_row("generalisation", row) for row in rows]
        about = {"set": which, "labelers": panels(run)[0].group}
        found.add("generalisation", [row.about(SizedArm(row.arm, row.size), about) for row in outcomes], win_rate)
    return found.write(run.steps / "generalisation")


def outcome_row(measure: str, row: EvaluatedComparison) -> TaskRow:
    """A comparison as a row of another measure than the win rate of the run's result."""
    return TaskRow(
        measure=measure,
        unit=row.prompt_id,
        arm=row.arm,
        size=row.size,
        value=row.outcome,
        completion_id=row.completion_id,
        baseline_id=row.baseline_id,
        labeler_id=row.labeler_id,
    )


def _comparisons(
    run: FullRun, prompts: Sequence[Prompt], completions: Completions, distribution: str
) -> Iterator[EvaluatedComparison]:
    yield from _against(run, baseline_of(run), prompts, completions, panels(run), distribution)
    for arm, other in contests(run):
        own = {arm: completions[arm], other: completions[other]}
        yield from _against(run, other, prompts, own, panels(run), distribution)


def _against(
    run: FullRun,
    baseline: SizedArm,
    prompts: Sequence[Prompt],
    completions: Completions,
    judges: Sequence[LabelerPanel],
    distribution: str,
) -> list[EvaluatedComparison]:
    compared = [name for arm in (baseline, *completions) for name in arm]
    return compare_with_baseline(
        prompts,
        completions,
        baseline=baseline,
        panels=judges,
        prefer=prefer_in(run),
        rng=run.rng("comparisons", distribution, *compared),
        distribution=distribution,
    )


def _answers(run: FullRun, name: str, distribution: str) -> Iterator[EvaluatedCompletion]:
    for size in run.sizes:
        rows = read_records(run.view(size).steps / "answers" / f"{name}.jsonl", EvaluatedCompletion)
        yield from (row for row in rows if row.distribution == distribution)
