"""The report: one page of HTML that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tutelage.report import figures
from tutelage.report.claims import claims
from tutelage.report.curves import curve_groups, first_panels, further_panels, score_against_kl
from tutelage.report.figures import Panel
from tutelage.report.finding import context, finding
from tutelage.report.notation import fixed, percent, readable
from tutelage.report.results import (
    disagreements,
    flags,
    likert,
    read_estimates,
    win_rates,
    win_rates_by_group,
    win_rates_by_use_case,
)
from tutelage.report.run_folder import COMPARISONS, RATINGS, SUMMARY, Run, read_run
from tutelage.report.side_by_side import judged_prompts, stage_samples, use_cases
from tutelage.report.tables import (
    Table,
    config_table,
    facts,
    flag_table,
    grouped_table,
    result_table,
    reward_model_shares,
    seconds_by_stage,
    summary_table,
)
from tutelage.store.atomic import atomic_file

# Of the paper's flags, those of its Figure 4.
_DRAWN_FLAGS = ("fails_instruction", "satisfies_constraint", "hallucination", "inappropriate_for_customer_assistant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """Panels with one caption; `further`: panels that wait behind a click; `source`: the files drawn from."""

    panels: tuple[Panel, ...]
    caption: str
    source: str
    further: tuple[Panel, ...] = ()
    table: Table | None = None


def write_report(run_dir: Path) -> Path:
    """Write `report.html` into the run folder and return its path: self-contained, the same for the same files.

    Raises `DataError` where `run_dir` is no run folder, `RecordError` where its files are broken, `StorageError`
    where the disk refuses.
    """
    run = read_run(run_dir)
    path = run.path / "report.html"
    with atomic_file(path) as handle:
        handle.write(render_report(run).encode("utf-8", errors="replace"))
    return path


def render_report(run: Run) -> str:
    """The page as text."""
    prompts = judged_prompts(run)
    return (
        _environment()
        .get_template("report.html")
        .render(
            run=run,
            finding=finding(run),
            context=context(run),
            facts=facts(run),
            warnings=[*run.warnings, *disagreements(run)],
            unfinished=[stage.name for stage in run.stages if not stage.is_finished],
            result=_result(run),
            result_table=result_table(run),
            claims=claims(run),
            judgements=list(_judgement_exhibits(run)),
            use_case_table=_use_case_table(run),
            training=list(_training_exhibits(run)),
            cost=list(_cost_exhibits(run)),
            summary_table=summary_table(run),
            prompts=prompts,
            num_prompts=len({completion.prompt_id for completion in run.completions}),
            use_cases=use_cases(prompts),
            samples={stage.name: stage_samples(stage) for stage in run.stages} if not prompts else {},
            configs={stage.name: config_table(stage.config) for stage in run.stages if stage.config},
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
    return environment


@cache
def _part(name: str) -> Markup:
    return Markup(files("tutelage.report").joinpath("templates", name).read_text(encoding="utf-8"))


def _script_hash() -> str:
    """What the page's policy lets run: this script and no other."""
    return base64.b64encode(hashlib.sha256(_part("report.js").encode()).digest()).decode()


def _result(run: Run) -> Exhibit | None:
    rates = win_rates(run)
    if not rates:
        return None
    groups = win_rates_by_group(run)
    return Exhibit(
        panels=(figures.win_rate_figure(rates, groups),),
        caption="How often each policy’s response is preferred to the SFT policy’s on the same prompt, with 95\u202f% "
        "intervals. A tie counts half."
        + (" Small marks: training and held-out labelers apart; held-out labelers give the result." if groups else ""),
        source=f"{SUMMARY} → win_rate_vs_sft" + (f"; {COMPARISONS}" if groups else ""),
        table=grouped_table(groups, percent, head="Labelers") if groups else None,
    )


def _use_case_table(run: Run) -> Table | None:
    groups = win_rates_by_use_case(run)
    return grouped_table(groups, percent, head="Use case") if groups else None


def _judgement_exhibits(run: Run) -> Iterator[Exhibit]:
    means, shares = likert(run), reward_model_shares(run)
    panels = ([figures.likert_figure(means)] if means else []) + (
        [figures.reward_model_figure(shares)] if shares else []
    )
    if panels:
        yield Exhibit(
            panels=tuple(panels),
            caption="Mean ratings by policy, and how often the reward model orders a comparison as the labeler did, "
            "beside how often two labelers agree.",
            source=f"{SUMMARY} → likert, reward_model; intervals: {RATINGS}",
        )
    found = flags(run)
    drawn = [flag for flag in _DRAWN_FLAGS if flag in found]
    if found:
        yield Exhibit(
            panels=tuple(
                figures.arm_bars(f"flag-{flag}", readable(flag).capitalize(), found[flag], percent) for flag in drawn
            ),
            caption="Share of judged responses that labelers flagged (as in the paper’s Figure 4).",
            source=f"{SUMMARY} → flags; intervals: {RATINGS}",
            table=flag_table(run),
        )


def _training_exhibits(run: Run) -> Iterator[tuple[str, Exhibit]]:
    for name, stages in curve_groups(run).items():
        panels = first_panels(stages)
        frontier = score_against_kl(stages)
        further = further_panels(stages)
        exhibit = Exhibit(
            panels=tuple(panels + ([frontier] if frontier else []) or further),
            further=tuple(further) if panels else (),
            caption="Learning curves, and the score against the KL that was paid for it."
            if frontier
            else "Learning curves.",
            source=", ".join(stage.source("metrics.jsonl") for stage in stages),
        )
        yield _title_of(name, len(stages)), exhibit


def _title_of(name: str, num_stages: int) -> str:
    titles = {
        "pretrain": "Pretraining of the base model",
        "sft": "Supervised fine-tuning (SFT)",
        "ppo_init": "Initialisation of PPO",
        "reward": "Reward model",
        "ppo": "PPO and PPO-ptx" if num_stages > 1 else "PPO",
        "ppo_ptx": "PPO-ptx",
        "dpo": "DPO",
    }
    return titles.get(name, readable(name))


def _cost_exhibits(run: Run) -> Iterator[tuple[str, Exhibit]]:
    losses = read_estimates(run.summary, "pretraining_loss")
    if losses:
        title = "Nats per token on held-out pretraining text"
        yield (
            "Alignment tax",
            Exhibit(
                panels=(figures.arm_dots("pretraining-loss", title, losses, fixed(3)),),
                caption="What fine-tuning costs on the text that the base model was trained on; less is better.",
                source=f"{SUMMARY} → pretraining_loss",
            ),
        )
    seconds = seconds_by_stage(run)
    if len(seconds) > 1:
        by_stage = {stage: estimate.mean for stage, estimate in seconds.items()}
        yield (
            "Time",
            Exhibit(
                panels=(figures.time_figure(by_stage),),
                caption="Wall time of every stage.",
                source=f"{SUMMARY} → wall_seconds",
            ),
        )
