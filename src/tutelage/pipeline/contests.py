"""Who is preferred to whom in a full run: every arm of every size against one baseline, and some against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tutelage.evaluation.preference import compare_with_baseline, rate_completions
from tutelage.pipeline import findings
from tutelage.pipeline.answers import BEST_OF_N
from tutelage.pipeline.findings import GPT, INSTRUCT, Findings, measured
from tutelage.pipeline.held_out import SETS
from tutelage.pipeline.judging import completions_by_arm, panels, prefer_in, rate_in
from tutelage.pipeline.sizes import FullRun
from tutelage.records import Completion, Prompt
from tutelage.statistics.win_rate import win_rate
from tutelage.store.jsonl import read_rows

Rows = list[dict[str, Any]]
Completions = Mapping[str, Sequence[Completion]]
Contest = tuple[str, str, str]  # an arm and another, each "arm@size", and what the other is called as a baseline


def baseline_of(run: FullRun) -> str:
    """SFT of the largest size, against which everybody is compared [4.1]."""
    return f"sft@{run.sizes[-1]}"


def contests(run: FullRun) -> list[Contest]:
    """The head-to-heads of section 4.1, and the arms that the paper does not have."""
    small, middle, large = run.sizes[0], run.reward_size, run.sizes[-1]
    found: list[Contest] = [(f"ppo_ptx@{small}", f"gpt@{large}", f"gpt-{large}")]
    found += [(f"ppo_ptx@{size}", f"gpt@{size}", f"gpt-{size}") for size in run.sizes]
    for size in dict.fromkeys((middle, large)):
        found += [(f"ppo_ptx@{size}", f"{other}@{middle}", other) for other in ("flan", "t0")]
    found += [(f"ppo_ptx@{middle}", f"{other}@{middle}", other) for other in ("dpo", BEST_OF_N)]
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
        rows = _against(run, baseline_of(run), _label(run), prompts, completions, panels(run)[:1], which)
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
    yield from _against(run, baseline_of(run), _label(run), prompts, completions, panels(run), purpose)
    for arm, other, label in contests(run):
        own = {arm: completions[arm], other: completions[other]}
        yield from _against(run, other, label, prompts, own, panels(run), purpose)


def _against(
    run: FullRun,
    baseline: str,
    label: str,
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
        rng=run.rng("comparisons", purpose, baseline, *completions),
    )
    return [{**_parted(row), "baseline": label} for row in rows]


def _label(run: FullRun) -> str:
    return baseline_of(run).replace("@", "-")


def _answers(run: FullRun, name: str) -> Iterator[dict[str, Any]]:
    for size in run.sizes:
        yield from (row for _, row in read_rows(run.view(size).steps / "answers" / f"{name}.jsonl"))


def _arm_and_size(row: Mapping[str, Any]) -> str:
    return f"{row['arm']}@{row['size']}"


def _parted(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with arm and size each under its own name."""
    arm, _, size = row["arm"].partition("@")
    return {**row, "arm": arm, "size": size}
