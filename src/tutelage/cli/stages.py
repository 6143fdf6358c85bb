"""Training commands: each reads one YAML file and fills one run folder.

The file is read before torch is imported, so that an error in it is reported at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

ConfigFile = Annotated[Path, typer.Argument(help="The YAML file of the run.", metavar="CONFIG.yaml")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override one key, e.g. --set optimizer.learning_rate=1e-5. Repeatable."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Resume from the newest checkpoint in the run folder.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Skip malformed records; count and list them.")]


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Train")(pretrain)
    app.command(rich_help_panel="Train")(sft)
    app.command(rich_help_panel="Train")(reward)
    app.command(rich_help_panel="Train")(ppo)
    app.command(rich_help_panel="Train")(dpo)


def pretrain(
    config: ConfigFile, overrides: Overrides = None, resume: Resume = False, skip_bad: SkipBad = False
) -> None:
    """Train a base model on text.

    Example: tutelage pretrain pretrain.yaml --set num_steps=2000
    """
    from tutelage.config import load_config
    from tutelage.training.config import PretrainConfig

    chosen = load_config(PretrainConfig, config, _all_overrides(overrides, skip_bad))
    from tutelage.training.pretrain import pretrain as run

    _show(run(chosen, resume=resume))


def sft(config: ConfigFile, overrides: Overrides = None, resume: Resume = False, skip_bad: SkipBad = False) -> None:
    """Fine-tune a model on demonstrations; with a pretraining mix, this is the initialization for PPO.

    Example: tutelage sft sft.yaml --set reward_model=runs/reward/model
    """
    from tutelage.config import load_config
    from tutelage.training.config import SFTConfig

    chosen = load_config(SFTConfig, config, _all_overrides(overrides, skip_bad))
    from tutelage.training.sft import sft as run

    _show(run(chosen, resume=resume))


def reward(config: ConfigFile, overrides: Overrides = None, resume: Resume = False, skip_bad: SkipBad = False) -> None:
    """Train a reward model on rankings.

    Example: tutelage reward reward.yaml --set rankings=rankings.jsonl
    """
    from tutelage.config import load_config
    from tutelage.training.config import RewardConfig

    chosen = load_config(RewardConfig, config, _all_overrides(overrides, skip_bad))
    from tutelage.training.reward import train_reward as run

    _show(run(chosen, resume=resume))


def ppo(config: ConfigFile, overrides: Overrides = None, resume: Resume = False, skip_bad: SkipBad = False) -> None:
    """Train a policy with PPO or PPO-ptx against a reward model.

    Example: tutelage ppo ppo.yaml --set ptx.coef=0 --resume
    """
    from tutelage.config import load_config
    from tutelage.training.config import PPOConfig

    chosen = load_config(PPOConfig, config, _all_overrides(overrides, skip_bad))
    from tutelage.training.ppo import ppo as run

    _show(run(chosen, resume=resume))


def dpo(config: ConfigFile, overrides: Overrides = None, resume: Resume = False, skip_bad: SkipBad = False) -> None:
    """Train a policy on rankings with DPO, without a reward model.

    Example: tutelage dpo dpo.yaml --set kl_coef=0.05
    """
    from tutelage.config import load_config
    from tutelage.training.config import DPOConfig

    chosen = load_config(DPOConfig, config, _all_overrides(overrides, skip_bad))
    from tutelage.training.dpo import dpo as run

    _show(run(chosen, resume=resume))


def _all_overrides(overrides: list[str] | None, skip_bad: bool) -> list[str]:
    return [*(overrides or ()), *(["skip_bad=true"] if skip_bad else [])]


def _show(summary: dict[str, Any]) -> None:
    """Print the summary of a stage as a small table, and the first skipped records."""
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2))
    for key, value in summary.items():
        if isinstance(value, (int, float, str)) and key not in ("config_hash",):
            table.add_row(key.replace("_", " "), f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)
    show_left_out(summary.get("skipped_by_reason", ()))


def show_left_out(reasons: Sequence[str]) -> None:
    """Print to standard error why records were left out."""
    for reason in reasons:
        typer.echo(f"left out: {reason}", err=True)
