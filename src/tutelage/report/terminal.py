"""The result table as the terminal shows it at the end of a run."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from tutelage.report.arms import BASELINE, arm_of, in_order
from tutelage.report.measured import Estimate
from tutelage.report.notation import Form, duration, fixed, percent
from tutelage.report.results import result, win_rates
from tutelage.report.run_folder import RunData, is_number, read_run
from tutelage.report.tables import reward_model_shares


def terminal_table(run_dir: Path) -> RenderableType:
    """One row per arm (win rate against SFT with its interval, rating, KL, pretraining loss), and other key facts.

    Raises like `read_run`.
    """
    run = read_run(run_dir)
    lines = [Text(line, style="dim") for line in _lines(run)]
    table = _table(run)
    return Group(*([table] if table is not None else []), *lines)


def _table(run: RunData) -> RichTable | None:
    columns: list[tuple[str, dict[str, Estimate], Form]] = [
        ("win rate vs SFT", win_rates(run), percent),
        ("rating 1-7", result(run, "likert"), fixed(2)),
        ("KL to reference", result(run, "kl_to_reference"), fixed(1)),
        ("pretraining loss", result(run, "pretraining_loss"), fixed(3)),
    ]
    present = [column for column in columns if column[1]]
    if not present:
        return None
    table = RichTable(box=box.SIMPLE_HEAD, title=f"{escape(run.name)}", title_justify="left", pad_edge=False)
    table.add_column("policy")
    for title, _, _ in present:
        table.add_column(title, justify="right")
    for arm in in_order(arm for _, estimates, _ in present for arm in estimates):
        cells = [_cell(arm, title, estimates.get(arm), form) for title, estimates, form in present]
        table.add_row(escape(arm_of(arm).label), *cells)
    return table


def _cell(arm: str, title: str, estimate: Estimate | None, form: Form) -> str:
    if estimate is None:
        return "baseline" if arm == BASELINE and title.startswith("win") else "–"
    if estimate.low is None or estimate.high is None or not title.startswith("win"):
        return form(estimate.mean)
    return f"{form(estimate.mean)} [dim]\\[{100 * estimate.low:.1f}, {100 * estimate.high:.1f}][/dim]"


def _lines(run: RunData) -> list[str]:
    lines = []
    shares = reward_model_shares(run)
    if shares:
        lines.append(
            "reward model: " + " · ".join(f"{label.lower()} {percent(found.mean)}" for label, found in shares.items())
        )
    seconds = run.summary.get("wall_seconds")
    if isinstance(seconds, dict) and is_number(seconds.get("total")):
        lines.append(f"wall time {duration(seconds['total'])}")
    if run.summary.get("simulated_labelers"):
        lines.append("The labelers are simulated: a program judged, not people.")
    if not run.is_finished:
        lines.append("This run is not finished: it has no summary.json.")
    return lines
