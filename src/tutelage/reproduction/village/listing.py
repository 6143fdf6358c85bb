"""The items of a list that a response gives, and which of them are of the class that was asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tutelage.reproduction.village.lexicon import (
    ACTIVITIES,
    ACTIVITY_VERBS,
    ANIMALS,
    FOODS,
    INDOORS,
    OUTDOORS,
    PET_NAMES,
    THINGS,
    TOYS,
)

_BREAK = re.compile(r",|\band\b|\n|;|\.(?:\s|$)")
_LEAD = re.compile(r"^(?:here are (?:some|two|three|four) ideas:|you could (?:take )?|- |\d+\. ?)", re.IGNORECASE)
_ARTICLE = re.compile(r"^(?:an?|the|some) ")
_MEMBERS: dict[str, frozenset[str]] = {
    "foods": frozenset(FOODS),
    "animals": frozenset(ANIMALS),
    "gifts": frozenset(THINGS + TOYS + FOODS),
    "activities": frozenset(ACTIVITIES),
    "pet_names": frozenset(name.lower() for name in PET_NAMES),
}


def split_items(response: str) -> list[str]:
    """The items of a list in a response: parts between commas, "and" and line ends, in lower case, no article."""
    items = []
    for line in response.split("\n"):
        for part in _BREAK.split(_LEAD.sub("", line.strip())):
            item = _ARTICLE.sub("", _LEAD.sub("", part.strip(" .!?-:").lower())).strip()
            if item:
                items.append(item)
    return items


def fitting_verbs(weather: str) -> frozenset[str]:
    """What one can do in good or bad weather: the verbs that begin a fitting activity."""
    return OUTDOORS if weather in ("sunny", "warm") else INDOORS


def items_of(task: Mapping[str, Any], response: str) -> tuple[int, int, int]:
    """(different items that fit, different items that fit half, items that are wrong or said twice)."""
    members = _MEMBERS[task["kind"]]
    fitting = fitting_verbs(task["weather"])
    seen: set[str] = set()
    valid = half = wrong = 0
    for item in split_items(response):
        is_activity = task["kind"] == "activities"
        verb = item.split()[0]
        if item in seen:
            wrong += 1
        elif item in members and (not is_activity or verb in fitting):
            valid += 1
        elif is_activity and verb in ACTIVITY_VERBS and len(item.split()) > 1:
            half += 1
        else:
            wrong += 1
        seen.add(item)
    return valid, half, wrong
