"""The public benchmarks by name; each reads its published file from a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tutelage.errors import ConfigError
from tutelage.evaluation.task import EvaluationTask
from tutelage.evaluation.tasks.bias_pairs import crows_pairs, winogender
from tutelage.evaluation.tasks.sst2 import sst2
from tutelage.evaluation.tasks.truthfulqa import choice_tasks, response_tasks

TASKS: dict[str, Callable[[Path], list[EvaluationTask[Any]]]] = {
    "truthfulqa": choice_tasks,
    "truthfulqa_responses": response_tasks,
    "crows_pairs": crows_pairs,
    "winogender": winogender,
    "sst2": sst2,
}


def read_tasks(names: Sequence[str], folder: Path) -> dict[str, list[EvaluationTask[Any]]]:
    """The tasks of each name, one for every prompt type or number of examples.

    Raises `ConfigError` for a name that does not exist, `DataError` for a missing file.
    """
    unknown = [name for name in names if name not in TASKS]
    if unknown or not names:
        raise ConfigError(
            f"tasks are {', '.join(names) or 'none'}; each must be one of {', '.join(TASKS)}. "
            f"Correct {', '.join(unknown) or '--tasks'}"
        )
    return {name: TASKS[name](folder) for name in dict.fromkeys(names)}
