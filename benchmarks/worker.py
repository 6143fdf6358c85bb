"""What a worker of either side does around its measurement: arguments, peak memory, the machine's rate, the result."""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from shapes import Shape, row_named

PRODUCT = 2048  # side of the square matrix product that stands for what the machine can do


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The folder of materials, a scratch folder, and the seed of this repeat."""

    materials: Path
    scratch: Path
    seed: int


def run_worker(measure: Callable[[Shape, Place], dict[str, Any]]) -> None:
    """Measure one row once; `measure` gets the shape and where to read and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--row", required=True)
    parser.add_argument("--materials", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    shape = row_named(arguments.row, is_quick=arguments.quick)
    found = measure(shape, Place(materials=arguments.materials, scratch=arguments.scratch, seed=arguments.seed))
    # Linux counts in KiB.
    found["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found["product_rate"] = product_rate(shape.batch if shape.kind == "sampling" else PRODUCT)
    found["threads"] = torch.get_num_threads()
    (arguments.scratch / "result.json").write_text(json.dumps(found))


def product_rate(num_rows: int) -> float:
    """FLOP/s of a float32 product of (`num_rows`, 2048) with (2048, 2048): the median of several."""
    left, right = torch.randn(num_rows, PRODUCT), torch.randn(PRODUCT, PRODUCT)
    torch.mm(left, right)
    seconds = []
    for _ in range(15):
        start = time.perf_counter()
        torch.mm(left, right)
        seconds.append(time.perf_counter() - start)
    return 2.0 * num_rows * PRODUCT * PRODUCT / median(seconds)


def now() -> tuple[float, float]:
    """Seconds on the wall and of this process's processor time. On a shared machine the second is the steadier."""
    return time.perf_counter(), time.process_time()


def between(stamps: list[tuple[float, float]]) -> dict[str, list[float]]:
    """Seconds of each step from the times at which steps ended; the first step is warm-up."""
    steps = list(pairwise(stamps))
    return {
        "seconds": [later[0] - earlier[0] for earlier, later in steps],
        "cpu_seconds": [later[1] - earlier[1] for earlier, later in steps],
    }
