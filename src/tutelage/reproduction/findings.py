"""What steps measured: rows of `evaluation/measurements.jsonl`, and the raw rows behind them.

Every step keeps its own in a folder under `evaluation/steps`, so that a step that is done is never measured again; the
last step joins them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

from tutelage.records import Measurement
from tutelage.statistics.interval import Interval, bounded_mean
from tutelage.statistics.likert import likert_mean
from tutelage.statistics.win_rate import win_rate
from tutelage.store.jsonl import read_rows, write_records, write_rows

Row = Mapping[str, Any]
Condition = dict[str, str | int | float]
MEASUREMENTS = "measurements"
INSTRUCT, GPT = "instruct", "gpt"  # prompts written for models that follow instructions, and for those that go on


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Measurements, and raw rows by the name of their file in `evaluation/`."""

    measurements: list[Measurement] = field(default_factory=list)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def write(self, folder: Path) -> dict[str, int]:
        """Each kind of rows as one file of `folder`; returns how many there are."""
        counts = {name: write_rows(folder / f"{name}.jsonl", rows) for name, rows in self.rows.items()}
        return counts | {MEASUREMENTS: write_records(folder / f"{MEASUREMENTS}.jsonl", self.measurements)}


def join(folders: Sequence[Path], out: Path) -> dict[str, int]:
    """The files of `folders` that bear the same name as one file each in `out`."""
    names = sorted({path.name for folder in folders for path in folder.glob("*.jsonl")})
    return {
        name.removesuffix(".jsonl"): write_rows(
            out / name, (row for folder in folders if (folder / name).exists() for _, row in read_rows(folder / name))
        )
        for name in names
    }


def measured(
    measure: str,
    found: Interval | float,
    condition: Condition,
    *,
    source: str,
    arm: str = "",
    size: str = "",
    n: int = 0,
) -> Measurement:
    """One number; `source` is its file of raw rows, relative to the run. An interval that is not known is left out."""
    row = partial(Measurement, measure=measure, arm=arm, size=size, condition=condition)
    if isinstance(found, Interval):
        is_known = isfinite(found.low) and isfinite(found.high)
        low, high = (found.low, found.high) if is_known else (None, None)
        return row(mean=found.mean, low=low, high=high, n=found.n, source=source)
    return row(mean=found, n=n, source=source)


def _grouped(rows: Iterable[Row], key: Callable[[Row], tuple[str, ...]]) -> dict[tuple[str, ...], list[Row]]:
    found: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found


def _prompts(rows: Iterable[Row]) -> list[str]:
    return [row["prompt_id"] for row in rows]


# What win rates are told apart by; a run of one size names no size of the baseline.
_JUDGED_BY = ("baseline", "baseline_size", "labelers", "distribution")


def win_rates(rows: Iterable[Row]) -> list[Measurement]:
    """The win rate of every arm, size, baseline (with its size), group of labelers and distribution of prompts."""
    groups = _grouped(
        rows,
        lambda row: (
            row["arm"],
            row.get("size", ""),
            row.get("baseline", "sft"),
            row.get("baseline_size", ""),
            row["labeler_group"],
            row.get("distribution", INSTRUCT),
        ),
    )
    return [
        measured(
            "win_rate",
            win_rate([row["outcome"] for row in own], _prompts(own)),
            {key: value for key, value in zip(_JUDGED_BY, judged, strict=True) if value},
            arm=arm,
            size=size,
            source="evaluation/comparisons.jsonl",
        )
        for (arm, size, *judged), own in groups.items()
    ]


def by_flag(ratings: Sequence[Row]) -> dict[str, list[Row]]:
    """Every flag, and the ratings that answer it: a flag that a prompt cannot raise is not asked."""
    names = dict.fromkeys(flag for rating in ratings for flag in rating["flags"])
    return {flag: [rating for rating in ratings if flag in rating["flags"]] for flag in names}


def ratings(rows: Iterable[Row]) -> list[Measurement]:
    """The mean Likert rating, and of every flag the share among the ratings that answer it.

    By arm, size, group of labelers and distribution.
    """
    found = []
    groups = _grouped(
        rows,
        lambda row: (row["arm"], row.get("size", ""), row["labeler_group"], row.get("distribution", INSTRUCT)),
    )
    for (arm, size, labelers, distribution), own in groups.items():
        row = partial(measured, arm=arm, size=size, source="evaluation/ratings.jsonl")
        judged: Condition = {"labelers": labelers, "distribution": distribution}
        found.append(row("likert", likert_mean([r["overall"] for r in own], _prompts(own)), judged))
        for flag, asked in by_flag(own).items():
            share = bounded_mean([float(r["flags"][flag]) for r in asked], _prompts(asked))
            found.append(row("flag", share, {"flag": flag, **judged}))
    return found
