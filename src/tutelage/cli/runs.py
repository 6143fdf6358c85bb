"""Verbs on whole runs: quickstart, report, doctor."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Start here")(quickstart)
    app.command(rich_help_panel="Start here")(doctor)
    app.command(rich_help_panel="Judge")(report)


def quickstart(
    out: Annotated[Path, typer.Option(help="The folder of the run.")] = Path("runs/quickstart"),
    size: Annotated[Literal["quick"], typer.Option(help="How much of the paper: quick takes minutes.")] = "quick",
    seed: Annotated[int, typer.Option(help="Decides the world, its people and every random draw.")] = 0,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override one key of the recipe, e.g. --set ppo.num_episodes=2048."),
    ] = None,
) -> None:
    """Run the whole loop on the miniature: demonstrations, SFT, rankings, reward model, PPO-ptx, win rates, report.

    Interrupted, the same command goes on where it was. Example: tutelage quickstart --out runs/first --seed 1
    """
    # Threads that wait without spinning: on a machine busy with other work, spinning ones cost most of the time.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from rich.console import Console

    from tutelage.pipeline.quickstart import quickstart as run
    from tutelage.report import terminal_table, write_report

    run(out, size=size, seed=seed, overrides=overrides or ())
    page = write_report(out)
    console = Console()
    console.print(terminal_table(out))
    console.print(f"\nreport   {page}\nnumbers  {out / 'summary.json'}\n", soft_wrap=True, highlight=False)
    console.print(f"Talk to the model: tutelage chat {out / 'ppo_ptx' / 'model'}", soft_wrap=True, highlight=False)


def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run, whole or of one stage.", metavar="RUN_DIR")],
) -> None:
    """Write report.html from the files of a run.

    Example: tutelage report runs/quickstart
    """
    from tutelage.report import write_report

    typer.echo(str(write_report(run)))


def doctor() -> None:
    """Tell what this machine can do: devices, memory, versions, what would run and what would not.

    Example: tutelage doctor
    """
    from tutelage.cli.machine import show_machine

    show_machine()
