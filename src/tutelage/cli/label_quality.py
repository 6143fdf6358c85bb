"""Labeling commands about labelers: the screening test, agreement, gold. None needs torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tutelage.cli.label import Data, Url, studio_of

if TYPE_CHECKING:
    from rich.table import Table

    from tutelage.labeling.labels import Label
    from tutelage.labeling.tasks import Task
    from tutelage.records import Ranking
    from tutelage.statistics import Interval
    from tutelage.studio.quality import Quality
    from tutelage.studio.screening import Candidacy

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Purpose = Annotated[Literal["training", "evaluation"] | None, typer.Option(help="Only labels with this purpose.")]
_DATA = Path("studio")


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the labeling commands."""
    for verb in (agreement, screen, gold):
        app.command()(verb)


def agreement(
    data: Data = _DATA,
    url: Url = None,
    purpose: Purpose = None,
    kind: Annotated[
        Literal["demonstrate", "evaluate", "compare", "toxicity"] | None, typer.Option(help="Only this type of task.")
    ] = None,
    ties: Annotated[
        Literal["category", "half", "exclude"],
        typer.Option(help="A tie agrees only with a tie; counts half against a preference; or is excluded."),
    ] = "category",
    as_json: AsJson = False,
) -> None:
    """Show how well labelers agree: by group and by question, each labeler against the rest, and on gold items.

    Example: tutelage label agreement --data studio --purpose training --json
    """
    studio = studio_of(data, url)
    from tutelage.studio.quality import quality

    found = quality(studio, purpose, kind, ties=ties)
    _print(found) if as_json else _show(*_agreement_tables(found))


def screen(
    data: Data = _DATA,
    url: Url = None,
    tasks: Annotated[
        Path | None, typer.Option(help="Create a new test from this file of tasks; its format is in docs/quality.md.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the new test.")] = "",
    as_json: AsJson = False,
) -> None:
    """Create a screening test, or show the four scores of each candidate against the paper's soft cutoffs.

    Example: tutelage label screen --data studio --tasks screening.jsonl
    """
    studio = studio_of(data, url)
    from tutelage.labeling.screening import ScreeningTask
    from tutelage.store.jsonl import read_records
    from tutelage.studio.screening import add_screening, candidacies

    if tasks is not None:
        read = list(read_records(tasks, ScreeningTask))
        number = add_screening(studio, read, name=name or tasks.name)
        typer.echo(f"test {number}: {len(read)} tasks, and the self-assessment. Invite people with --role candidate.")
        return
    found = candidacies(studio)
    _print([_scores(each) for each in found]) if as_json else _show(_candidates_table(found))


def gold(
    rankings: Annotated[Path, typer.Option(help="Rankings known to be right, in any supported format.")],
    data: Data = _DATA,
    url: Url = None,
    kind: Annotated[Literal["evaluate", "compare"], typer.Option("--as", help="Task type.")] = "evaluate",
    purpose: Annotated[
        Literal["training", "evaluation"], typer.Option(help="The tasks they are mixed with.")
    ] = "training",
) -> None:
    """Queue gold items, whose right ranking is known; they are mixed with other tasks and look the same.

    Example: tutelage label gold --rankings gold.jsonl --as compare
    """
    studio = studio_of(data, url)
    from tutelage.store.sources import load_rankings
    from tutelage.studio.gold import queue_gold

    known = [_known(ranking, kind) for ranking in load_rankings(str(rankings))]
    queued = queue_gold(studio, known, purpose=purpose)
    typer.echo(f"{rankings}: {queued.num_new} gold items queued, {queued.num_known} already there")


