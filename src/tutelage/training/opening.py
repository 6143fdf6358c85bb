"""Opening a run: its folder belongs to it, its inputs are unchanged, and no other process uses it."""

from __future__ import annotations

import hashlib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tutelage.errors import CheckpointError, DataError
from tutelage.store.fingerprints import fingerprint, is_same
from tutelage.store.lock import FolderLock
from tutelage.store.ownership import (
    IDENTITY_NAME,
    new_identity,
    read_identity,
    require_own_folder,
    require_unowned_inputs,
    write_identity,
)
from tutelage.training.config import TrainingConfig

# Keys that may differ between a run and its continuation: they cannot change any result.
FREE_KEYS = (
    "out",
    "checkpoint_every_num_steps",
    "keep_checkpoints",
    "track",
    "allow_other_files",
    "allow_changed_inputs",
)
MODELS = ("model", "value_model")
OWN_NAMES = (
    IDENTITY_NAME,
    "config.yaml",
    "metrics.jsonl",
    "samples.jsonl",
    "timings.jsonl",
    "summary.json",
    "checkpoints",
    "tensorboard",
    "wandb",
    *MODELS,
)
_SIGNS_OF_WORK = ("metrics.jsonl", "samples.jsonl", "timings.jsonl", "summary.json", *MODELS)


@dataclass(slots=True)
class OpenedRun:
    """The lock of a run's folder, and the contents of run.json: id, stage, configuration, inputs, end."""

    out: Path
    lock: FolderLock
    identity: dict[str, Any]

    @property
    def run_id(self) -> str:
        return str(self.identity["run_id"])

    def note_revisions(self, config: TrainingConfig) -> None:
        """Once everything is loaded, record the revisions of hub ids that were not cached before."""
        unknown = [key for key, digest in self.identity["inputs"].items() if digest == "hub:?"]
        if unknown:
            sources = dict(inputs_of(config))
            self.identity["inputs"] |= {key: fingerprint(sources[key]) for key in unknown}
            write_identity(self.out, self.identity)

    def note_end(self, summary: bytes) -> None:
        """Record the final outputs: the digest of the summary and of each model folder."""
        models = {name: fingerprint(self.out / name) for name in MODELS if (self.out / name).is_dir()}
        self.identity["finished"] = {"summary": _digest(summary), "models": models}
        write_identity(self.out, self.identity)

    def is_finished(self) -> bool:
        """Whether this run wrote summary.json. Raises `CheckpointError` for an inconsistent state."""
        path = self.out / "summary.json"
        if not path.exists():
            return False
        finished = self.identity.get("finished")
        remedy = "Delete summary.json; --resume then trains again from the last checkpoint."
        if finished is None or finished["summary"] != _digest(path.read_bytes()):
            raise CheckpointError(f"{path} is not the summary that this run wrote. {remedy}")
        for name, digest in finished["models"].items():
            if not (self.out / name).is_dir():
                raise CheckpointError(f"{self.out} is finished, but its folder {name!r} is missing. {remedy}")
            if fingerprint(self.out / name) != digest:
                raise CheckpointError(f"{self.out / name} has changed since the run saved it. {remedy}")
        return True


def open_run(name: str, config: TrainingConfig, *, resume: bool) -> OpenedRun:
    """Lock the folder and determine whose it is; run.json is written for a new run.

    Raises `StorageError` for a folder in use, with foreign files, or with inputs inside; `DataError` for a run without
    --resume; `CheckpointError` if it cannot be resumed because its settings or inputs changed.
    """
    out, inputs = config.out, dict(inputs_of(config))
    require_unowned_inputs(out, inputs)
    lock = FolderLock(out)
    try:
        identity = read_identity(out, ("stage", "config", "inputs"))
        if identity is None:
            _require_new_folder(out, config)
        if identity is None or not has_started(out):
            facts = {"stage": name, "config": config.model_dump(mode="json"), "inputs": _fingerprints(inputs)}
            identity = new_identity(**facts)
            write_identity(out, identity)
        elif not resume:
            raise DataError(f"{out} already holds a run. Continue it with --resume, or choose another folder.")
        else:
            _require_same(identity, name, config, _fingerprints(inputs))
    except BaseException:
        lock.release()
        raise
    return OpenedRun(out, lock, identity)


def has_started(out: Path) -> bool:
    """Whether a run has written any results here."""
    if any((out / name).exists() for name in _SIGNS_OF_WORK):
        return True
    checkpoints = out / "checkpoints"
    return checkpoints.is_dir() and any(checkpoints.glob("step-*"))


def _require_new_folder(out: Path, config: TrainingConfig) -> None:
    if (out / "metrics.jsonl").exists() and (out / "checkpoints").exists():
        raise CheckpointError(
            f"{out} contains a run without {IDENTITY_NAME}, so it is unknown what it was started with. Restore the "
            "file, or start a new run in another folder."
        )
    may_hold_others = config.allow_other_files
    how_else = "" if may_hold_others else ", or set allow_other_files: true to keep them next to the run's own"
    require_own_folder(out, OWN_NAMES, may_hold_others=may_hold_others, how_else=how_else)


def inputs_of(config: BaseModel, prefix: str = "") -> Iterator[tuple[str, Path | str]]:
    """Dotted key and value of every file, folder or hub id that a configuration reads."""
    for key, field in type(config).model_fields.items():
        value = getattr(config, key)
        if isinstance(value, BaseModel):
            yield from inputs_of(value, f"{prefix}{key}.")
        elif value is not None and key != "out" and Path in (field.annotation, *typing.get_args(field.annotation)):
            yield f"{prefix}{key}", value


def _fingerprints(inputs: Mapping[str, Path | str]) -> dict[str, str]:
    return {key: fingerprint(source) for key, source in inputs.items()}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _require_same(identity: dict[str, Any], name: str, config: TrainingConfig, now: Mapping[str, str]) -> None:
    """Refuse changed settings, and changed inputs unless allowed; record which inputs changed."""
    if identity["stage"] != name:
        raise CheckpointError(f"{config.out} holds a run of {identity['stage']}, not of {name}. Choose another `out`.")
    settings, before = _settings(config.model_dump(mode="json")), _settings(identity["config"])
    inputs = identity["inputs"]
    differing = [key for key in settings if key not in {*inputs, *now} and before.get(key) != settings[key]]
    if differing:
        shown = "; ".join(f"{key} was {before.get(key)!r}, now {settings[key]!r}" for key in differing)
        raise CheckpointError(
            f"{config.out} cannot be resumed with another configuration: {shown}. Restore the previous values, or "
            "choose another `out`"
        )
    changed = [key for key in {**inputs, **now} if not is_same(inputs.get(key, "none"), now.get(key, "none"))]
    if not changed:
        return
    if not config.allow_changed_inputs:
        shown = "; ".join(f"{key} ({settings.get(key) or before.get(key)})" for key in changed)
        raise CheckpointError(
            f"{config.out} cannot be resumed: its inputs have changed since it started: {shown}. Restore them, choose "
            "another `out`, or set allow_changed_inputs: true to resume anyway"
        )
    identity["inputs"] = dict(now)
    identity["changed_inputs"] = sorted({*identity.get("changed_inputs", ()), *changed})
    write_identity(config.out, identity)


def _settings(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted key and value of every setting that can change a result."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= _settings(value, f"{prefix}{key}.")
        elif f"{prefix}{key}" not in FREE_KEYS:
            found[f"{prefix}{key}"] = value
    return found
