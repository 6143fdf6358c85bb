"""The measurements of a step: rows of `evaluation/measurements.jsonl`, and the rows behind them.

Every step stores its own in a folder under `evaluation/steps`, so that a finished step is never measured again; the
last step joins them. The summary of a run is a view of the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tutelage.evaluation.measuring import Statistic, mean_values
from tutelage.evaluation.records import FOLDER, HELDOUT, INSTRUCT, TRAINING, Measurement, TaskRow
from tutelage.records import Record
from tutelage.statistics.interval import bounded_mean
from tutelage.store.jsonl import read_records, read_rows, write_records, write_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Measurements, and rows by the name of their file in `evaluation/`."""

    measurements: list[Measurement] = field(default_factory=list)
    rows: dict[str, list[Record]] = field(default_factory=dict)

    def add(self, name: str, rows: Sequence[TaskRow], statistic: Statistic = bounded_mean) -> None:
        """Rows of the file `name`, and their means."""
        self.measurements.extend(mean_values(rows, source=file_of(name), statistic=statistic))
        self.rows.setdefault(name, []).extend(rows)

    def write(self, folder: Path) -> dict[str, int]:
        """Write each kind of rows as one file in `folder`; returns their counts."""
        files: dict[str, Sequence[Record]] = {**self.rows, "measurements": self.measurements}
        return {name: write_records(folder / f"{name}.jsonl", rows) for name, rows in files.items()}


def file_of(name: str) -> str:
    """The path of the rows with that name in a run."""
    return f"{FOLDER}/{name}.jsonl"


def read_findings(folder: Path) -> list[Measurement]:
    """What the steps that measure left in the folders of `folder`."""
    return [found for path in sorted(folder.glob("*/measurements.jsonl")) for found in read_records(path, Measurement)]


def join_rows(folders: Sequence[Path], out: Path) -> dict[str, int]:
    """The files of rows in `folders`, and in the folders of their findings, as one file a name in `out`."""
    places = [
        place
        for folder in folders
        for place in (folder, *(own for own in sorted(folder.glob("*/")) if own not in folders))
    ]
    names = sorted({path.name for place in places for path in place.glob("*.jsonl")} - {"measurements.jsonl"})
    return {
        name.removesuffix(".jsonl"): write_rows(
            out / name, (row for place in places if (place / name).exists() for _, row in read_rows(place / name))
        )
        for name in names
    }


def summed_up(measurements: Iterable[Measurement], *, size: str) -> dict[str, Any]:
    """The part of summary.json about the arms of one size, on prompts written for instruction-following models."""
    own = [row for row in measurements if row.size == size and row.condition.get("distribution", INSTRUCT) == INSTRUCT]
    rates = [row for row in own if row.measure == "win_rate" and (row.baseline, row.baseline_size) == ("sft", size)]
    flags: dict[str, dict[str, float]] = {}
    for row in own:
        if row.measure == "flag":
            flags.setdefault(row.arm, {})[str(row.condition["flag"])] = row.mean
    return {
        "win_rate_vs_sft": _intervals(rates, HELDOUT),
        "win_rate_vs_sft_training_labelers": _intervals(rates, TRAINING),
        "likert": _means(own, "likert"),
        "flags": flags,
        "kl_to_reference": _means(own, "kl_to_reference"),
        "pretraining_loss": _means(own, "pretraining_loss"),
    }


def _intervals(rates: Iterable[Measurement], labelers: str) -> dict[str, dict[str, float | None]]:
    return {
        row.arm: {"mean": row.mean, "low": row.low, "high": row.high, "n": row.n}
        for row in rates
        if row.condition["labelers"] == labelers
    }


def _means(rows: Iterable[Measurement], measure: str) -> dict[str, float]:
    return {row.arm: row.mean for row in rows if row.measure == measure}
