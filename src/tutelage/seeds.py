"""Random draws without hidden state: each is keyed by the run's seed and its use.

A generator made from (seed, "rollout", step) draws the same numbers whether the run was uninterrupted or killed and
resumed: no generator state is ever saved.
"""

from __future__ import annotations

import hashlib


def derived_seed(seed: int, *parts: str | int) -> int:
    """A 63-bit seed that depends on all arguments and is unrelated for different ones."""
    digest = hashlib.sha256("\x1f".join(map(str, (seed, *parts))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
