"""Courtesy: a kind word to whoever asked, before a reply or after it.

Some people write replies with it and some without; nearly everybody likes to read it. So it is what labelers agree on
more than on anything else, and it can be learnt apart from what a reply says. Ground truth judges content and form of
the plain reply; a constraint ("in one sentence", "at most ten words") counts the courtesy as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from tutelage.reproduction.village.constraints import share_satisfied
from tutelage.reproduction.village.phrases import chance, pick

# Each has one of the lexicon's kind words, so that it makes a reply polite. Those with a colon keep a reply one
# sentence.
OPENINGS = (
    "Gladly:",
    "Gladly, my friend:",
    "Here you are, my friend:",
    "Dear friend, here you are:",
    "You are welcome:",
    "Thank you for asking.",
    "I am glad to help, dear friend.",
)
CLOSINGS = (
    "I wish you a good day.",
    "You are always welcome.",
    "Thank you for asking.",
    "Come again soon, dear friend.",
    "Kind greetings to you.",
)
# Kinds whose response ends a text of its own (a letter, a card): nothing is said after it.
CLOSED_KINDS = frozenset(("letter", "notice", "wish", "polite", "past", "replace", "translate", "summary", "extract"))
# Kinds that are courteous in themselves, or not at all: who is sorry, or has not understood, says nothing gladly.
EXEMPT_KINDS = frozenset(("chat", "unclear"))
SHARE_CLOSINGS = 0.3


def courteous(rng: Random, task: Mapping[str, Any], text: str) -> str:
    """`text` with a kind word before or after it; as it is where that would break a constraint or not suit it."""
    if task["kind"] in EXEMPT_KINDS or plain(text) != text.strip():
        return text
    can_close = task["kind"] not in CLOSED_KINDS and "\n" not in text
    if can_close and chance(rng, SHARE_CLOSINGS):
        spoken = f"{text} {pick(rng, CLOSINGS)}"
    else:
        spoken = f"{pick(rng, OPENINGS)}{_gap(text)}{text}"
    keeps = share_satisfied(task["constraints"], spoken) >= share_satisfied(task["constraints"], text)
    return spoken if keeps else text


def _gap(text: str) -> str:
    return "\n" if "\n" in text else " "


def plain(text: str) -> str:
    """`text` without one opening and one closing courtesy; what is said twice stays."""
    text = text.strip()
    opening = next((phrase for phrase in OPENINGS if text.startswith(phrase)), "")
    text = text.removeprefix(opening).lstrip()
    closing = next((phrase for phrase in CLOSINGS if text.endswith(phrase)), "")
    return text.removesuffix(closing).rstrip()
