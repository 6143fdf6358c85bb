"""The results of a run, in one file and one table: win rates, who judged, and response lengths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from tutelage.evaluation.records import Measurement
from tutelage.report.arms import arm_of, in_order
from tutelage.report.content import Content
from tutelage.report.notation import MISSING, fixed, percent
from tutelage.report.run_folder import RunData
from tutelage.report.tables import Table
from tutelage.store.atomic import atomic_file
from tutelage.store.jsonl import read_records
from tutelage.store.runs import versions
from tutelage.workflow.config import BASELINE
from tutelage.workflow.experiment import Experiment

# The columns of the table: the measure, its heading, its number format, and whether its interval is shown.
_COLUMNS = (
    ("win_rate", "Win rate vs SFT", percent, True),
    ("win_rate_length_controlled", "At equal lengths", percent, True),
    ("response_tokens", "Tokens", fixed(1), False),
    ("kl_to_reference", "KL to reference", fixed(2), True),
    ("pretraining_loss", "Text loss", fixed(3), False),
)
_EQUAL_LENGTHS = (
    "At equal lengths: the win rate that a logistic regression on the difference in length predicts for two responses "
    "of the same length (Dubois et al. 2024)."
)
WIDE = 100  # characters that the table needs for one line per arm
Numbers = dict[str, dict[str, Any]]


def write_summary(run: Experiment) -> dict[str, Any]:
    """Write summary.json of a finished run; returns its content."""
    found = list(read_records(run.evaluation("measurements"), Measurement))
    groups = list(dict.fromkeys(str(row.condition["labelers"]) for row in found if row.measure == "win_rate"))
    seconds = run.steps.seconds
    by_measure = {name: _by_arm(found, name, groups[0] if groups else "") for name, *_ in _COLUMNS}
    summary = {
        "size": "run",
        "seed": run.seed,
        "simulated_labelers": run.world.is_simulated,
        "judged_by": groups[0] if groups else "nobody",
        "win_rate_vs_sft": by_measure.pop("win_rate"),
        "win_rate_vs_sft_length_controlled": by_measure.pop("win_rate_length_controlled"),
        **by_measure,
        **({"judge": _judge(run)} if run.has_judge_model else {}),
        "ended_share": run.result("answers"),
        "num_prompts": run.result("prompts"),
        "wall_seconds": {**seconds, "total": round(sum(seconds.values()), 2)},
        "peak_memory_gib": run.steps.peak_memory_gib,
        "versions": versions(),
    }
    content = json.dumps(summary, indent=2, ensure_ascii=False).encode()
    with atomic_file(run.out / "summary.json") as handle:
        handle.write(content)
    return summary


def _by_arm(found: list[Measurement], measure: str, group: str) -> Numbers:
    return {
        row.arm: {"mean": row.mean, "low": row.low, "high": row.high, "n": row.n}
        for row in found
        if row.measure == measure and row.condition.get("labelers", group) == group
    }


def _judge(run: Experiment) -> dict[str, Any]:
    """How often the judging reward model agrees with held-out rankings."""
    stage = json.loads((run.out / "judge_model" / "summary.json").read_bytes())
    names = {"mean": "validation_accuracy", "low": "validation_accuracy_low", "high": "validation_accuracy_high"}
    accuracy = {key: stage[name] for key, name in names.items()}
    return {"accuracy": accuracy, "num_rankings": stage["num_rankings"], "num_held_out": stage["num_validation"]}


def is_of_workflow(folder: Path) -> bool:
    """Whether `tutelage run` made this folder, of any data, and not `tutelage quickstart`."""
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    return isinstance(config, dict) and "arms" in config


def draw_run(run: RunData) -> Content:
    """The report page of a run: its result table."""
    note = judged_by(run.summary)
    if run.summary.get("win_rate_vs_sft_length_controlled"):
        note += f" {_EQUAL_LENGTHS}"
    return Content(result=run_table(run.summary), note=note)


def run_table(summary: dict[str, Any]) -> Table | None:
    """One row per arm, in the paper's order; measures without any value have no column."""
    keys = ("win_rate_vs_sft", "win_rate_vs_sft_length_controlled", *(name for name, *_ in _COLUMNS[2:]))
    columns = [
        (head, summary[key], form, has_interval)
        for key, (_, head, form, has_interval) in zip(keys, _COLUMNS, strict=True)
        if summary.get(key)
    ]
    arms = in_order(arm for _, numbers, *_ in columns for arm in numbers)
    rows = tuple(
        (arm_of(arm).label, *(_cell(arm, head, numbers.get(arm), form, ci) for head, numbers, form, ci in columns))
        for arm in arms
    )
    return Table(columns=("Policy", *(head for head, *_ in columns)), rows=rows) if rows else None


def print_result(console: Console, summary: dict[str, Any]) -> None:
    """The table on the terminal, and who judged."""
    table = run_table(summary)
    if table is not None:
        shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
        for place, head in enumerate(table.columns):
            shown.add_column(head, justify="right" if place else "left")
        for row in table.rows:
            # On a narrow terminal an interval has its own line.
            cells = [str(cell).replace(" [", "\n[") if console.width < WIDE else str(cell) for cell in row]
            shown.add_row(*map(escape, cells))
        console.print(shown)
    console.print(judged_by(summary), highlight=False)


def judged_by(summary: dict[str, Any]) -> str:
    """Who judged, and how reliably."""
    if "judge" not in summary:
        return f"Judged by: {summary['judged_by']}."
    found, accuracy = summary["judge"], summary["judge"]["accuracy"]
    return (
        f"Judged by a reward model trained on {found['num_rankings']} rankings that PPO's reward model has not seen. "
        f"On {found['num_held_out']} held-out rankings, it agrees with the labelers on "
        f"{_cell('', '', accuracy, percent, True)} of comparisons."
    )


def _cell(arm: str, head: str, number: dict[str, Any] | None, form: Any, has_interval: bool) -> str:
    if number is None:
        return "baseline" if arm == BASELINE and head == _COLUMNS[0][1] else MISSING
    if not has_interval or number["low"] is None:
        return str(form(number["mean"]))
    # The unit once, and no line break within the brackets.
    low, high = (str(form(number[end])).removesuffix("\u202f%") for end in ("low", "high"))
    return f"{form(number['mean'])} [{low},\u00a0{high}]"
