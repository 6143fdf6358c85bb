"""A run folder as it lies on the disk, read with patience: of one stage or of the whole loop, finished or not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import field_validator

from tutelage.errors import DataError
from tutelage.records import Rating, Record
from tutelage.statistics import OUTCOMES
from tutelage.store.jsonl import Skipped, read_records
from tutelage.store.runs import RunFolder

# The order in which the whole loop runs them; other folders follow by name.
STAGE_ORDER = ("pretrain", "sft", "ppo_init", "reward", "ppo", "ppo_ptx", "dpo")
STAGE_FILES = ("metrics.jsonl", "summary.json")
SUMMARY = "summary.json"
COMPLETIONS, COMPARISONS, RATINGS = (
    "evaluation/completions.jsonl",
    "evaluation/comparisons.jsonl",
    "evaluation/ratings.jsonl",
)


class EvaluatedCompletion(Record):
    """A completion of one arm on one evaluation prompt."""

    prompt_id: str
    prompt: str
    use_case: str = ""
    arm: str
    completion_id: str
    text: str
    is_complete: bool = True


class EvaluatedComparison(Record):
    """One labeler's judgement of an arm's completion against the baseline's: 1 won, 0.5 tied, 0 lost."""

    prompt_id: str
    arm: str
    completion_id: str
    baseline_id: str = ""
    labeler_id: str = ""
    labeler_group: str = ""
    outcome: float

    @field_validator("outcome")
    @classmethod
    def _check_outcome(cls, outcome: float) -> float:
        if outcome not in OUTCOMES:
            raise ValueError("it must be 1 (won), 0.5 (tied) or 0 (lost)")
        return outcome


class EvaluatedRating(Rating):
    """A rating of one arm's completion."""

    arm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRun:
    """What one stage left behind. `folder`: relative to the run, "" where the run is this one stage."""

    name: str
    folder: str
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
class Run:
    """Everything that the report draws from. `warnings`: what could not be read, in words for the reader."""

    path: Path
    summary: dict[str, Any]
    stages: tuple[StageRun, ...]
    completions: list[EvaluatedCompletion]
    comparisons: list[EvaluatedComparison]
    ratings: list[EvaluatedRating]
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

    def stage(self, name: str) -> StageRun | None:
        return next((stage for stage in self.stages if stage.name == name), None)


def read_run(path: Path | str) -> Run:
    """Read a run folder: of the whole loop (one folder a stage, `evaluation/`, `summary.json`) or of a single stage.

    What is missing is left out. Raises `DataError` where `path` is no run folder or its summary is not JSON,
    `RecordError` where metrics are broken before their last line.
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
    return Run(
        path=path,
        summary=_read_summary(path),
        stages=stages,
        completions=_read_evaluation(path / COMPLETIONS, EvaluatedCompletion, skipped),
        comparisons=_read_evaluation(path / COMPARISONS, EvaluatedComparison, skipped),
        ratings=_read_evaluation(path / RATINGS, EvaluatedRating, skipped),
        warnings=tuple(f"Left out a record: {skip.message}" for skip in skipped),
    )


def _read_stages(path: Path) -> Iterator[StageRun]:
    folders = [child for child in path.iterdir() if child.is_dir() and _is_stage(child) and child.name != "evaluation"]
    if not folders and (path / "metrics.jsonl").exists():
        yield _read_stage(path, folder="")
    for child in sorted(folders, key=_stage_position):
        yield _read_stage(child, folder=child.name)


def _is_stage(path: Path) -> bool:
    return any((path / name).exists() for name in STAGE_FILES)


def _stage_position(folder: Path) -> tuple[int, str]:
    name = folder.name
    return (STAGE_ORDER.index(name) if name in STAGE_ORDER else len(STAGE_ORDER), name)


def _read_stage(path: Path, *, folder: str) -> StageRun:
    run = RunFolder.open(path)
    return StageRun(
        name=folder or path.resolve().name,
        folder=folder,
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
        raise DataError(f"{file} holds {type(summary).__name__}; it must be one JSON object. Restore it or remove it.")
    return summary


Evaluated = TypeVar("Evaluated", bound=Record)


def _read_evaluation(path: Path, model: type[Evaluated], skipped: list[Skipped]) -> list[Evaluated]:
    if not path.exists():
        return []
    return list(read_records(path, model, skip_bad=True, on_skip=skipped.append))
