"""Where a step's time goes, and peak memory of the process."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class StepTimer:
    """Seconds and tokens of each named part of a step. On a GPU a part ends when its kernels have finished."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.start = time.monotonic()
        self.seconds: dict[str, float] = {}
        self.tokens: dict[str, int] = {}

    @contextmanager
    def part(self, name: str, num_tokens: int = 0) -> Iterator[None]:
        """Add the time spent inside to the part `name`, which computes `num_tokens` more tokens."""
        start = self._now()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self._now() - start
            self.add_tokens(name, num_tokens)

    def add_tokens(self, name: str, num_tokens: int) -> None:
        """Count tokens whose number was not known before the part began."""
        self.tokens[name] = self.tokens.get(name, 0) + num_tokens

    def take(self) -> dict[str, float]:
        """Time of the step, in total and by part; tokens per second if counted; peak memory so far (GiB)."""
        now = self._now()
        row = {"seconds": round(now - self.start, 4), "peak_memory_gib": round(self._peak_memory(), 3)}
        for name, seconds in self.seconds.items():
            row[f"seconds/{name}"] = round(seconds, 4)
            if self.tokens[name]:
                row[f"tokens_per_second/{name}"] = round(self.tokens[name] / max(seconds, 1e-9), 1)
        self.start, self.seconds, self.tokens = now, {}, {}
        return row

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.monotonic()

    def _peak_memory(self) -> float:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**30
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**30 if sys.platform == "darwin" else 2**20)
