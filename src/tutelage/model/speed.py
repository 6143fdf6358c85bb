"""How fast this machine multiplies matrices."""

from __future__ import annotations

import time

import torch

# The best of this many products, after a warm-up: other processes slow some of them down.
NUM_PRODUCTS = 3


def seconds_of_product(dtype: torch.dtype, *, width: int = 256) -> float:
    """Shortest wall time of the product of two (width, width) matrices of `dtype` on the CPU, in seconds."""
    matrix = torch.ones(width, width, dtype=dtype)
    matrix @ matrix
    best = float("inf")
    for _ in range(NUM_PRODUCTS):
        started = time.perf_counter()
        matrix @ matrix
        best = min(best, time.perf_counter() - started)
    return best
