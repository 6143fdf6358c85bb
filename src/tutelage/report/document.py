"""The report: one self-contained HTML page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tutelage.errors import StorageError
from tutelage.evaluation.records import MEASUREMENTS
from tutelage.report.content import Content
from tutelage.report.figure_files import FIGURES, figure_files
from tutelage.report.figures import panels
from tutelage.report.figures.exhibit import Exhibit
from tutelage.report.finding import context, finding
from tutelage.report.markdown import MARK, render_markdown
from tutelage.report.notation import fixed, percent, readable, with_interval
from tutelage.report.results import result, win_rates_by_use_case
from tutelage.report.run_folder import SUMMARY, RunData, read_run
from tutelage.report.side_by_side import judged_prompts, stage_samples, use_cases
from tutelage.report.tables import (
    Table,
    config_table,
    facts,
    grouped_table,
    result_table,
    reward_model_shares,
    seconds_by_stage,
    summary_table,
)
from tutelage.report.training_section import training_exhibits
from tutelage.store.atomic import atomic_file

PAGE, MARKDOWN = "report.html", "report.md"


def draw_result(run: RunData) -> Content:
    """Only the result of a run, without the paper's claims and figures."""
    return Content(result=result_table(run))


def write_report(run_dir: Path, *, draw: Callable[[RunData], Content] = draw_result, overwrite: bool = False) -> Path:
    """Write `report.html` to the run folder and return its path: self-contained, deterministic.

    `draw` determines what the page shows. Also writes `report.md` (for a pull request) and the figures as
    `figures/*.svg` and `*.png`. Raises `DataError` if `run_dir` is not a run folder, `RecordError` if its files are
    corrupted, `StorageError` if writing fails, or if a file of that name was not written by a report and `overwrite` is
    False.
    """
    run = read_run(run_dir)
    if not overwrite:
        _require_own(run.path)
    content = draw(run)
    path = run.path / PAGE
    _write(path, render_report(run, content).encode("utf-8", errors="replace"))
    if not run.is_single_stage:
        _write(run.path / MARKDOWN, render_markdown(run, content).encode("utf-8", errors="replace"))
        for name, drawn in figure_files(content.figures):
            (run.path / FIGURES).mkdir(exist_ok=True)
            _write(run.path / FIGURES / name, drawn)
    return path


def _require_own(folder: Path) -> None:
    """Refuse to replace what no report wrote. Figures have no mark: they are ours if the page is."""
    page = folder / PAGE
    names = [
        name
        for name in (PAGE, MARKDOWN)
        if (folder / name).exists() and MARK not in (folder / name).read_text(encoding="utf-8", errors="replace")
    ]
    if not page.exists() and (folder / FIGURES).exists():
        names.append(FIGURES)
    if names:
        raise StorageError(
            f"{folder} contains {', '.join(names)}, not written by `tutelage report` of this version. Nothing was "
            "changed. Move it away, or replace it with --overwrite."
        )


def _write(path: Path, content: bytes) -> None:
    with atomic_file(path) as handle:
        handle.write(content)


def render_report(run: RunData, content: Content) -> str:
    """The page as text."""
    prompts = judged_prompts(run)
    return (
        _environment()
        .get_template("report.html")
        .render(
            run=run,
            mark=MARK,
            finding=finding(run),
            context=context(run),
            facts=facts(run),
            warnings=run.warnings,
            unfinished=[stage.folder or stage.name for stage in run.stages if not stage.is_finished],
            result_table=content.result,
            result_note=content.note,
            claims=content.claims,
            figures=content.figures,
            table_14=content.table_14,
            judgements=list(_judgement_exhibits(run)),
            use_case_table=_use_case_table(run),
            training=list(training_exhibits(run)),
            cost=list(_cost_exhibits(run)),
            summary_table=summary_table(run),
            prompts=prompts,
            num_prompts=len({completion.prompt_id for completion in run.result_completions}),
            use_cases=use_cases(prompts),
            samples={stage.folder or stage.name: stage_samples(stage) for stage in run.stages} if not prompts else {},
            configs={stage.folder or stage.name: config_table(stage.config) for stage in run.stages if stage.config},
            style=_part("report.css"),
            script=_part("report.js"),
            script_hash=_script_hash(),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tutelage.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["readable"] = readable
    environment.filters["interval"] = with_interval
    environment.filters["slug"] = lambda text: text.replace(",", "").replace(" ", "-")
    return environment


@cache
def _part(name: str) -> Markup:
    return Markup(files("tutelage.report").joinpath("templates", name).read_text(encoding="utf-8"))


def _script_hash() -> str:
    """The hash with which the page's policy allows this script and no other."""
    return base64.b64encode(hashlib.sha256(_part("report.js").encode()).digest()).decode()


def _use_case_table(run: RunData) -> Table | None:
    groups = win_rates_by_use_case(run)
    return grouped_table(groups, percent, head="Use case") if groups else None


def _judgement_exhibits(run: RunData) -> Iterator[Exhibit]:
    shares = reward_model_shares(run)
    if shares:
        yield Exhibit(
            panels=(panels.reward_model_figure(shares),),
            title="The reward model compared to the labelers",
            caption="How often the reward model agrees with the labeler on a comparison, and how often two labelers "
            "agree.",
            source=MEASUREMENTS,
        )


def _cost_exhibits(run: RunData) -> Iterator[tuple[str, Exhibit]]:
    losses = result(run, "pretraining_loss")
    if losses:
        title = "Nats per token on held-out pretraining text"
        yield (
            "Alignment tax",
            Exhibit(
                panels=(panels.arm_dots("pretraining-loss", title, losses, fixed(3)),),
                caption="What fine-tuning costs on the text that the base model was trained on; lower is better.",
                source=MEASUREMENTS,
            ),
        )
    seconds = seconds_by_stage(run)
    if len(seconds) > 1:
        by_stage = {stage: estimate.mean for stage, estimate in seconds.items()}
        yield (
            "Time",
            Exhibit(
                panels=(panels.time_figure(by_stage),),
                caption="Wall time by stage.",
                source=f"{SUMMARY} → wall_seconds",
            ),
        )