def _known(ranking: Ranking, kind: Literal["evaluate", "compare"]) -> tuple[Task, Label]:
    from pydantic import ValidationError

    from tutelage.errors import UserError
    from tutelage.labeling.labels import Label
    from tutelage.labeling.tasks import Task
    from tutelage.records import Prompt

    prompt = Prompt(id=ranking.prompt_id or "", text=ranking.prompt, messages=ranking.messages)
    try:
        task = Task(kind=kind, prompt=prompt, completions=ranking.completions)
    except ValidationError as error:
        rule = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"prompt {prompt.id}: {rule}. Leave it out, or queue it as another task type.") from None
    return task, Label(ranking=ranking.ranking)


def _print(found: Any) -> None:
    from pydantic import TypeAdapter

    typer.echo(json.dumps(TypeAdapter(Any).dump_python(found, mode="json"), indent=2, ensure_ascii=False))


def _show(*tables: Table) -> None:
    from rich.console import Console

    for table in tables:
        Console().print(table)


def _table(title: str, *columns: str) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold")
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right")
    return table


def _spread(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{100 * interval.mean:.1f} % ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def _agreement_tables(found: Quality) -> list[Table]:
    from tutelage.labeling.assignment import GROUP_NAMES
    from tutelage.labeling.quality import PAPER_AGREEMENT, QUESTIONS

    groups = _table("How often two labelers order two completions the same way", "labelers", "share (95 %)", "pairs")
    for group, share in found.by_group.items():
        groups.add_row(f"{GROUP_NAMES[group]}", _spread(share), str(share.n if share else 0))
    for each in PAPER_AGREEMENT:
        groups.add_row(each.name, f"{100 * each.share:.1f} % (± {100 * each.error:.1f})", each.source, style="dim")
    questions = _table("By question", "question", "share (95 %)", "pairs", "alpha")
    for row in found.agreements:
        alphas = [f"{alpha.value:.3f} {level}" for level, alpha in row.alphas.items() if alpha.value is not None]
        told = "\n".join(alphas) or f"undefined: {row.alphas['nominal'].reason}"
        questions.add_row(QUESTIONS[row.question], _spread(row.share), str(row.share.n if row.share else 0), told)
    labelers = _table("By labeler", "labeler", "against the rest (95 %)", "first → second half", "gold", "labels")
    for one in found.labelers:
        drift = one.drift
        halves = f"{100 * drift.first_half.mean:.0f} → {100 * drift.second_half.mean:.0f} %" if drift else "-"
        halves += " drifts" if drift and drift.has_drifted else ""
        correct = f"{100 * one.gold.mean:.1f} % of {one.gold.n}" if one.gold else "-"
        labelers.add_row(one.name, _spread(one.share), halves, correct, str(one.num_labels))
    return [groups, questions, labelers]


def _scores(own: Candidacy) -> dict[str, Any]:
    from tutelage.labeling.screening import standings, suggested

    return {
        "screening": own.id,
        "test": own.batch,
        "submitted_at": own.submitted_at,
        "scores": own.scores,
        "cutoffs": [{"cutoff": each.cutoff, "is_met": each.is_met} for each in standings(own.scores)],
        "suggested": suggested(own.scores),
        "decision": own.decision,
        "decision_note": own.decision_note,
        "decided_by": own.decided_by,
    }


def _candidates_table(found: list[Candidacy]) -> Table:
    from tutelage.labeling.screening import (
        DEMONSTRATION_CUTOFF,
        FLAGGING_CUTOFF,
        RANKING_CUTOFF,
        standings,
        suggested,
    )

    cutoffs = (FLAGGING_CUTOFF, RANKING_CUTOFF, DEMONSTRATION_CUTOFF)
    titles = [f"{cutoff.title} (cutoff {cutoff.value:g})" for cutoff in cutoffs]
    table = _table("Screening", "candidate", *titles, "topics", "suggested", "decision")
    for own in found:
        scores = [f"{each.score.mean:.2f}" if each.score else "-" for each in standings(own.scores)]
        topics = str(len(own.scores.topics))
        table.add_row(str(own.id), *scores, topics, suggested(own.scores), own.decision or "open")
    return table
