"""Runs the sections of the GPU script, each in a process of its own with a time limit, and prints one table.

Sections stand in order of what they are worth: the total limit ends what is last. A section that fails or hangs leaves
the figures that it had, and those of the others. The next section loads its libraries while one runs, then waits.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_table import table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LAST_LINES = 12  # shown of a section that failed


@dataclass(frozen=True, slots=True)
class Section:
    """`seconds`: its limit. What is not timed may run beside others that are not timed."""

    name: str
    seconds: int
    is_timed: bool = True


SECTIONS = (
    Section("machine", 40),
    Section("correctness", 90, is_timed=False),
    Section("sampling-1.2B", 45),
    Section("train-1.2B", 45),
    Section("ppo-1.2B", 60),
    Section("generate-1.2B", 45),
    Section("profile-1.2B", 30),
    Section("plain-ppo-1.2B", 90),
    Section("sampling-135M", 45),
    Section("train-135M", 30),
    Section("ppo-135M", 50),
    Section("generate-135M", 45),
    Section("plain-ppo-135M", 60),
    Section("chain", 150, is_timed=False),
)


def main() -> int:
    """0 where every section ended and every check held, 1 otherwise."""
    arguments = _arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tutelage-gpu-") as scratch:
        run = _Run(arguments, Path(scratch))
        try:
            run.all()
        finally:
            run.kill_all()
    return 0 if run.is_well() else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("OUT") or ROOT / "runs" / "bench" / "gpu")
    names = [section.name for section in SECTIONS]
    parser.add_argument("--out", type=Path, default=default, help="gets gpu.json, gpu.md and gpu.log")
    parser.add_argument("--section", nargs="+", choices=names, default=names, help="only these")
    parser.add_argument("--quick", action="store_true", help="tiny shapes, as on a CPU: only shows that it runs")
    parser.add_argument("--seconds", type=float, default=285.0, help="limit of everything together")
    parser.add_argument("--patience", type=float, default=1.0, help="multiplies every limit: for a slow machine")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--list", action="store_true", help="name the sections and their limits")
    arguments = parser.parse_args()
    if arguments.list:
        parser.exit(message="".join(f"{one.name:16} {one.seconds} s\n" for one in SECTIONS))
    return arguments


class _Worker:
    """The process of one section. It loads its libraries at once and begins when it is told."""

    def __init__(self, section: Section, arguments: argparse.Namespace, scratch: Path) -> None:
        self.section = section
        self.rows_path, self.log_path = scratch / f"{section.name}.jsonl", scratch / f"{section.name}.log"
        self.rows_path.touch()
        own = scratch / section.name
        own.mkdir()
        command = [sys.executable, HERE / "gpu_worker.py", section.name, "--rows", self.rows_path]
        command += ["--scratch", own, "--device", arguments.device, *(["--quick"] if arguments.quick else [])]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, process_group=0
            )
        self.started = self.ended = 0.0
        self.was_killed = False

    def go(self) -> None:
        assert self.process.stdin is not None
        self.started = time.monotonic()
        with suppress(BrokenPipeError):  # it has died while it loaded; its status and its last lines say why
            self.process.stdin.write(b"go\n")
            self.process.stdin.close()

    def wait(self, until: float) -> None:
        try:
            self.process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.was_killed = True
            self.kill()
        self.ended = time.monotonic()

    def kill(self) -> None:
        """The process and those that it started."""
        with suppress(ProcessLookupError):  # it has ended
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def result(self) -> dict[str, Any]:
        text = self.log_path.read_text(errors="replace")
        rows = [json.loads(line) for line in self.rows_path.read_text().splitlines() if line.endswith("}")]
        status = "killed at its limit" if self.was_killed else f"exit status {self.process.returncode}"
        is_done = self.process.returncode == 0 and not self.was_killed
        return {
            "status": "done" if is_done else status,
            "seconds": round(self.ended - self.started, 1),
            "rows": rows,
            "last_lines": [] if is_done else text.splitlines()[-LAST_LINES:],
            "log": text,
        }


class _Run:
    """All sections, one after another; those that time nothing side by side."""

    def __init__(self, arguments: argparse.Namespace, scratch: Path) -> None:
        self.arguments, self.scratch = arguments, scratch
        self.started = time.monotonic()
        self.end = self.started + arguments.seconds * arguments.patience
        self.workers: dict[str, _Worker] = {}
        self.found: dict[str, Any] = {"command": sys.argv[1:], "sections": {}}

    def all(self) -> None:
        batches = _batches([section for section in SECTIONS if section.name in self.arguments.section])
        for number, batch in enumerate(batches):
            self._load(batch)
            if time.monotonic() >= self.end - 1.0:
                for section in batch:
                    self._keep(
                        section, {"status": "not begun: out of time", "seconds": 0, "rows": [], "last_lines": []}
                    )
                continue
            for section in batch:
                self.workers[section.name].go()
            self._load(batches[number + 1] if number + 1 < len(batches) else [])
            for section in batch:
                worker = self.workers.pop(section.name)
                worker.wait(min(worker.started + section.seconds * self.arguments.patience, self.end))
                self._keep(section, worker.result())
        print(self._table(), flush=True)

    def _load(self, sections: list[Section]) -> None:
        for section in sections:
            if section.name not in self.workers and time.monotonic() < self.end:
                self.workers[section.name] = _Worker(section, self.arguments, self.scratch)

    def _keep(self, section: Section, result: dict[str, Any]) -> None:
        log = result.pop("log", "")
        self.found["sections"][section.name] = result
        self.found["seconds"] = round(time.monotonic() - self.started, 1)
        out = self.arguments.out
        _replace(out / "gpu.json", json.dumps(self.found, indent=1) + "\n")
        _replace(out / "gpu.md", self._table() + "\n")
        with (out / "gpu.log").open("w" if len(self.found["sections"]) == 1 else "a") as whole:
            whole.write(f"== {section.name}: {result['status']}\n{log}\n")
        print(f"{self.found['seconds']:6.1f} s  {section.name}: {result['status']}", flush=True)

    def _table(self) -> str:
        return table(self.found)

    def is_well(self) -> bool:
        sections = self.found["sections"].values()
        checks = [row for one in sections for row in one["rows"] if "is_ok" in row]
        return all(one["status"] == "done" for one in sections) and all(row["is_ok"] for row in checks)

    def kill_all(self) -> None:
        for worker in self.workers.values():
            worker.kill()


def _batches(sections: list[Section]) -> list[list[Section]]:
    found: list[list[Section]] = []
    for section in sections:
        if found and not section.is_timed and not found[-1][-1].is_timed:
            found[-1].append(section)
        else:
            found.append([section])
    return found


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text)
    fresh.replace(path)


if __name__ == "__main__":
    sys.exit(main())
