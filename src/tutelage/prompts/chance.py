"""Draws that depend only on content: the same outcome on every machine and in every order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TypeVar

Outcome = TypeVar("Outcome", bound=str)


def unit_interval(*parts: object) -> float:
    """A number in [0, 1), uniform over the contents of `parts`."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def drawn(weights: Mapping[Outcome, float], *parts: object) -> Outcome:
    """One outcome, with probability in proportion to its weight (>= 0, one above 0), fixed by `parts`."""
    remaining = unit_interval(*parts) * sum(weights.values())
    possible = [outcome for outcome, weight in weights.items() if weight > 0]
    for outcome in possible:
        remaining -= weights[outcome]
        if remaining < 0:
            return outcome
    return possible[-1]
