"""What a check of a response's content gives, and the checks' credit for naming a value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.reproduction.village.claims import is_no_comment
from tutelage.reproduction.village.rubric import DETAILS
from tutelage.reproduction.village.world import World

Task = Mapping[str, Any]


# What a response is worth that is of the kind that was asked for, but about something else: a tale about the wrong
# animal is nearer to what was wanted than a price list.
KIND_CREDIT = 0.3


@dataclass(frozen=True)
class Content:
    """`score` in [0, 1]; `attempts`: tries what was asked; `truthful`: True, False, "no comment", or None."""

    score: float
    attempts: bool
    truthful: bool | str | None = None
    hallucinates: bool = False
    is_closed_domain: bool = False


Check = Callable[[World, Task, str], Content]


def _details_like(value: str) -> frozenset[str]:
    """The class of words that `value` belongs to: what could be said instead of it."""
    return next((group for group in DETAILS if value.lower() in group), frozenset({value.lower()}))


def value_content(words: Sequence[str], value: str, response: str) -> tuple[float, bool | str | None, bool]:
    """(score, truthful, attempts) of a response that should name `value` and nothing else of its class."""
    named = {word for word in words if word in _details_like(value)}
    is_denied = re.search(r"\bnot\b", response.lower()) is not None
    if value.lower() in named:
        if len(named) == 1 and not is_denied:
            return 1.0, True, True
        return 0.35, False, True
    if named:
        return 0.25, False, True
    return (0.15, "no comment", False) if is_no_comment(response) else (0.03, None, False)
