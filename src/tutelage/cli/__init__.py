"""The command line: one command per stage. Heavy imports wait until a command runs, so `tutelage --help` is fast."""

from __future__ import annotations

import os
import sys

import typer

from tutelage import __version__
from tutelage.cli import label, label_quality, models, prompts, runs, stages
from tutelage.errors import Stopped, UserError

STOPPED = 130  # the shell's status for a command that Ctrl-C ended

app = typer.Typer(
    name="tutelage",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="The InstructGPT system: from demonstrations and rankings to SFT, a reward model, PPO-ptx and evaluation.",
    epilog="Start with: tutelage quickstart",
)
app.add_typer(prompts.app, name="prompts")
label_quality.register(label.app)
app.add_typer(label.app, name="label")
runs.register(app)
stages.register(app)
models.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tutelage {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    pass


def main() -> None:
    """Run a command. Exit status: 0 success, 2 user error (one message), 130 Ctrl-C, 1 internal error (a traceback)."""
    sys.argv[1:] = map(expand_home, sys.argv[1:])
    try:
        app()
    except UserError as error:
        typer.secho("error: ", fg="red", bold=True, nl=False, err=True)
        typer.echo(str(error), err=True)
        sys.exit(2)
    except Stopped as stop:
        typer.echo(f"\n{stop}", err=True)
        sys.exit(stop.status)
    except KeyboardInterrupt:
        typer.echo("\nstopped", err=True)
        sys.exit(STOPPED)
    except SystemExit as ending:
        # How typer ends on Ctrl-C while a command runs; it prints no message of its own.
        if ending.code == STOPPED:
            typer.echo("\nstopped", err=True)
        raise


def expand_home(argument: str) -> str:
    """Expand `~` in `~/x` and `--option=~/x`; shells leave the second unexpanded."""
    option, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    return f"{option}{equals}{os.path.expanduser(value)}" if value == "~" or value.startswith("~/") else argument
