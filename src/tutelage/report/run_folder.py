"""A run folder as it lies on the disk, read with patience: of one stage or of the whole loop, finished or not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError, field_validator

from tutelage.errors import DataError
from tutelage.records import Measurement, Rating, Record
from tutelage.report.arms import BASELINE
from tutelage.statistics import OUTCOMES
from tutelage.store.jsonl import SkipLog, Skipped, read_records, read_rows, record_error
from tutelage.store.runs import RunFolder

# The order in which the whole loop runs them; other folders follow by name.
STAGE_ORDER = ("pretrain", "sft_first", "sft", "ppo_init", "reward", "ppo", "ppo_ptx", "dpo")
STAGE_FILES = ("metrics.jsonl", "summary.json")
SUMMARY = "summary.json"
COMPLETIONS, COMPARISONS, RATINGS, MEASUREMENTS = (
    "evaluation/completions.jsonl",
    "evaluation/comparisons.jsonl",
    "evaluation/ratings.jsonl",
    "evaluation/measurements.jsonl",
)
# Prompts that users wrote for instructed models: what the result is about [3.6].
DISTRIBUTION = "instruct"
# Folders of a whole run that are no stage, whatever lies in them: side runs would crowd the learning curves.
_NO_STAGES = ("evaluation", "sweeps", "figures")


class EvaluatedCompletion(Record):
    """A completion of one arm (at one model size, where the run has several) on one evaluation prompt."""

    prompt_id: str
    prompt: str
    use_case: str = ""
    distribution: str = ""
    arm: str
    size: str = ""
    completion_id: str
    text: str
    is_complete: bool = True


class EvaluatedComparison(Record):
    """One labeler's judgement of an arm's completion against the baseline's: 1 won, 0.5 tied, 0 lost."""

    prompt_id: str
    arm: str
    size: str = ""
    distribution: str = ""
    baseline: str = ""
    baseline_size: str = ""
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
    size: str = ""
    distribution: str = ""
    labeler_group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRun:
    """What one stage left behind. `folder`: relative to the run, "" where the run is this one stage.

    `size`: the model size whose folder it lies in, "" where the run has one size.
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
class Run:
    """Everything that the report draws from. `warnings`: what could not be read, in words for the reader.

    `measurements`: by their place in the file, from 0.
    """

    path: Path
    summary: dict[str, Any]
    stages: tuple[StageRun, ...]
    completions: list[EvaluatedCompletion]
    comparisons: list[EvaluatedComparison]
    ratings: list[EvaluatedRating]
    measurements: dict[int, Measurement]
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
        """The model sizes, smallest first: as the summary counts their parameters, or else as they were measured."""
        declared = self.summary.get("sizes")
        entries = [entry for entry in declared if isinstance(entry, dict)] if isinstance(declared, list) else []
        named = {str(entry["name"]): entry.get("parameters") for entry in entries if "name" in entry}
        if named and all(isinstance(count, (int, float)) for count in named.values()):
            return tuple(sorted(named, key=lambda name: named[name] or 0))
        return tuple(dict.fromkeys([*named, *(row.size for row in self.measurements.values() if row.size)]))

    @property
    def largest(self) -> str:
        """The size that the result is about; "" where the run has one size."""
        return self.sizes[-1] if self.sizes else ""

    @property
    def result_completions(self) -> list[EvaluatedCompletion]:
        """Completions of the largest size to prompts of the first distribution."""
        return [row for row in self.completions if self._is_of_result(row)]

    @property
    def result_comparisons(self) -> list[EvaluatedComparison]:
        """Comparisons with the SFT policy of the largest size, by the largest size's arms."""
        return [row for row in self.comparisons if self._is_of_result(row) and self._is_of_baseline(row)]

    def _is_of_baseline(self, row: EvaluatedComparison) -> bool:
        arm, size = part_baseline(row.baseline, row.baseline_size, self.sizes)
        return arm in ("", BASELINE) and size in ("", self.largest)

    @property
    def result_ratings(self) -> list[EvaluatedRating]:
        """Ratings of the largest size's completions by the labelers who decide: held out where there are such."""
        has_held_out = any(row.labeler_group.startswith("held") for row in self.ratings)
        return [
            row
            for row in self.ratings
            if self._is_of_result(row) and (row.labeler_group.startswith("held") or not has_held_out)
        ]

    def _is_of_result(self, row: EvaluatedCompletion | EvaluatedComparison | EvaluatedRating) -> bool:
        return row.size in ("", self.largest) and row.distribution in ("", DISTRIBUTION)


def part_baseline(baseline: str, size: str, sizes: Iterable[str]) -> tuple[str, str]:
    """The arm and the model size of a baseline: earlier runs wrote both as one name, "sft-large"."""
    joined = [own for own in sizes if not size and baseline.endswith(f"-{own}")]
    longest = max(joined, key=len, default="")
    return (baseline.removesuffix(f"-{longest}"), longest) if longest else (baseline, size)


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
        measurements=_read_measurements(path / MEASUREMENTS, skipped),
        warnings=tuple(f"Left out a record: {skip.message}" for skip in skipped),
    )


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
        raise DataError(f"{file} holds {type(summary).__name__}; it must be one JSON object. Restore it or remove it.")
    return summary


Evaluated = TypeVar("Evaluated", bound=Record)


def _read_evaluation(path: Path, model: type[Evaluated], skipped: list[Skipped]) -> list[Evaluated]:
    if not path.exists():
        return []
    return list(read_records(path, model, skip_bad=True, on_skip=skipped.append))


def _read_measurements(path: Path, skipped: list[Skipped]) -> dict[int, Measurement]:
    if not path.exists():
        return {}
    log = SkipLog(path, skip_bad=True, on_skip=skipped.append)
    found: dict[int, Measurement] = {}
    for number, row in read_rows(path, log):
        try:
            found[number - 1] = Measurement.model_validate(row)
        except ValidationError as error:
            log.refuse(record_error(path, number, error))
    return found
