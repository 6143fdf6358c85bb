"""Explicit constraints of a prompt and whether a response satisfies them; and courtesy, which needs no request.

Courtesy is a polite phrase before or after a reply. Some labelers write it and some do not, but nearly all like to read
it. So labelers agree on it more than on anything else, and it can be learned separately from the content of a reply.
Ground truth judges content and form of the plain reply; a constraint ("in one sentence", "at most ten words") also
counts the courtesy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from tutelage.reproduction.village.data import load_data
from tutelage.reproduction.village.lexicon import KIND_WORDS
from tutelage.reproduction.village.patterns import chance, pick

Task = Mapping[str, Any]
MAX_SHORT_WORDS = 10
SHARE_CLOSINGS = 0.3
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+|[^\w\s]|\n")
_SENTENCE_END = re.compile(r"[.!?]+(?=\s|$)")
_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n+")


class Courtesy(NamedTuple):
    openings: tuple[str, ...]
    closings: tuple[str, ...]
    closed_kinds: frozenset[str]
    exempt_kinds: frozenset[str]


_COURTESY = load_data("politeness", Courtesy)
OPENINGS, CLOSINGS = _COURTESY.openings, _COURTESY.closings
CLOSED_KINDS, EXEMPT_KINDS = _COURTESY.closed_kinds, _COURTESY.exempt_kinds


def split_words(text: str) -> list[str]:
    """The words of `text` in lowercase, without punctuation and numbers."""
    return _WORD.findall(text.lower())


def split_tokens(text: str) -> list[str]:
    """The words, numbers, punctuation marks and line breaks of `text`."""
    return _TOKEN.findall(text)


def split_sentences(text: str) -> list[str]:
    """The sentences and lines of `text`, each with its punctuation mark."""
    return _BETWEEN_SENTENCES.split(text)


def num_sentences(text: str) -> int:
    """The pieces that end in a period, question or exclamation mark; a last piece without one counts too."""
    pieces = [piece for piece in _SENTENCE_END.split(text) if piece.strip()]
    return len(pieces)


def is_satisfied(constraint: Mapping[str, str], response: str) -> bool:
    """Whether a response satisfies one constraint; a response without words satisfies none.

    Raises `KeyError` for a constraint type that does not exist.
    """
    words = split_words(response)
    if not words:
        return False
    word = constraint.get("word", "")
    return {
        "one_sentence": num_sentences(response) == 1,
        "use_word": word in words,
        "avoid_word": word not in words and word + "s" not in words,
        "polite": bool(KIND_WORDS & set(words)),
        "short": len(words) <= MAX_SHORT_WORDS,
    }[constraint["type"]]


def share_satisfied(constraints: Sequence[Mapping[str, str]], response: str) -> float:
    """The share of `constraints` that the response satisfies; 1.0 if there are none."""
    if not constraints:
        return 1.0
    return sum(is_satisfied(constraint, response) for constraint in constraints) / len(constraints)


def has_constraint(task: Task, kind: str) -> bool:
    return any(item["type"] == kind for item in task["constraints"])


def constraint_word(task: Task, kind: str) -> str:
    """The word of the task's constraint of `kind`, or ''."""
    return next((item.get("word", "") for item in task["constraints"] if item["type"] == kind), "")


def add_courtesy(rng: Random, task: Task, text: str) -> str:
    """`text` with a courtesy before or after it; unchanged if that would break a constraint or not fit."""
    if task["kind"] in EXEMPT_KINDS or without_courtesy(text) != text.strip():
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


def without_courtesy(text: str) -> str:
    """`text` without one opening and one closing courtesy; a second one is kept."""
    text = text.strip()
    opening = next((phrase for phrase in OPENINGS if text.startswith(phrase)), "")
    text = text.removeprefix(opening).lstrip()
    closing = next((phrase for phrase in CLOSINGS if text.endswith(phrase)), "")
    return text.removesuffix(closing).rstrip()
