"""Shared by all training loops: the run folder, resume, checkpoints, metrics, progress. No math."""

from __future__ import annotations

import logging
import pickle
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from tutelage.config import config_hash, dump_config
from tutelage.errors import CheckpointError, Stopped
from tutelage.model.loading import device_of
from tutelage.model.policy import PackedModel
from tutelage.model.precision import set_product_precision
from tutelage.model.speed import seconds_of_product
from tutelage.progress import progress
from tutelage.seeds import derived_seed
from tutelage.store.atomic import atomic_directory
from tutelage.store.runs import RunFolder, versions
from tutelage.store.trackers import open_trackers
from tutelage.training.allocation import FreedMemory
from tutelage.training.config import TrainingConfig
from tutelage.training.inert import inert_settings
from tutelage.training.opening import open_run
from tutelage.training.processes import Processes
from tutelage.training.stopping import stop_requests
from tutelage.training.timing import StepTimer

_log = logging.getLogger(__name__)


class Stateful(Protocol):
    def state_dict(self) -> Any: ...

    def load_state_dict(self, state: Any) -> Any: ...


class TrainingRun:
    """One run of one stage. What is registered in `components` is saved and restored together, all or nothing."""

    def __init__(self, name: str, config: TrainingConfig, *, resume: bool) -> None:
        self.name, self.config = name, config
        self.device, self.processes = device_of(config.device), Processes()
        set_product_precision(config.dtype, self.device)
        self.run = open_run(name, config, resume=resume)
        trackers = open_trackers(config.track, config.out, config.model_dump(mode="json"))
        self.folder = RunFolder(config.out, trackers=trackers)
        self.folder.write_config(dump_config(config))
        if config.dtype == "bfloat16" and self.device.type == "cpu":
            _warn_of_slow_bfloat16(seconds_of_product(torch.bfloat16) / seconds_of_product(torch.float32))
        self.components: dict[str, Stateful] = {}
        self.notes: dict[str, Any] = {}  # small plain values that a loop needs after a resume
        self.freed = FreedMemory()
        self.timer = StepTimer(self.device)
        self.started = time.monotonic()
        self.num_steps_done = self.num_steps_saved = 0

    def generator(self, *purpose: str | int) -> torch.Generator:
        """A CPU generator for one purpose, the same in a resumed run."""
        return torch.Generator().manual_seed(derived_seed(self.config.seed, self.name, *purpose))

    def steps(self, num_steps: int) -> Iterator[int]:
        """Restore the newest checkpoint, then yield each remaining step, with progress; saves checkpoints when due."""
        for line in inert_settings(self.config, num_steps):
            _log.warning("%s: %s", self.name, line)
        start = self._restore()
        self.run.note_revisions(self.config)
        self._warn_of_lost_metrics(start)
        self.folder.truncate_to(start or -1)
        self.num_steps_done = self.num_steps_saved = start
        self.note = ""
        every = self.config.checkpoint_every_num_steps
        with progress(self.name, num_steps, done=start, unit="steps") as shown, stop_requests() as request:
            for step in range(start, num_steps):
                # Dropout is the only draw from the global generator.
                torch.manual_seed(derived_seed(self.config.seed, self.name, "step", step))
                yield step
                self.num_steps_done = step + 1
                is_due = every and (step + 1) % every == 0
                stopped_by = request.signal  # read once: a later signal stops the next step
                if (is_due or stopped_by) and step + 1 < num_steps:
                    self.save_checkpoint(step + 1)
                self.freed.give_back()
                shown.advance(1, self.note)
                if stopped_by and step + 1 < num_steps:
                    raise Stopped(
                        f"stopped after step {step + 1} of {num_steps}, which is saved; --resume continues from there",
                        128 + stopped_by,
                    )

    def try_saving(self, *models: PackedModel) -> None:
        """Save each model once before the first step and remove it, so that a failing save fails now, not at the end.

        It takes as long as the final save and briefly as much disk space. A resumed run has already done it.
        """
        if self._checkpoints():
            return
        trial = self.config.out / ".trial"
        for model in models:
            shutil.rmtree(trial, ignore_errors=True)
            with atomic_directory(trial, survives="Nothing was trained yet.") as partial:
                model.save(partial)
            shutil.rmtree(trial)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Metrics after `step` + 1 steps, named `stage/quantity`."""
        named = {f"{self.name}/{quantity}": value for quantity, value in metrics.items()}
        self.folder.log_metrics(step + 1, named)

    def log_timings(self, step: int) -> None:
        """Log where the time of a step went, to a separate file."""
        self.folder.log_timings(step + 1, self.timer.take())

    def save_checkpoint(self, num_steps_done: int) -> None:
        """State after `num_steps_done` steps; the previous checkpoint is deleted only once this one is complete."""
        path = self.folder.checkpoints / f"step-{num_steps_done:08d}"
        if path.exists():
            shutil.rmtree(path)
        previous = self._checkpoints()
        survives = "There is no checkpoint yet."
        if previous:
            survives = f"The previous checkpoint, {previous[-1].name}, is intact."
        with atomic_directory(path, survives=survives) as partial:
            state = {name: component.state_dict() for name, component in self.components.items()}
            saved = {"run": self.run.run_id, "step": num_steps_done, "notes": self.notes, "state": state}
            torch.save(saved, partial / "state.pt")
        self.num_steps_saved = num_steps_done
        for old in self._checkpoints()[: -self.config.keep_checkpoints]:
            shutil.rmtree(old)

    def _checkpoints(self) -> list[Path]:
        return sorted(self.folder.checkpoints.glob("step-*"))

    def _restore(self) -> int:
        checkpoints = self._checkpoints()
        if not checkpoints:
            return 0
        saved = _load_checkpoint(checkpoints[-1])
        if saved["run"] != self.run.run_id:
            raise CheckpointError(_describe_broken(checkpoints[-1], "it belongs to another run"))
        try:
            for name, component in self.components.items():
                component.load_state_dict(saved["state"][name])
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            reason = "it belongs to another model: " + str(error).strip().partition("\n")[0]
            raise CheckpointError(_describe_broken(checkpoints[-1], reason)) from error
        self.notes = saved["notes"]
        return int(saved["step"])

    def _warn_of_lost_metrics(self, num_steps_done: int) -> None:
        last = max((row.get("step", 0) for row in self.folder.read_metrics()), default=0)
        if last < num_steps_done:
            _log.warning(
                "%s ends at step %d, but the run resumes after step %d: the steps in between are missing from it",
                self.folder.metrics_path,
                last,
                num_steps_done,
            )

    def save_model(self, model: PackedModel, name: str = "model") -> None:
        """The model's folder in `out`; an older one of that name is replaced only once the new one is complete."""
        folder = self.config.out / name
        replaced = folder.with_name(f".{folder.name}.replaced")
        fresh = folder.with_name(f"{folder.name}.new")
        for leftover in (replaced, fresh):
            shutil.rmtree(leftover, ignore_errors=True)
        with atomic_directory(fresh, survives="What was saved before is intact.") as partial:
            model.save(partial)
        if folder.exists():
            folder.rename(replaced)
        fresh.rename(folder)
        shutil.rmtree(replaced, ignore_errors=True)

    def finish(self, summary: Mapping[str, Any]) -> dict[str, Any]:
        """Write the summary, which marks the run as finished."""
        whole = {
            "stage": self.name,
            **summary,
            "seed": self.config.seed,
            "seconds": round(time.monotonic() - self.started, 3),
            "config_hash": config_hash(self.config),
            "versions": versions(),
        }
        if "changed_inputs" in self.run.identity:
            whole["changed_inputs"] = self.run.identity["changed_inputs"]
        self.run.note_end(self.folder.summary_bytes(whole))
        self.folder.write_summary(whole)
        for tracker in self.folder.trackers:
            tracker.close()
        return whole


