"""Progress of long-running work: a bar on a terminal, a plain line every 15 seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

SECONDS_BETWEEN_LINES = 15.0


class Progress(Protocol):
    """What long-running work reports to: how much more is done, and a short note on its state."""

    def advance(self, amount: int = 1, note: str = "") -> None: ...


@contextmanager
def progress(title: str, total: int, *, done: int = 0, unit: str = "") -> Iterator[Progress]:
    """Show the progress of `total` steps, `done` of them finished earlier; with rate and time left."""
    if sys.stderr.isatty():
        with _bar(title, total, done) as bar:
            yield bar
    else:
        yield _Lines(title, total, done, unit)


@contextmanager
def _bar(title: str, total: int, done: int) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with RichProgress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(title, total=total, completed=done, note="")

        class _Bar:
            def advance(self, amount: int = 1, note: str = "") -> None:
                fields: dict[str, Any] = {"note": note} if note else {}
                shown.update(task, advance=amount, **fields)

        yield _Bar()


class _Lines:
    def __init__(self, title: str, total: int, done: int, unit: str) -> None:
        self.title, self.total, self.done, self.unit = title, total, done, unit
        self.started_with = done
        self.start = self.last_line = time.monotonic()

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.done += amount
        now = time.monotonic()
        if self.done < self.total and now - self.last_line < SECONDS_BETWEEN_LINES:
            return
        self.last_line = now
        rate = (self.done - self.started_with) / max(now - self.start, 1e-9)
        left = (self.total - self.done) / rate if rate else float("inf")
        of_unit = f" {self.unit}" if self.unit else ""
        print(  # noqa: T201
            f"{self.title}: {self.done}/{self.total}{of_unit}, {rate:.3g}/s, {left:.0f} s left"
            f"{'; ' + note if note else ''}",
            file=sys.stderr,
            flush=True,
        )
