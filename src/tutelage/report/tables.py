"""The tables of the page: every number in a figure, with its location in the run's files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tutelage.evaluation.records import HELDOUT, TRAINING
from tutelage.report.arms import BASELINE, arm_of, in_order
from tutelage.report.measured import Estimate
from tutelage.report.notation import (
    MISSING,
    Form,
    Number,
    count_of,
    duration,
    fixed,
    gibibytes,
    percent,
    readable,
    significant,
    with_interval,
)
from tutelage.report.results import result, win_rates
from tutelage.report.run_folder import SUMMARY, RunData, is_number

Cell = str | Markup | Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Column heads and rows of equal length; the first cell of a row names it."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedTable:
    """Columns in groups (a policy over its model sizes), rows in blocks (a dataset over its prompts or metrics)."""

    groups: tuple[tuple[str, tuple[str, ...]], ...]
    blocks: tuple[tuple[str, tuple[tuple[str, tuple[Cell, ...]], ...]], ...]


def result_table(run: RunData) -> Table | None:
    """One row per arm: win rate against SFT, mean rating, KL to the reference, pretraining loss; no empty columns."""
    columns: list[tuple[str, Mapping[str, Estimate], Form]] = [
        ("Win rate vs SFT", win_rates(run), percent),
        ("Mean rating", result(run, "likert"), fixed(2)),
        ("KL to reference, nats", result(run, "kl_to_reference"), fixed(2)),
        ("Pretraining loss, nats/token", result(run, "pretraining_loss"), fixed(3)),
    ]
    present = [column for column in columns if column[1]]
    arms = in_order(arm for _, estimates, _ in present for arm in estimates)
    if not arms:
        return None
    counts = {arm: count_of(estimate) for arm, estimate in columns[0][1].items() if estimate.n is not None}
    rows = []
    for arm in arms:
        cells = [_cell(arm, title, estimates.get(arm), form) for title, estimates, form in present]
        rows.append((arm_of(arm).label, *cells, *([counts.get(arm, MISSING)] if counts else [])))
    heads = [title for title, _, _ in present] + (["Comparisons"] if counts else [])
    return Table(columns=("Policy", *heads), rows=tuple(rows))


def _cell(arm: str, title: str, estimate: Estimate | None, form: Form) -> Cell:
    if estimate is None:
        return "baseline" if arm == BASELINE and title.startswith("Win rate") else MISSING
    return with_interval(estimate, form)


def grouped_table(groups: Mapping[str, Mapping[str, Estimate]], form: Form, *, head: str) -> Table:
    """One row per group, one column per arm."""
    arms = in_order(arm for estimates in groups.values() for arm in estimates)
    rows = tuple(
        (readable(group), *(with_interval(estimates[arm], form) if arm in estimates else MISSING for arm in arms))
        for group, estimates in groups.items()
    )
    return Table(columns=(head, *(arm_of(arm).label for arm in arms)), rows=rows)


_REWARD_MODEL = {
    "Training labelers": ("reward_model_accuracy", TRAINING),
    "Held-out labelers": ("reward_model_accuracy", HELDOUT),
    "Labelers with each other": ("labeler_agreement", "all"),
}


def reward_model_shares(run: RunData) -> dict[str, Estimate]:
    """Accuracy of the reward model on both labeler groups, and the labelers' own agreement."""
    found = {
        label: [row for row in run.measured.where(measure) if row.condition == {"labelers": labelers}]
        for label, (measure, labelers) in _REWARD_MODEL.items()
    }
    return {label: rows[0].estimate for label, rows in found.items() if rows}


def seconds_by_stage(run: RunData) -> dict[str, Estimate]:
    """Wall time of each stage, without the total."""
    seconds = run.summary.get("wall_seconds")
    if isinstance(seconds, dict):
        found = {stage: (value, f"{SUMMARY}#/wall_seconds/{stage}") for stage, value in seconds.items()}
    else:
        found = {
            stage.name: (stage.summary.get("seconds"), f"{stage.source(SUMMARY)}#/seconds") for stage in run.stages
        }
    return {
        stage: Estimate(mean=float(value), source=source)
        for stage, (value, source) in found.items()
        if stage != "total" and is_number(value)
    }


def facts(run: RunData) -> list[tuple[str, Cell]]:
    """Facts of the run: seed, time, memory, versions, each with its name."""
    return [*_numeric_facts(run), *_versions(run)]


def _numeric_facts(run: RunData) -> Iterator[tuple[str, Cell]]:
    summary = run.summary
    total = summary["wall_seconds"].get("total") if isinstance(summary.get("wall_seconds"), dict) else None
    entries: tuple[tuple[str, Any, Form, str], ...] = (
        ("Seed", summary.get("seed"), str, "seed"),
        ("Wall time", total, duration, "wall_seconds/total"),
        ("Wall time", summary.get("seconds"), duration, "seconds"),
        ("Peak memory", summary.get("peak_memory_gib"), gibibytes, "peak_memory_gib"),
    )
    for label, value, form, pointer in entries:
        if is_number(value):
            yield label, Number(value=value, form=form, source=f"{SUMMARY}#/{pointer}")


_VERSION_NAMES: dict[str, str] = {
    "python": "Python",
    "platform": "Platform",
    "cpus": "CPU cores",
    "torch": "PyTorch",
    "git_commit": "Commit",
}


def _versions(run: RunData) -> Iterator[tuple[str, Cell]]:
    versions = run.summary.get("versions")
    for name, version in (versions if isinstance(versions, dict) else {}).items():
        shown = str(version)
        if name == "git_commit":
            shown = shown[:12] + ("+changes" if shown.endswith("+changes") else "")
        yield _VERSION_NAMES.get(str(name), str(name)), shown


def summary_table(run: RunData) -> Table | None:
    """Every plain number of a single stage's summary, by name."""
    stage = run.stages[0] if run.is_single_stage else None
    if stage is None:
        return None
    rows = tuple(_numbers(stage.summary, ""))
    return Table(columns=("Quantity", "Value"), rows=rows) if rows else None


def _numbers(summary: Mapping[str, Any], pointer: str) -> Iterator[tuple[Cell, ...]]:
    for name, value in summary.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{pointer}/{_escaped(name)}") if name != "versions" else ()
        elif is_number(value) and (pointer or name not in ("seed", "seconds")):
            path = f"{pointer}/{_escaped(name)}"
            yield (
                readable(path.strip("/").replace("~1", "/")),
                Number(value=value, form=significant, source=f"{SUMMARY}#{path}"),
            )


def _escaped(key: str) -> str:
    """A key as a part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def config_table(config: Mapping[str, Any]) -> Table:
    """A configuration as it was resolved, nested keys joined by dots."""
    return Table(columns=("Field", "Value"), rows=tuple(_flat(config, "")))


def _flat(config: Mapping[str, Any], prefix: str) -> Iterator[tuple[Cell, ...]]:
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
