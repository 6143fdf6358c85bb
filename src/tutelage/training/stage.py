"""What all loops share around their steps: the run folder, resume, checkpoints, metrics, progress. No mathematics."""

from __future__ import annotations

import logging
import pickle
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import PreTrainedModel

from tutelage.config import config_hash, dump_config
from tutelage.errors import CheckpointError
from tutelage.model.adapters import merged
from tutelage.model.loading import device_of, save_model
from tutelage.model.speed import seconds_of_product
from tutelage.progress import progress
from tutelage.seeds import derived_seed
from tutelage.store.atomic import atomic_directory
from tutelage.store.runs import RunFolder, versions
from tutelage.store.trackers import open_trackers
from tutelage.training.allocation import FreedMemory
from tutelage.training.config import StageConfig
from tutelage.training.inert import inert_settings

_log = logging.getLogger(__name__)
# Keys that may differ between a run and its continuation: they cannot change a number.
FREE_KEYS = ("out", "checkpoint_every_num_steps", "keep_checkpoints", "track")


class Stateful(Protocol):
    def state_dict(self) -> Any: ...

    def load_state_dict(self, state: Any) -> Any: ...


class Stage:
    """One run of one stage. What is registered in `components` is saved and restored together, whole or not at all."""

    def __init__(self, name: str, config: StageConfig, *, resume: bool) -> None:
        self.name, self.config = name, config
        trackers = open_trackers(config.track, config.out, config.model_dump(mode="json"))
        self.folder = RunFolder(config.out, trackers=trackers)
        if not resume:
            self.folder.require_new()
        elif self.folder.has_started:
            _require_same(self.folder.read_config(), config, config.out)
        self.folder.write_config(dump_config(config))
        self.device = device_of(config.device)
        if config.dtype == "bfloat16" and self.device.type == "cpu":
            _warn_of_slow_bfloat16(seconds_of_product(torch.bfloat16) / seconds_of_product(torch.float32))
        self.components: dict[str, Stateful] = {}
        self.notes: dict[str, Any] = {}  # small plain values that a loop wants back after a resume
        self.freed = FreedMemory()
        self.started = time.monotonic()

    @property
    def is_finished(self) -> bool:
        return self.folder.summary_path.exists()

    def precision(self) -> AbstractContextManager[Any]:
        """Matrix products in bfloat16 where the configuration asks for it; everything else stays float32."""
        if self.config.dtype == "bfloat16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def generator(self, *purpose: str | int) -> torch.Generator:
        """A CPU generator for one purpose, the same in a resumed run."""
        return torch.Generator().manual_seed(derived_seed(self.config.seed, self.name, *purpose))

    def steps(self, num_steps: int) -> Iterator[int]:
        """Restore the newest checkpoint, then every step that is left, with progress; a checkpoint where one is due."""
        for line in inert_settings(self.config, num_steps):
            _log.warning("%s: %s", self.name, line)
        start = self._restore()
        self.folder.truncate_to(start or -1)
        self.note = ""
        with progress(self.name, num_steps, done=start, unit="steps") as shown:
            for step in range(start, num_steps):
                # Dropout is the only draw from the global generator.
                torch.manual_seed(derived_seed(self.config.seed, self.name, "step", step))
                yield step
                every = self.config.checkpoint_every_num_steps
                if (every and (step + 1) % every == 0) and step + 1 < num_steps:
                    self.save_checkpoint(step + 1)
                self.freed.give_back()
                shown.advance(1, self.note)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Metrics after `step` + 1 steps, named `stage/quantity`."""
        named = {f"{self.name}/{quantity}": value for quantity, value in metrics.items()}
        self.folder.log_metrics(step + 1, named)

    def save_checkpoint(self, num_steps_done: int) -> None:
        """State after `num_steps_done` steps; the previous checkpoint goes only when this one is whole."""
        path = self.folder.checkpoints / f"step-{num_steps_done:08d}"
        if path.exists():
            shutil.rmtree(path)
        previous = self._checkpoints()
        survives = "There is no checkpoint yet."
        if previous:
            survives = f"The previous checkpoint, {previous[-1].name}, is intact."
        with atomic_directory(path, survives=survives) as partial:
            state = {name: component.state_dict() for name, component in self.components.items()}
            torch.save({"step": num_steps_done, "notes": self.notes, "state": state}, partial / "state.pt")
        for old in self._checkpoints()[: -self.config.keep_checkpoints]:
            shutil.rmtree(old)

    def _checkpoints(self) -> list[Path]:
        return sorted(self.folder.checkpoints.glob("step-*"))

    def _restore(self) -> int:
        checkpoints = self._checkpoints()
        if not checkpoints:
            return 0
        try:
            saved = torch.load(checkpoints[-1] / "state.pt", map_location="cpu", weights_only=True)
            for name, component in self.components.items():
                component.load_state_dict(saved["state"][name])
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, KeyError, ValueError) as error:
            first_line = str(error).strip().partition("\n")[0]
            raise CheckpointError(
                f"checkpoint {checkpoints[-1]} is broken or of other models ({first_line}); "
                "remove it to go on from the one before"
            ) from error
        self.notes = saved["notes"]
        return int(saved["step"])

    def save_model(self, model: PreTrainedModel, tokenizer: Any, folder: Path) -> None:
        """A model folder, adapters merged; an older one of that name is replaced only when the new one is whole."""
        replaced = folder.with_name(f".{folder.name}.replaced")
        fresh = folder.with_name(f"{folder.name}.new")
        for leftover in (replaced, fresh):
            shutil.rmtree(leftover, ignore_errors=True)
        with atomic_directory(fresh, survives="What was saved before is intact.") as partial:
            save_model(merged(model), tokenizer, partial)
        if folder.exists():
            folder.rename(replaced)
        fresh.rename(folder)
        shutil.rmtree(replaced, ignore_errors=True)

    def finish(self, summary: Mapping[str, Any]) -> dict[str, Any]:
        """Write the summary, which marks the run as done."""
        whole = {
            "stage": self.name,
            **summary,
            "seed": self.config.seed,
            "seconds": round(time.monotonic() - self.started, 3),
            "config_hash": config_hash(self.config),
            "versions": versions(),
        }
        self.folder.write_summary(whole)
        for tracker in self.folder.trackers:
            tracker.close()
        return whole


def run_stage(
    name: str, config: StageConfig, *, resume: bool, loop: Callable[[Stage], dict[str, Any]]
) -> dict[str, Any]:
    """Open the run, let `loop` train, and return the summary; a finished run that is resumed returns the one it has."""
    stage = Stage(name, config, resume=resume)
    if stage.is_finished:
        return stage.folder.read_summary()
    return stage.finish(loop(stage))


def _require_same(before: Mapping[str, Any], config: StageConfig, out: Path) -> None:
    now = config.model_dump(mode="json")
    differing = [key for key in now if key not in FREE_KEYS and before.get(key, now[key]) != now[key]]
    if differing:
        shown = "; ".join(f"{key} was {before[key]!r}, now {now[key]!r}" for key in differing)
        raise CheckpointError(
            f"{out} cannot be resumed with another configuration: {shown}. Put the old values back, or choose another "
            "`out`"
        )


def _warn_of_slow_bfloat16(slowdown: float) -> None:
    """A CPU without instructions for bfloat16 multiplies it many times more slowly than float32."""
    if slowdown > 2:
        _log.warning(
            "dtype is bfloat16, whose matrix products take %.0f times as long as float32's on this CPU; "
            "set dtype: float32",
            slowdown,
        )
