"""Commands for whole runs: quickstart, run, report, doctor."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Start here")(quickstart)
    app.command(rich_help_panel="Start here")(run)
    app.command(rich_help_panel="Start here")(doctor)
    app.command(rich_help_panel="Judge")(report)


def quickstart(
    out: Annotated[Path, typer.Option(help="The folder of the run.")] = Path("runs/quickstart"),
    size: Annotated[
        Literal["quick", "full"], typer.Option(help="quick takes minutes; full, more of the paper, about an hour.")
    ] = "quick",
    seed: Annotated[int, typer.Option(help="Determines the synthetic world, its labelers and every random draw.")] = 0,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override one key of the recipe, e.g. --set ppo.num_episodes=2048. Repeatable."),
    ] = None,
    redo: Annotated[
        str | None, typer.Option("--redo", help="Redo this step and every step that followed it.", metavar="STEP")
    ] = None,
    allow_other_code: Annotated[
        bool,
        typer.Option(
            "--allow-other-code", help="Keep what another version of this program did, instead of redoing it."
        ),
    ] = False,
    label_yourself: Annotated[
        bool, typer.Option("--label-yourself", help="At the end, queue 20 comparisons for you to judge, blind.")
    ] = False,
) -> None:
    """Run the whole loop on the miniature: demonstrations, SFT, rankings, reward model, PPO-ptx, win rates, report.

    If interrupted, the same command resumes. --size full has three model sizes, more arms, benchmarks and
    sweeps. Example: tutelage quickstart --out runs/first --seed 1
    """
    # Threads spin for a few microseconds, then sleep: matrices this small are done before a sleeping thread wakes. This
    # is 1.8 times as fast on two idle cores; spinning for milliseconds would only take time from other processes.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    from rich.console import Console

    if label_yourself:
        # Report missing packages now, not after the run.
        _require_studio()

    from tutelage.report import terminal_table
    from tutelage.reproduction.paper_report import write_paper_report
    from tutelage.reproduction.quickstart import quickstart as run

    summary = run(out, size=size, seed=seed, overrides=overrides or (), redo=redo, may_keep_other_code=allow_other_code)
    page = write_paper_report(out)
    console = Console()
    console.print(terminal_table(out))
    console.print(f"\nreport   {page}\nnumbers  {out / 'summary.json'}\n", soft_wrap=True, highlight=False)
    largest = [size["name"] for size in summary.get("sizes", ())][-1:]
    policy = out.joinpath(*largest, "ppo_ptx", "model")
    console.print(f"Talk to the model: tutelage chat {policy}", soft_wrap=True, highlight=False)
    if label_yourself:
        from tutelage.reproduction.label_yourself import label_yourself as hand_over

        folder = hand_over(out)
        console.print(
            f"\nCompare PPO-ptx with SFT yourself: tutelage label serve --data {folder}\n"
            f"Then see what you preferred:       tutelage label export --data {folder} --out {out / 'your-labels'}",
            soft_wrap=True,
            highlight=False,
        )


def _require_studio() -> None:
    from importlib.util import find_spec

    from tutelage.errors import UserError

    missing = [name for name in ("fastapi", "sqlalchemy", "uvicorn") if find_spec(name) is None]
    if missing:
        raise UserError(f"--label-yourself needs {', '.join(missing)}. Run: pip install 'tutelage[studio]'")


def run(
    recipe: Annotated[Path, typer.Argument(help="The YAML file of the run.", metavar="RECIPE.yaml")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override one key, e.g. --set ppo.num_episodes=2048. Repeatable."),
    ] = None,
    redo: Annotated[
        str | None, typer.Option("--redo", help="Redo this step and every step that followed it.", metavar="STEP")
    ] = None,
    allow_other_code: Annotated[
        bool,
        typer.Option(
            "--allow-other-code", help="Keep results of another version of this program instead of redoing them."
        ),
    ] = False,
) -> None:
    """Run the paper on your model and data: SFT, reward model, PPO-ptx, win rates, report. Rerun it to resume.

    A finished step is not repeated while its inputs are unchanged. If people still have to label, it says where and
    stops. Example: tutelage run own-data.yaml --set arms='[base, sft, dpo]'
    """
    from tutelage.config import load_config
    from tutelage.workflow.config import RunConfig

    config = load_config(RunConfig, recipe, overrides or ())
    from rich.console import Console

    from tutelage.report import write_report
    from tutelage.workflow.paper import run_paper
    from tutelage.workflow.sources import Waiting
    from tutelage.workflow.summary import draw_run, print_result

    try:
        summary = run_paper(config, redo=redo, may_keep_other_code=allow_other_code)
    except Waiting as waiting:
        typer.echo(str(waiting))
        return
    page = write_report(config.out, draw=draw_run)
    console = Console()
    print_result(console, summary)
    console.print(f"\nreport   {page}\nnumbers  {config.out / 'summary.json'}", soft_wrap=True, highlight=False)


def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run, of all stages or of one.", metavar="RUN_DIR")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace report.html, report.md and figures not written by it.")
    ] = False,
) -> None:
    """Write report.html from the files of a run; for a run of all stages, also report.md and figures/.

    Example: tutelage report runs/quickstart
    """
    from tutelage.report import write_report
    from tutelage.reproduction.paper_report import draw_paper
    from tutelage.workflow.summary import draw_run, is_of_workflow

    draw = draw_run if is_of_workflow(run) else draw_paper
    typer.echo(str(write_report(run, draw=draw, overwrite=overwrite)))


def doctor() -> None:
    """Show what this machine can do: devices, memory, package versions, what will run and what will not.

    Example: tutelage doctor
    """
    from tutelage.cli.machine import show_machine

    show_machine()
