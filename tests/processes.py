"""The command line in processes of its own that can be killed, have their disk filled or their clock stopped.

Python and torch are loaded once, in a server that forks: a process starts in a moment instead of in seconds.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import secrets
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PRELOADED = (
    "torch",
    "transformers.models.llama.modeling_llama",
    "tutelage.cli",
    "tutelage.evaluation.files",
    "tutelage.reproduction",
    "tutelage.training.dpo",
    "tutelage.training.ppo",
    "tutelage.training.pretrain",
    "tutelage.training.reward",
    "processes",
)
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(_PRELOADED))

Preparation = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended: exit status (negative: killed by that signal), and what it printed."""

    status: int
    stdout: str
    stderr: str


class Command:
    """One `tutelage ARGUMENTS` that runs now. `prepare(*prepared_with)` is called in its process first."""

    def __init__(
        self,
        arguments: Sequence[Any],
        folder: Path,
        *,
        prepare: Preparation | None = None,
        prepared_with: Sequence[Any] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.streams = [folder / f"{time.monotonic_ns()}.{name}" for name in ("out", "err")]
        call = ([str(argument) for argument in arguments], self.streams, prepare, tuple(prepared_with))
        self.process = _context.Process(target=_run, args=call)
        self.process.start()

    def wait(self, timeout: float = 240.0) -> Outcome:
        self.process.join(timeout)
        assert self.process.exitcode is not None, f"still running after {timeout} s: {self.streams[1].read_text()}"
        # Killed before it could open them, it has printed nothing.
        printed = (stream.read_text() if stream.exists() else "" for stream in self.streams)
        return Outcome(self.process.exitcode, *printed)

    def kill_when(self, is_time: Callable[[], bool], timeout: float = 240.0) -> Outcome:
        """SIGKILL as soon as `is_time`, or when the command ends by itself."""
        deadline = time.monotonic() + timeout
        while self.process.is_alive() and not is_time():
            assert time.monotonic() < deadline, f"still running after {timeout} s"
            time.sleep(0.002)
        self.process.kill()
        return self.wait()


def tutelage(
    *arguments: Any, folder: Path, prepare: Preparation | None = None, prepared_with: Sequence[Any] = ()
) -> Outcome:
    """Run one command to its end; what it prints is kept in `folder`."""
    return Command(arguments, folder, prepare=prepare, prepared_with=prepared_with).wait()


def _run(
    arguments: list[str], streams: list[Path], prepare: Preparation | None, prepared_with: tuple[Any, ...]
) -> None:
    for number, path in enumerate(streams, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(number), "w", buffering=1) for number in (1, 2))
    sys.argv = ["tutelage", *arguments]
    if prepare is not None:
        prepare(*prepared_with)
    from tutelage.cli import main
    from tutelage.store import atomic

    # Drawn when the module was loaded, and so the same in all that were forked: not as in processes of their own.
    atomic._TOKEN = secrets.token_hex(4)
    main()


def die_while_saving(number: int) -> None:
    """SIGKILL in the middle of checkpoint `number` (from 1): half of its bytes are on the disk."""
    import torch

    save, calls = torch.save, []

    def half(state: Any, path: Path) -> None:
        calls.append(path)
        save(state, path)
        if len(calls) == number:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = half


def fill_disk_after(num_bytes: int) -> None:
    """No file may grow beyond `num_bytes`: what the kernel says then is what it says of a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))
