"""Steps of a run: each is done once, and redone when its inputs have changed. Independent of what the steps do."""

from __future__ import annotations

import json
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tutelage.config import Config, dump_config
from tutelage.errors import CheckpointError, Stopped
from tutelage.store.atomic import atomic_file, clean_partial
from tutelage.store.fingerprints import fingerprint, is_same
from tutelage.store.lock import FolderLock
from tutelage.store.ownership import require_own_folder
from tutelage.workflow.code_version import code_version

PROGRESS = "progress.json"
CODE = "its code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A piece of work whose result depends only on `needs`, `settings` and the code of `modules`.

    `needs`: files, folders or hub ids that it reads, by name. `leaves`: what it writes, relative to the run's folder;
    `owns`: what is removed before it is redone, if that is more than `leaves`. `work` returns plain JSON.
    """

    name: str
    work: Callable[[], Any]
    needs: Mapping[str, Path | str]
    leaves: tuple[str, ...]
    modules: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    owns: tuple[str, ...] = ()


class Steps:
    """The folder of the steps. `progress.json` records the inputs and outputs of each finished step.

    A killed step restarts from its beginning, unless it can resume by itself (a stage resumes from its checkpoint); a
    finished one is skipped while its inputs, settings and code are unchanged. One process at a time. `redo` names a
    step to redo with all that followed it; `may_keep_other_code` keeps results of another version of this program.
    `expected_seconds`: how long the steps of a long run should take, by name in their order, from which the time left
    is told.
    """

    # Short steps say little about the machine: until so much work is done, the expected times count as they are.
    SECONDS_OF_A_PACE = 60.0

    def __init__(
        self,
        out: Path,
        *,
        redo: str | None = None,
        may_keep_other_code: bool = False,
        expected_seconds: Mapping[str, float] | None = None,
    ) -> None:
        self.out, self.may_keep_other_code = out, may_keep_other_code
        self.expected_seconds = dict(expected_seconds or {})
        self._progress_path = out / PROGRESS
        self._fingerprints: dict[Path, str] = {}
        self.lock = FolderLock(out)
        try:
            self.progress = self._open()
            if redo is not None:
                self._forget(redo)
            if not self._progress_path.exists():
                self._save()
        except BaseException:
            self.lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.lock.release()

    def _open(self) -> dict[str, dict[str, Any]]:
        if not self._progress_path.exists():
            require_own_folder(self.out)
            return {}
        for folder in (self.out, *self.out.glob("*/")):
            clean_partial(folder)
        try:
            found = json.loads(self._progress_path.read_bytes())["steps"]
        except (ValueError, KeyError, TypeError):
            found = None
        if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
            raise CheckpointError(
                f"{self._progress_path} is corrupted, or from another version of this program. Restore it, or choose "
                "another `out`"
            )
        return found

    def _forget(self, name: str) -> None:
        done = [step for step, entry in self.progress.items() if "result" in entry]
        if name not in done:
            raise CheckpointError(
                f"--redo {name}: no such step was done in {self.out}. Finished steps: {', '.join(done)}"
            )
        for step in list(self.progress)[list(self.progress).index(name) :]:
            self._remove(self.progress.pop(step)["owns"])
        self._save()

    def write_config(self, config: Config) -> None:
        """config.yaml, as in every run folder: the settings of this call, each written out."""
        path, content = self.out / "config.yaml", dump_config(config).encode()
        if not path.exists() or path.read_bytes() != content:
            with atomic_file(path) as handle:
                handle.write(content)

    def drop(self, name: str) -> None:
        """Remove the outputs of a step that is no longer part of the run, so that they are not mistaken for results."""
        if name in self.progress:
            self._remove(self.progress.pop(name)["owns"])
            self._save()

    def take(self, step: Step) -> Any:
        """Do the step unless it is finished; returns its result."""
        now, before = self._describe(step), self.progress.get(step.name)
        if before is None:
            reason = ""
        else:
            changes = list(_changes(before, now))
            if self.may_keep_other_code:
                changes = [name for name in changes if name != CODE]
            if "result" in before and not changes and self._is_kept(step.name, before):
                return before["result"]
            reason = f" again: {', '.join(changes)} changed" if changes else ""
            if changes or "result" in before:
                self._remove(before["owns"])
        print(f"{self._announce(step.name)}{reason}", file=sys.stderr, flush=True)  # noqa: T201
        return self._do(step, now, 0.0 if before is None or reason else float(before["seconds"]))

    def _do(self, step: Step, now: dict[str, Any], seconds: float) -> Any:
        # Its position in the file is its order of execution: --redo removes what follows.
        self.progress.pop(step.name, None)
        entry = self.progress[step.name] = {**now, "owns": list(step.owns or step.leaves), "seconds": seconds}
        self._save()
        started = time.monotonic()
        try:
            result = step.work()
        except KeyboardInterrupt:
            raise Stopped(
                f"stopped in step {step.name}; the same command restarts this step, and keeps all previous ones"
            ) from None
        except Stopped as stop:
            raise Stopped(
                f"stopped in step {step.name}, whose work is saved; the same command resumes it", stop.status
            ) from None
        finally:
            entry["seconds"] = round(seconds + time.monotonic() - started, 2)
            self._drop_fingerprints(entry["owns"])
            self._save()
        if "hub:?" in entry["needs"].values():
            # A hub id has a revision once it was downloaded.
            self._fingerprints = {path: digest for path, digest in self._fingerprints.items() if digest != "hub:?"}
            entry["needs"] = self._describe(step)["needs"]
        entry["left"] = {name: fingerprint(self.out / name) for name in step.leaves if (self.out / name).exists()}
        entry["peak_memory_gib"] = peak_memory_gib()
        entry["result"] = result
        self._save()
        return result

    def _announce(self, name: str) -> str:
        """The step; of a run with expected times its number, the time so far, and what is left at the pace so far."""
        expected, spent = self.expected_seconds, self.seconds
        if name not in expected:
            return f"[{name}]"
        done = [step for step in expected if step in spent and step != name]
        ahead = sum(seconds for step, seconds in expected.items() if step not in done)
        worth = sum(expected[step] for step in done)
        pace = sum(spent[step] for step in done) / worth if worth >= self.SECONDS_OF_A_PACE else 1.0
        number = list(expected).index(name) + 1
        so_far, left = _duration(sum(spent.values())), _duration(ahead * pace)
        return f"[{number}/{len(expected)} {name}] {so_far} so far, about {left} left"

    def _describe(self, step: Step) -> dict[str, Any]:
        return {
            "needs": {name: self._fingerprint(source) for name, source in step.needs.items()},
            "settings": json.loads(json.dumps(dict(step.settings))),
            "code": code_version(step.modules),
        }

    def _fingerprint(self, source: Path | str) -> str:
        path = Path(source).absolute()
        if path not in self._fingerprints:
            self._fingerprints[path] = fingerprint(source)
        return self._fingerprints[path]

    def _drop_fingerprints(self, names: list[str]) -> None:
        for name in names:
            place = (self.out / name).absolute()
            for path in [path for path in self._fingerprints if path.is_relative_to(place)]:
                del self._fingerprints[path]

    def _is_kept(self, name: str, entry: Mapping[str, Any]) -> bool:
        """Whether the step's files are there. Raises `CheckpointError` if one was changed."""
        left: dict[str, str] = entry["left"]
        if not all((self.out / path).exists() for path in left):
            return False
        changed = [path for path, digest in left.items() if self._fingerprint(self.out / path) != digest]
        if changed:
            raise CheckpointError(
                f"{self.out}: {', '.join(changed)} changed after step {name!r} wrote it. Restore it, or redo that "
                f"step and all that followed with --redo {name}"
            )
        return True

    def _remove(self, names: list[str]) -> None:
        for name in names:
            path = self.out / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        self._drop_fingerprints(names)

    def _save(self) -> None:
        with atomic_file(self._progress_path) as handle:
            handle.write(json.dumps({"steps": self.progress}, indent=1, ensure_ascii=False).encode())

    @property
    def peak_memory_gib(self) -> float:
        """Highest resident memory of the processes that did the steps."""
        return max((entry["peak_memory_gib"] for entry in self.progress.values() if "result" in entry), default=0.0)

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time of every finished step, in order."""
        return {name: entry["seconds"] for name, entry in self.progress.items() if "result" in entry}


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """The names of changed inputs, settings and code."""
    for name in {**before["needs"], **now["needs"]}:
        if not is_same(before["needs"].get(name, ""), now["needs"].get(name, "")):
            yield name
    old, new = _flat(before["settings"]), _flat(now["settings"])
    yield from (name for name in {**old, **new} if old.get(name) != new.get(name))
    if before["code"] != now["code"]:
        yield CODE


def peak_memory_gib() -> float:
    """Highest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**30 if sys.platform == "darwin" else 2**20), 3)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found
