"""`tutelage prompts stats`: the tables of the paper for curated prompts, on the terminal and as stats.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from tutelage.errors import DataError, StorageError
from tutelage.prompts.tables import Length, LengthSummary, PromptStatistics, num_words, prompt_statistics
from tutelage.records import Prompt
from tutelage.store.atomic import atomic_file
from tutelage.store.jsonl import read_records

if TYPE_CHECKING:
    from rich.table import Table

STATS_FILE = "stats.json"
_PURPOSES = ("all", "sft", "reward", "ppo")
_LENGTH_COLUMNS = ("count", "mean", "std", "min", "25 %", "50 %", "75 %", "max")


def write_statistics(folder: Path, length: Length = num_words, *, length_unit: str = "words") -> PromptStatistics:
    """Measure the prompts of a folder that `build_prompts` wrote, and write stats.json into it. Raises `DataError`."""
    path = folder / "prompts.jsonl"
    if not path.is_file():
        raise DataError(f"{folder} has no prompts.jsonl. Give a folder that `tutelage prompts build` wrote.")
    _require_own(folder / STATS_FILE)
    statistics = prompt_statistics(read_records(path, Prompt), length, length_unit=length_unit)
    with atomic_file(folder / STATS_FILE) as handle:
        handle.write(statistics.model_dump_json(indent=2).encode() + b"\n")
    return statistics


def _require_own(path: Path) -> None:
    """Refuse to replace a stats.json that this command did not write."""
    if not path.exists():
        return
    try:
        PromptStatistics.model_validate_json(path.read_bytes())
    except ValidationError:
        raise StorageError(
            f"cannot write {path}: a file of that name exists that `tutelage prompts stats` did not write. Nothing "
            "was changed. Move it away."
        ) from None


def statistics_tables(statistics: PromptStatistics) -> list[Table]:
    """Tables 1, 6, 8, 9 and 10 of the paper, for printing."""
    unit = statistics.length_unit
    return [
        _use_cases(statistics),
        _counts(statistics),
        _prompts_per_customer(statistics),
        _lengths(f"Prompt length in {unit} by set (Table 9)", "set", statistics.lengths),
        _lengths(f"Prompt length in {unit} by use case (Table 10)", "use case", statistics.lengths_by_use_case),
    ]


def _table(title: str, first: str, *others: str) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for other in others:
        table.add_column(other, justify="right")
    return table


def _use_cases(statistics: PromptStatistics) -> Table:
    groups = [purpose for purpose in _PURPOSES if purpose in statistics.use_cases]
    table = _table("Use cases, % (Table 1)", "use case", *groups)
    totals = {group: sum(statistics.use_cases[group].values()) for group in groups}
    for use_case in statistics.use_cases.get("all", {}):
        shares = [100 * statistics.use_cases[group].get(use_case, 0) / totals[group] for group in groups]
        table.add_row(use_case, *(f"{share:.1f}" for share in shares))
    return table


def _counts(statistics: PromptStatistics) -> Table:
    table = _table("Number of prompts (Table 6)", "set", "labeler", "customer", "all")
    for name, counts in statistics.counts.items():
        labeler, customer = counts.get("labeler", 0), counts.get("customer", 0)
        table.add_row(name, f"{labeler:,}", f"{customer:,}", f"{labeler + customer:,}")
    return table


def _prompts_per_customer(statistics: PromptStatistics) -> Table:
    table = _table("Prompts per customer (Table 8)", "set", "prompts")
    for name, number in statistics.prompts_per_customer.items():
        table.add_row(name, f"{number:.2f}")
    return table


def _lengths(title: str, first: str, summaries: Mapping[str, LengthSummary]) -> Table:
    table = _table(title, first, *_LENGTH_COLUMNS)
    for name, s in summaries.items():
        numbers = (s.count, s.mean, s.std, s.min, s.quartile_1, s.median, s.quartile_3, s.max)
        table.add_row(name, *(f"{number:,.0f}" for number in numbers))
    return table
