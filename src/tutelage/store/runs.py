"""The run folder: resolved configuration, metrics, samples, checkpoints and summary of one run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tutelage.errors import DataError, RecordError
from tutelage.store.atomic import atomic_directory, atomic_file, clean_partial, storage_refusals
from tutelage.store.journal import cut_half_line
from tutelage.store.trackers import Tracker
from tutelage.store.versions import versions

__all__ = ["RunFolder", "atomic_directory", "clean_partial", "versions"]


def _plain(value: Any) -> Any:
    """Numbers of other libraries as Python's; what JSON cannot represent (NaN, infinities) as null."""
    if hasattr(value, "item") and callable(value.item) and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _json(value: Any) -> bytes:
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False).encode("utf-8", errors="replace")


class RunFolder:
    """One run on disk. Metrics and samples are appended line by line, everything else is written atomically."""

    def __init__(self, path: Path | str, *, trackers: Sequence[Tracker] = ()) -> None:
        """Create the folder if it is missing and remove what a killed run left half-written."""
        self._place(path, trackers)
        with storage_refusals(self.path, "Nothing was written."):
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            clean_partial(self.path)
            clean_partial(self.checkpoints)
            cut_half_line(self.metrics_path)
            cut_half_line(self.samples_path)
            cut_half_line(self.timings_path)

    @classmethod
    def open(cls, path: Path | str) -> RunFolder:
        """Open a run for reading: nothing on disk is changed. Raises `DataError` if there is no run."""
        run = cls.__new__(cls)
        run._place(path, ())
        if not run.metrics_path.exists() and not run.summary_path.exists():
            raise DataError(
                f"{path} is not a run folder: it has neither metrics.jsonl nor summary.json. Give the folder of a run."
            )
        return run

    def _place(self, path: Path | str, trackers: Sequence[Tracker]) -> None:
        self.path, self.trackers = Path(path), tuple(trackers)
        self.config_path, self.summary_path = self.path / "config.yaml", self.path / "summary.json"
        self.metrics_path, self.samples_path = self.path / "metrics.jsonl", self.path / "samples.jsonl"
        self.timings_path = self.path / "timings.jsonl"
        self.checkpoints, self.report_path = self.path / "checkpoints", self.path / "report.html"

    def write_config(self, config: Mapping[str, Any] | str) -> None:
        """Write the resolved configuration, given as a mapping or as YAML text."""
        text = config if isinstance(config, str) else yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
        with atomic_file(self.config_path) as handle:
            handle.write(text.encode())

    def read_config(self) -> dict[str, Any]:
        """The resolved configuration, {} if there is none."""
        if not self.config_path.exists():
            return {}
        return yaml.safe_load(self.config_path.read_text(encoding="utf-8")) or {}

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write the outcome of the run as JSON."""
        with atomic_file(self.summary_path) as handle:
            handle.write(self.summary_bytes(summary))

    @staticmethod
    def summary_bytes(summary: Mapping[str, Any]) -> bytes:
        """What `write_summary` writes."""
        return json.dumps(_plain(summary), ensure_ascii=False, allow_nan=False, indent=2).encode() + b"\n"

    def read_summary(self) -> dict[str, Any]:
        """The outcome of the run, {} if it has not finished."""
        return json.loads(self.summary_path.read_bytes()) if self.summary_path.exists() else {}

    def log_metrics(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Append {"step": step, **metrics} and pass it to the trackers. Non-finite numbers are written as null."""
        assert "step" not in metrics, "the step is passed separately from the metrics"
        self._append(self.metrics_path, [{"step": step, **metrics}])
        for tracker in self.trackers:
            tracker.log(step, metrics)

    def log_samples(self, samples: Iterable[Mapping[str, Any]], *, step: int | None = None) -> None:
        """Append one line per sample, marked with `step` if given; `truncate_to` removes only lines with a step."""
        marked = [{"step": step, **sample} if step is not None else dict(sample) for sample in samples]
        self._append(self.samples_path, marked)

    def log_timings(self, step: int, timings: Mapping[str, Any]) -> None:
        """Append a step's timings, separate from the metrics: a repeated run gives different timings."""
        self._append(self.timings_path, [{"step": step, **timings}])
        for tracker in self.trackers:
            tracker.log(step, timings)

    def read_timings(self) -> list[dict[str, Any]]:
        """Every line of timings.jsonl, as `read_metrics`."""
        return list(_lines(self.timings_path))

    def _append(self, path: Path, rows: list[dict[str, Any]]) -> None:
        with storage_refusals(path, "What was logged before is intact."), path.open("ab") as handle:
            handle.write(b"".join(_json(row) + b"\n" for row in rows))

    def read_metrics(self) -> list[dict[str, Any]]:
        """Every line of metrics.jsonl; a last line truncated by a kill is skipped. Raises `RecordError`."""
        return list(_lines(self.metrics_path))

    def read_samples(self) -> list[dict[str, Any]]:
        """Every line of samples.jsonl, as `read_metrics`."""
        return list(_lines(self.samples_path))

    def close(self) -> None:
        """Close the trackers; the files do not need closing."""
        for tracker in self.trackers:
            tracker.close()

    def truncate_to(self, step: int) -> None:
        """Remove what was logged after `step`, since a run that resumes from there will write it again."""
        for path in (self.metrics_path, self.samples_path, self.timings_path):
            if path.exists():
                with atomic_file(path) as handle:
                    handle.writelines(_json(row) + b"\n" for row in _lines(path) if row.get("step", step) <= step)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    with path.open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield json.loads(line)
            except ValueError as error:
                raise RecordError(
                    path=path,
                    line=number,
                    field="(line)",
                    value=line[:80],
                    rule=f"it must be one JSON object ({error})",
                    remedy="Remove the line.",
                ) from None
