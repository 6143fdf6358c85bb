"""Reading a run folder leniently: of one stage or of the whole loop, finished or not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from tutelage.errors import DataError
from tutelage.evaluation.measuring import mean_ratings, win_rates
from tutelage.evaluation.records import (
    COMPARISONS,
    COMPLETIONS,
    FOLDER,
    HELDOUT,
    INSTRUCT,
    MEASUREMENTS,
    RATINGS,
    EvaluatedComparison,
    EvaluatedCompletion,
    EvaluatedRating,
)
from tutelage.records import Record
from tutelage.report.arms import BASELINE
from tutelage.report.measured import Measured, Row
from tutelage.store.jsonl import SkipLog, Skipped, read_records, read_rows, record_error
from tutelage.store.runs import RunFolder

# In the order of the whole loop; other folders follow by name.
STAGE_ORDER = ("pretrain", "sft_first", "sft", "ppo_init", "reward", "ppo", "ppo_ptx", "dpo")
STAGE_FILES = ("metrics.jsonl", "summary.json")
SUMMARY = "summary.json"
# Folders of a whole run that are not stages, whatever they contain: side runs would clutter the learning curves.
_NO_STAGES = (FOLDER, "sweeps", "figures")


def is_number(value: Any) -> bool:
    """Whether a value from a file is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRun:
    """The files of one stage. `folder`: relative to the run, "" if the run is this one stage.

    `size`: the model size whose folder it is in, "" if the run has one size.
    """

    name: str
    folder: str
    size: str = ""
    config: dict[str, Any]
    metrics: list[dict[str, Any]]
    samples: list[dict[str, Any]]
    summary: dict[str, Any]

    @property
    def is_finished(self) -> bool:
        return bool(self.summary)

    def source(self, file: str) -> str:
        """The path of one of its files, relative to the run."""
        return f"{self.folder}/{file}" if self.folder else file


@dataclass(frozen=True, slots=True, kw_only=True)
class RunData:
    """Everything that the report uses. `warnings`: what could not be read, as messages for the reader."""

    path: Path
    summary: dict[str, Any]
    stages: tuple[StageRun, ...]
    completions: list[EvaluatedCompletion]
    comparisons: list[EvaluatedComparison]
    ratings: list[EvaluatedRating]
    measured: Measured
    warnings: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def is_single_stage(self) -> bool:
        return len(self.stages) == 1 and not self.stages[0].folder

    @property
    def is_finished(self) -> bool:
        return bool(self.summary)

    @property
    def sizes(self) -> tuple[str, ...]:
        """The model sizes, smallest first; empty if the run has one size."""
        return self.measured.sizes

    @property
    def largest(self) -> str:
        """The size that the result is about; "" if the run has one size."""
        return self.sizes[-1] if self.sizes else ""

    @property
    def result_completions(self) -> list[EvaluatedCompletion]:
        """Completions of the largest size for prompts written for instruction-following models."""
        return [row for row in self.completions if self._is_of_result(row)]

    @property
    def result_comparisons(self) -> list[EvaluatedComparison]:
        """Comparisons with the SFT policy of the largest size, by the largest size's arms."""
        baseline = (BASELINE, self.largest)
        return [row for row in self.comparisons if self._is_of_result(row) and row.against == baseline]

    @property
    def result_ratings(self) -> list[EvaluatedRating]:
        """Ratings of the largest size's completions by the labelers who count: held-out ones, if there are any."""
        rows = [row for row in self.ratings if self._is_of_result(row)]
        return [row for row in rows if row.labeler_group == HELDOUT] or rows

    def _is_of_result(self, row: EvaluatedCompletion | EvaluatedComparison | EvaluatedRating) -> bool:
        return row.size == self.largest and row.distribution in ("", INSTRUCT)


def read_run(path: Path | str) -> RunData:
    """Read a run folder: of the whole loop (one folder per stage, `evaluation/`, `summary.json`) or a single stage.

    Missing parts are omitted. Raises `DataError` if `path` is not a run folder or its summary is not JSON,
    `RecordError` if metrics are corrupted before their last line.
    """
    path = Path(path)
    if not path.is_dir():
        raise DataError(f"{path} is not a folder. Give the folder of a run.")
    stages = tuple(_read_stages(path))
    if not stages and not (path / "evaluation").is_dir() and not (path / SUMMARY).exists():
        raise DataError(
            f"{path} is not a run folder: neither it nor a folder in it has metrics.jsonl or summary.json. "
            "Give the folder of a run."
        )
    skipped: list[Skipped] = []
    summary = _read_summary(path)
    comparisons = _read_evaluation(path / COMPARISONS, EvaluatedComparison, skipped)
    ratings = _read_evaluation(path / RATINGS, EvaluatedRating, skipped)
    rows = _read_measurements(path / MEASUREMENTS, skipped)
    if rows is None:
        # A run that has not reached its measurements: computed from its judgments so far.
        rows = [Row(**found.model_dump()) for found in (*win_rates(comparisons), *mean_ratings(ratings))]
    return RunData(
        path=path,
        summary=summary,
        stages=stages,
        completions=_read_evaluation(path / COMPLETIONS, EvaluatedCompletion, skipped),
        comparisons=comparisons,
        ratings=ratings,
        measured=Measured(rows, _sizes(summary, rows)),
        warnings=tuple(f"Skipped a record: {skip.message}" for skip in skipped),
    )