def run_training(
    name: str, config: TrainingConfig, *, resume: bool, loop: Callable[[TrainingRun], dict[str, Any]]
) -> dict[str, Any]:
    """Open the run, let `loop` train, and return the summary; a finished run returns its existing summary."""
    stage = TrainingRun(name, config, resume=resume)
    try:
        if stage.run.is_finished():
            return stage.folder.read_summary()
        return stage.finish(loop(stage))
    except KeyboardInterrupt:
        raise Stopped(_describe_loss(stage)) from None
    finally:
        stage.run.lock.release()


def _describe_loss(stage: TrainingRun) -> str:
    """What a run that stopped between saves has kept."""
    lost = stage.num_steps_done - stage.num_steps_saved
    if stage.num_steps_saved:
        kept = f"step {stage.num_steps_saved} is saved, {lost} finished steps after it are not"
        return f"stopped: {kept}; --resume continues from step {stage.num_steps_saved}"
    if stage.num_steps_done:
        return f"stopped: nothing was saved of {lost} finished steps; --resume starts from the first one"
    return "stopped before the first step was finished; nothing was saved"


def _load_checkpoint(folder: Path) -> dict[str, Any]:
    """The contents of a checkpoint, read without executing anything in it."""
    try:
        saved = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(_describe_broken(folder, error.strerror or "it cannot be read")) from error
    except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError, TypeError) as error:
        # Hide torch's own message, which advises loading the file without the safeguard.
        raise CheckpointError(_describe_broken(folder, "it is truncated, or not one of this program")) from error
    if not isinstance(saved, dict) or any(key not in saved for key in ("run", "step", "notes", "state")):
        raise CheckpointError(_describe_broken(folder, "it is not a checkpoint of this program"))
    return saved


def _describe_broken(folder: Path, reason: str) -> str:
    return (
        f"checkpoint {folder} cannot be resumed from: {reason}. Delete it to resume from the previous one, or from the "
        "start if there is none"
    )


def _warn_of_slow_bfloat16(slowdown: float) -> None:
    """A CPU without bfloat16 instructions multiplies it many times more slowly than float32."""
    if slowdown > 2:
        _log.warning(
            "dtype is bfloat16, whose matrix products take %.0f times as long as float32's on this CPU; "
            "set dtype: float32",
            slowdown,
        )
