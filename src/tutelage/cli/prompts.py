"""Prompt commands: from raw prompts to curated ones, and the paper's tables for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tutelage.curation.manifest import Manifest
    from tutelage.prompts.config import PromptsConfig
    from tutelage.prompts.tables import Length

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="Curate prompts and describe them.")


@app.command()
def build(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders or hub data sets with prompts, in any supported format.", metavar="SOURCE..."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The folder to write; it must not exist yet.")],
    config: Annotated[Path | None, typer.Option("--config", help="A YAML file with settings; see --set.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override one setting, e.g. --set max_prompts_per_user=100. Repeatable."),
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Skip malformed records; count and list them.")] = False,
) -> None:
    """Curate prompts: deduplicate, remove personal data, detect languages, split by user, assign to SFT, RM and PPO.

    Example: tutelage prompts build api.jsonl labelers.jsonl --out runs/prompts --set max_prompts_per_user=100
    """
    from tutelage.curation.build import build_prompts

    _show(build_prompts(sources, out, _config(config, overrides or []), skip_bad=skip_bad), out)


@app.command()
def stats(
    folder: Annotated[Path, typer.Argument(help="A folder that `tutelage prompts build` wrote.", metavar="DIR")],
    tokenizer: Annotated[
        str | None, typer.Option("--tokenizer", help="Count tokens of this model (folder or hub id) instead of words.")
    ] = None,
) -> None:
    """Print Tables 1, 6, 8, 9 and 10 of the paper for your prompts, and write them to DIR/stats.json.

    Example: tutelage prompts stats runs/prompts --tokenizer runs/sft/model
    """
    from rich.console import Console

    from tutelage.curation.stats import statistics_tables, write_statistics
    from tutelage.prompts.tables import num_words

    length, unit = (num_words, "words") if tokenizer is None else (_num_tokens(tokenizer), "tokens")
    statistics = write_statistics(folder, length, length_unit=unit)
    console = Console()
    for table in statistics_tables(statistics):
        console.print(table)
    languages = ", ".join(f"{language} {number:,}" for language, number in statistics.languages.items())
    console.print(f"{statistics.num_prompts:,} prompts of {statistics.num_users:,} users; languages: {languages}")


def _num_tokens(tokenizer: str) -> Length:
    from tutelage.model.loading import load_tokenizer

    loaded = load_tokenizer(tokenizer)
    return lambda text: len(loaded(text, add_special_tokens=False)["input_ids"])


def _config(path: Path | None, overrides: list[str]) -> PromptsConfig:
    from tutelage.config import load_config
    from tutelage.prompts.config import PromptsConfig

    return load_config(PromptsConfig, path, overrides)


def _show(manifest: Manifest, out: Path) -> None:
    def listed(counts: dict[str, int]) -> str:
        return ", ".join(f"{name} {number:,}" for name, number in counts.items()) or "none"

    typer.echo(
        f"{manifest.num_read:,} prompts read, {manifest.num_kept:,} of {manifest.num_users:,} users kept in {out}"
    )
    typer.echo(f"  rejected: {listed(manifest.rejected)}")
    typer.echo(f"  replaced in {manifest.num_scrubbed:,} prompts: {listed(manifest.placeholders)}")
    typer.echo(f"  languages: {listed(manifest.languages)}")
    for name, counts in manifest.counts.items():
        typer.echo(f"  {name}: {listed(counts)}")
    if manifest.num_hints_ignored:
        typer.echo(f"  split hints ignored for {manifest.num_hints_ignored:,} users: some of their prompts have none")
    num_left_out = sum(source.num_left_out for source in manifest.sources)
    if num_left_out:
        typer.echo(f"  left out: {num_left_out:,} records (all are listed in {out / 'rejected.jsonl'}); the first:")
        for reason in manifest.left_out_by_reason:
            typer.echo(f"    {reason}")