def _sizes(summary: dict[str, Any], rows: Sequence[Row]) -> tuple[str, ...]:
    """By the parameter counts in the summary, or else in the order measured."""
    declared = summary.get("sizes")
    entries = [entry for entry in declared if isinstance(entry, dict)] if isinstance(declared, list) else []
    named = {str(entry["name"]): entry.get("parameters") for entry in entries if "name" in entry}
    if named and all(isinstance(count, (int, float)) for count in named.values()):
        return tuple(sorted(named, key=lambda name: named[name] or 0))
    return tuple(dict.fromkeys([*named, *(row.size for row in rows if row.size)]))


def _read_stages(path: Path) -> Iterator[StageRun]:
    children = [child for child in path.iterdir() if child.is_dir() and child.name not in _NO_STAGES]
    folders = [child for child in children if _is_stage(child)]
    nested = [inner for child in children if child not in folders for inner in child.iterdir() if _is_stage(inner)]
    if not folders and not nested and (path / "metrics.jsonl").exists():
        yield _read_stage(path, folder="")
    for folder in sorted([*folders, *nested], key=_stage_position):
        size = folder.parent.name if folder.parent != path else ""
        yield _read_stage(folder, folder=str(folder.relative_to(path)), size=size)


def _is_stage(path: Path) -> bool:
    return path.is_dir() and any((path / name).exists() for name in STAGE_FILES)


def _stage_position(folder: Path) -> tuple[int, str, str]:
    name = folder.name
    return (STAGE_ORDER.index(name) if name in STAGE_ORDER else len(STAGE_ORDER), name, str(folder))


def _read_stage(path: Path, *, folder: str, size: str = "") -> StageRun:
    run = RunFolder.open(path)
    return StageRun(
        name=path.resolve().name if not folder else path.name,
        folder=folder,
        size=size,
        config=_read_config(run),
        metrics=run.read_metrics(),
        samples=run.read_samples(),
        summary=_read_summary(path),
    )


def _read_config(run: RunFolder) -> dict[str, Any]:
    try:
        config = run.read_config()
    except yaml.YAMLError as error:
        raise DataError(f"{run.config_path} is not YAML ({error}). Restore it or remove it.") from error
    return config if isinstance(config, dict) else {}


def _read_summary(path: Path) -> dict[str, Any]:
    file = path / SUMMARY
    if not file.exists():
        return {}
    try:
        summary = json.loads(file.read_bytes())
    except ValueError as error:
        raise DataError(f"{file} is not JSON ({error}). Restore it, or remove it and run the stage again.") from error
    if not isinstance(summary, dict):
        raise DataError(f"{file} is a {type(summary).__name__}; it must be one JSON object. Restore it or remove it.")
    return summary


Evaluated = TypeVar("Evaluated", bound=Record)


def _read_evaluation(path: Path, model: type[Evaluated], skipped: list[Skipped]) -> list[Evaluated]:
    if not path.exists():
        return []
    own: list[Skipped] = []
    found = list(read_records(path, model, skip_bad=True, on_skip=own.append))
    if own and not found:
        raise _of_other_version(path, own[0].message)
    skipped.extend(own)
    return found


def _read_measurements(path: Path, skipped: list[Skipped]) -> list[Row] | None:
    if not path.exists():
        return None
    log = SkipLog(path, skip_bad=True, on_skip=skipped.append)
    found = []
    for number, row in read_rows(path, log):
        condition = row.get("condition")
        if isinstance(condition, dict) and "baseline" in condition:
            raise _of_other_version(path, f"line {number} has its baseline among its conditions")
        try:
            found.append(Row.model_validate({**row, "entry": f"{MEASUREMENTS}#/{number - 1}"}))
        except ValidationError as error:
            log.refuse(record_error(path, number, error))
    return found


def _of_other_version(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path} was not written by this version of the program: {reason}. Measure the run again, with the command "
        "that made it and --redo judgements"
    )
