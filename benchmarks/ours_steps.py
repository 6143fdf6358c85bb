"""When each step of one of our training runs ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from worker import now

from tutelage.training.stage import TrainingRun


@contextmanager
def step_ends() -> Iterator[list[tuple[float, float]]]:
    """The times at which the stage wrote a line of metrics; the stage itself does what it always does."""
    stamps: list[tuple[float, float]] = []
    log = TrainingRun.log

    def timed(stage: TrainingRun, step: int, metrics: Mapping[str, float]) -> None:
        log(stage, step, metrics)
        stamps.append(now())

    TrainingRun.log = timed  # type: ignore[method-assign]
    try:
        yield stamps
    finally:
        TrainingRun.log = log  # type: ignore[method-assign]
