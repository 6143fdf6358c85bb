"""Who is preferred to whom in a full run: every arm of every size against one baseline, and some against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tutelage.evaluation.preference import compare_with_baseline, rate_completions
from tutelage.records import Completion, Prompt
from tutelage.reproduction import findings
from tutelage.reproduction.answers import BEST_OF_N
from tutelage.reproduction.findings import GPT, INSTRUCT, Findings, measured
from tutelage.reproduction.held_out import SETS
from tutelage.reproduction.judging import completions_by_arm, panels, prefer_in, rate_in
from tutelage.reproduction.sizes import FullRun
from tutelage.statistics.win_rate import win_rate
from tutelage.store.jsonl import read_rows

Rows = list[dict[str, Any]]


class SizedArm(NamedTuple):
    """An arm at a model size."""

    arm: str
    size: str

    @property
    def seed(self) -> str:
        """What it adds to a seed."""
        return f"{self.arm}@{self.size}"


Completions = Mapping[SizedArm, Sequence[Completion]]
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
    found = Findings(rows={"comparisons": [], "ratings": []})
    for distribution in (INSTRUCT, GPT):
        prompts, completions = completions_by_arm(
            (row for row in _answers(run, "completions") if row["distribution"] == distribution), _arm_and_size
        )
        found.rows["comparisons"] += [
            {**row, "distribution": distribution} for row in _comparisons(run, prompts, completions, distribution)
        ]
        rated = rate_completions(
            prompts, completions, panel=panels(run)[0], rate=rate_in(run), rng=run.rng("ratings", distribution)
        )
        found.rows["ratings"] += [{**_parted(row), "distribution": distribution} for row in rated]
    found.measurements.extend(findings.win_rates(found.rows["comparisons"]))
    found.measurements.extend(findings.ratings(found.rows["ratings"]))
    return found.write(run.steps / "judgements")


def judge_outside(run: FullRun) -> dict[str, int]:
    """Win rates against the same baseline on prompts outside fine-tuning, by held-out labelers."""
    found = Findings(rows={"generalisation": []})
    for which in SETS:
        prompts, completions = completions_by_arm(
            (row for row in _answers(run, "outside") if row["set"] == which), _arm_and_size
        )
        rows = _against(run, baseline_of(run), prompts, completions, panels(run)[:1], which)
        found.rows["generalisation"] += [{**row, "set": which} for row in rows]
    groups: dict[tuple[str, str, str], Rows] = {}
    for row in found.rows["generalisation"]:
        groups.setdefault((row["set"], row["arm"], row["size"]), []).append(row)
    for (which, arm, size), own in groups.items():
        interval = win_rate([row["outcome"] for row in own], [row["prompt_id"] for row in own])
        condition: findings.Condition = {"set": which, "labelers": "heldout"}
        found.measurements.append(
            measured(
                "generalisation", interval, condition, arm=arm, size=size, source="evaluation/generalisation.jsonl"
            )
        )
    return found.write(run.steps / "generalisation")


def _comparisons(run: FullRun, prompts: Sequence[Prompt], completions: Completions, purpose: str) -> Iterator[Any]:
    yield from _against(run, baseline_of(run), prompts, completions, panels(run), purpose)
    for arm, other in contests(run):
        own = {arm: completions[arm], other: completions[other]}
        yield from _against(run, other, prompts, own, panels(run), purpose)


def _against(
    run: FullRun,
    baseline: SizedArm,
    prompts: Sequence[Prompt],
    completions: Completions,
    judges: Sequence[Any],
    purpose: str,
) -> Rows:
    rows = compare_with_baseline(
        prompts,
        completions,
        baseline=baseline,
        panels=judges,
        prefer=prefer_in(run),
        rng=run.rng("comparisons", purpose, baseline.seed, *(own.seed for own in completions)),
    )
    return [{**_parted(row), "baseline": baseline.arm, "baseline_size": baseline.size} for row in rows]


def _answers(run: FullRun, name: str) -> Iterator[dict[str, Any]]:
    for size in run.sizes:
        yield from (row for _, row in read_rows(run.view(size).steps / "answers" / f"{name}.jsonl"))


def _arm_and_size(row: Mapping[str, Any]) -> SizedArm:
    return SizedArm(row["arm"], row["size"])


def _parted(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with arm and size each under its own name."""
    arm, size = row["arm"]
    return {**row, "arm": arm, "size": size}
