"""Optional mirrors of the metrics: TensorBoard, Weights & Biases. metrics.jsonl is the source."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tutelage.errors import ConfigError


class Tracker(Protocol):
    """What a run passes its metrics to, in addition to its own file."""

    def log(self, step: int, metrics: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...


def _require(module: str, tracker: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ConfigError(
            f"tracker {tracker!r} needs a package that is not installed. "
            "Run: pip install 'tutelage[track]', or omit the tracker."
        ) from None


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in metrics.items()
        if isinstance(value, (int, float)) or hasattr(value, "item")
    }


class TensorBoardTracker:
    """Scalars as TensorBoard event files in `folder`. Needs the package `tensorboard` only, not torch."""

    def __init__(self, folder: Path) -> None:
        writer = _require("tensorboard.summary.writer.event_file_writer", "tensorboard")
        self._event = _require("tensorboard.compat.proto.event_pb2", "tensorboard").Event
        self._summary = _require("tensorboard.compat.proto.summary_pb2", "tensorboard").Summary
        self._writer = writer.EventFileWriter(str(folder))

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Write one event with every number of `metrics`."""
        values = [self._summary.Value(tag=name, simple_value=value) for name, value in _numbers(metrics).items()]
        self._writer.add_event(self._event(wall_time=time.time(), step=step, summary=self._summary(value=values)))
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class WandbTracker:
    """Metrics as a Weights & Biases run; the only part that uses the network, and only on request."""

    def __init__(self, folder: Path, *, config: Mapping[str, Any], name: str) -> None:
        wandb = _require("wandb", "wandb")
        self._run = wandb.init(project="tutelage", dir=str(folder), name=name, config=dict(config))

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Log every number of `metrics` at `step`."""
        self._run.log(_numbers(metrics), step=step)

    def close(self) -> None:
        self._run.finish()


def open_trackers(names: Sequence[str], folder: Path | str, config: Mapping[str, Any]) -> list[Tracker]:
    """The trackers "tensorboard" or "wandb" for the run in `folder`. Raises `ConfigError` for another name."""
    folder = Path(folder)
    trackers: list[Tracker] = []
    for name in names:
        if name == "tensorboard":
            trackers.append(TensorBoardTracker(folder / "tensorboard"))
        elif name == "wandb":
            trackers.append(WandbTracker(folder, config=config, name=folder.name))
        else:
            raise ConfigError(f"tracker {name!r} is unknown; it must be 'tensorboard' or 'wandb'.")
    return trackers
